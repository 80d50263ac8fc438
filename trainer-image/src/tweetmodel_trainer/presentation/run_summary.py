"""Everything that card, page and picture tell of a finished run, gathered in one value.

They are pure functions of it, so the same run is told in the same words, whoever resumes or repeats it.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import ModelCard

from tweetmodel_api.plan import Plan
from tweetmodel_api.spec import BaseModelSource, Generation, Training
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.language import detect_language
from tweetmodel_trainer.evaluation.assessment import Assessment
from tweetmodel_trainer.evaluation.sample import Sampling
from tweetmodel_trainer.evaluation.scores import Scores, total
from tweetmodel_trainer.evaluation.text_stats import Voice, spaced

if TYPE_CHECKING:  # it brings torch, which the rest of this does without
    from tweetmodel_trainer.training.learn import Learnt

READ_FOR_LANGUAGE = 2000
"""Posts."""

ROWS = (
    ("Downloaded", "downloaded"),
    ("Retweets, left out", "retweets"),
    ("Replies, left out", "replies"),
    ("In other languages, left out", "other_language"),
    ("Short, left out", "short"),
    ("Duplicates, left out", "duplicates"),
    ("Near duplicates, left out", "near_duplicates"),
    ("Forgotten, left out", "erased"),
    ("Naming accounts that must not appear, left out", "excluded"),
    ("Kept", "kept"),
    ("Kept, of no known language", "unlabeled"),
    ("Characters kept", "characters"),
)
"""What is told of each account's posts where any account has some: a name, and the field of `Counts`."""

COLUMNS = (
    "Loss before",
    "Loss after",
    "Perplexity",
    "Bits per byte",
    "Characters",
    "With a mention",
    "With a hashtag",
    "Distinct-1",
    "Distinct-2",
    "Copied",
)
"""Of `About.by_author`."""

SHORT_PROMPT = 16
"""Tokens, whatever the tokenizer, that a prompt of three short words has at most."""
SOFTWARE = ("tweetmodel-trainer", "transformers", "torch", "tokenizers")


@dataclass(frozen=True)
class About:
    """A finished run, for people."""

    accounts: Mapping[str, Counts]
    """What became of each account's posts, by handle."""
    trained_on: int
    """Posts."""
    held_out: int
    """Posts."""
    language: str | None
    """ISO 639-1, where it is clear."""
    base: BaseModelSource
    base_licence: str | None
    """As the base model's own card names it."""
    base_commit: str | None
    """What its revision was on the Hub when the run began."""
    parameters: int
    training: Training
    generation: Generation
    sampling: Sampling
    gpus: int
    weights: Mapping[str, int]
    """Of the accounts, by handle."""
    block_size: int
    """Tokens of a block, which the model's own bound may keep below training.blockSize."""
    bfloat16: bool
    """Whether it was trained in it."""
    steps: int
    kept: int
    """The step that the weights are of."""
    remark: str
    """What is to be said of the steps, as a sentence; mostly nothing."""
    held_out_losses: tuple[tuple[int, float], ...]
    """By step, after each epoch: early stopping measures them."""
    losses: tuple[tuple[int, float], ...]
    """Training loss by step; after a resume its first value may differ a little, so the card leaves it out."""
    assessment: Assessment
    run: str
    dataset_digest: str
    start: str | None
    """Digest of the earlier model that it went on from; absent where it started from the base itself."""
    versions: Mapping[str, str]

    @property
    def handles(self) -> list[str]:
        """The accounts, sorted."""
        return sorted(self.accounts, key=str.casefold)

    @property
    def who(self) -> str:
        """The accounts in a phrase: @ada, @bob and @eve."""
        *others, last = (f"@{handle}" for handle in self.handles)
        return f"{', '.join(others)} and {last}" if others else last

    @property
    def data(self) -> list[tuple[str, list[int]]]:
        """What became of the posts: a name, and a number for each of `handles`; without rows of zeros."""
        authors, scores = self.assessment.authors, self.assessment.after
        rows = [(name, [getattr(self.accounts[handle], field) for handle in self.handles]) for name, field in ROWS]
        rows += [
            ("Tokens to learn from", [authors[h].tokens if h in authors else 0 for h in self.handles]),
            ("Tokens held out", [scores[h].tokens if h in scores else 0 for h in self.handles]),
        ]
        return [(name, numbers) for name, numbers in rows if any(numbers)]

    @property
    def example_tokens(self) -> int:
        """Tokens that a short prompt leaves room for."""
        return max(self.sampling.longest - SHORT_PROMPT, SHORT_PROMPT)

    @property
    def recipe(self) -> list[tuple[str, str]]:
        """How it was trained: a name and a value."""
        how, stopping = self.training, self.training.early_stopping
        judged = "judged by the held-out posts that it is evaluated on too"  # so the choice flatters the figures
        rows = {
            "Method": f"LoRA of rank {how.lora_rank}" if how.method == "LoRA" else how.method,
            "Epochs": str(how.epochs),
            "Optimizer steps": f"{self.steps:,}",
            "Early stopping": f"patience {stopping.patience}, {judged}.{self.remark}" if stopping else "",
            "Learning rate": f"{how.learning_rate}, falling along a cosine",
            "Block size": f"{self.block_size} tokens",
            "Batch size": str(how.global_batch_size),
            "Gradient accumulation": f"{how.gradient_accumulation_steps} parts"
            if how.gradient_accumulation_steps > 1
            else "",
            "Precision": "bfloat16, with weights in float32" if self.bfloat16 else "float32",
            "Weights of the accounts": self._weights,
            "GPUs": str(self.gpus),
            "Seed": str(how.seed),
        }
        return [(name, value) for name, value in rows.items() if value]

    @property
    def _weights(self) -> str:
        """How often the accounts' posts were read, where not all equally often."""
        told = [f"@{handle} {self.weights.get(handle, 1)}" for handle in self.handles]
        return ", ".join(told) if set(self.weights.values()) - {1} else ""

    @property
    def by_author(self) -> list[tuple[str, list[str]]]:
        """The figures of each account beside the model's, in `COLUMNS`; nothing where there is one account alone."""
        told = self.assessment
        if len(self.accounts) == 1 or not told.model:
            return []
        rows = [(f"@{handle}", self._figures_of(handle)) for handle in self.handles]
        scores = _figures(total(told.before.values()), total(told.after.values()))
        return [*rows, ("The model", [*scores, *_shares(told.model, told.copied)])]

    def _figures_of(self, handle: str) -> list[str]:
        """Dashes stand for what none of its posts is there for: none was held out, or none trained on."""
        told, author = self.assessment, self.assessment.authors.get(handle)
        scores = _figures(told.before[handle], told.after[handle]) if handle in told.after else ["–"] * 4
        return [*scores, *(_shares(author.voice, author.copied) if author else ["–"] * 6)]

    @property
    def software(self) -> str:
        """What it was made with."""
        return ", ".join(f"{name} {number}" for name, number in self.versions.items())

    @property
    def started_from(self) -> str:
        """What the model started from, in a phrase."""
        hub, s3 = self.base.hub, self.base.s3
        commit = f" (commit {self.base_commit})" if hub and self.base_commit not in (None, hub.revision) else ""
        base = f"{hub.name} at {hub.revision}{commit}" if hub else s3.uri if s3 else "a new, randomly initialised GPT-2"
        return f"{base}, by way of the earlier model {self.start[:16]}" if self.start else base


def _figures(before: Scores, after: Scores) -> list[str]:
    return [f"{before.loss:.3f}", f"{after.loss:.3f}", f"{after.perplexity:,.4g}", f"{after.bits_per_byte:.3f}"]


def _shares(voice: Voice, copied: float) -> list[str]:
    shares = (voice.mentions, voice.hashtags, voice.distinct_1, voice.distinct_2, copied)
    return [f"{voice.characters:.0f}", *(f"{share:.0%}" for share in shares)]


def about(plan: Plan, dataset_folder: Path, learnt: "Learnt") -> About:
    """What there is to tell of a run.

    Args:
        plan: with run and data set.
        dataset_folder: the data set, as `dataset.write` left it.
        learnt: what the run made of it.
    """
    assert plan.run is not None  # `pipeline.train` refuses such a plan
    assert plan.dataset is not None
    info = json.loads((dataset_folder / dataset.INFO).read_text())
    texts = [post.text for post in dataset.read_posts(dataset_folder / dataset.TRAIN)]
    return About(
        accounts={handle: Counts(**counts) for handle, counts in info["sources"].items()},
        trained_on=info["posts"]["train"],
        held_out=info["posts"]["heldOut"],
        language=detect_language(spaced(texts, READ_FOR_LANGUAGE)),
        base=plan.spec.base_model,
        base_licence=learnt.base_licence,
        base_commit=learnt.base_commit,
        parameters=learnt.parameters,
        training=plan.spec.training,
        generation=plan.spec.generation,
        sampling=learnt.sampling,
        gpus=plan.spec.gpus,
        weights=plan.spec.weights,
        block_size=learnt.block_size,
        bfloat16=learnt.bfloat16,
        steps=learnt.steps,
        remark=learnt.remark,
        kept=learnt.kept,
        held_out_losses=_losses(learnt.log, "heldout_loss"),
        losses=_losses(learnt.log, "loss"),
        assessment=learnt.assessment,
        run=plan.run,
        dataset_digest=plan.dataset.digest,
        start=plan.initial_model.digest if plan.initial_model else None,
        versions={name: version(name) for name in SOFTWARE},
    )


def _losses(log: Sequence[Mapping[str, float]], name: str) -> tuple[tuple[int, float], ...]:
    """A loss by step; one that is no number, of an epoch that was not kept, can't be drawn."""
    return tuple((int(row["step"]), row[name]) for row in log if math.isfinite(row.get(name, math.nan)))


def licence_of(folder: Path) -> str | None:
    """The licence that a model's card names; None where there is no card or it says nothing that could be one."""
    card = folder / "README.md"
    try:
        licence = ModelCard.load(card, ignore_metadata_errors=True).data.license if card.is_file() else None
    except Exception:  # whatever a stranger's card holds, it is no reason not to train
        return None
    return licence if isinstance(licence, str) and re.fullmatch(r"[A-Za-z0-9.-]{1,50}", licence) else None
