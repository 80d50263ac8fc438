"""Everything that card, page and picture tell of a finished run, gathered in one value.

They are pure functions of it, so the same run is told in the same words, whoever resumes or repeats it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import ModelCard

from tweetmodel_api.plan import Plan
from tweetmodel_api.spec import BaseModelSource, Generation, Training
from tweetmodel_trainer import dataset
from tweetmodel_trainer.assessment import Assessment
from tweetmodel_trainer.clean import Counts
from tweetmodel_trainer.language import language
from tweetmodel_trainer.voice import spaced

if TYPE_CHECKING:  # it brings torch, which the rest of this does without
    from tweetmodel_trainer.learn import Learnt

READ_FOR_LANGUAGE = 2000
"""Posts."""

ROWS = (
    ("Downloaded", "downloaded"),
    ("Retweets, left out", "retweets"),
    ("Short, left out", "short"),
    ("Kept", "kept"),
    ("Characters kept", "characters"),
)
"""What is told of each account's posts: a name, and the field of `Counts`."""

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
    steps: int
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
    texts = [post.text for post in dataset.read(dataset_folder / dataset.TRAIN)]
    return About(
        accounts={handle: Counts(**counts) for handle, counts in info["sources"].items()},
        trained_on=info["posts"]["train"],
        held_out=info["posts"]["heldOut"],
        language=language(spaced(texts, READ_FOR_LANGUAGE)),
        base=plan.spec.base_model,
        base_licence=learnt.base_licence,
        base_commit=learnt.base_commit,
        parameters=learnt.parameters,
        training=plan.spec.training,
        generation=plan.spec.generation,
        steps=learnt.steps,
        losses=tuple((int(row["step"]), row["loss"]) for row in learnt.log if "loss" in row),
        assessment=learnt.assessment,
        run=plan.run,
        dataset_digest=plan.dataset.digest,
        start=plan.start.digest if plan.start else None,
        versions={name: version(name) for name in SOFTWARE},
    )


def licence_of(folder: Path) -> str | None:
    """The licence that a model's card names; None where there is no card or it says nothing that could be one."""
    card = folder / "README.md"
    try:
        licence = ModelCard.load(card, ignore_metadata_errors=True).data.license if card.is_file() else None
    except Exception:  # whatever a stranger's card holds, it is no reason not to train
        return None
    return licence if isinstance(licence, str) and re.fullmatch(r"[A-Za-z0-9.-]{1,50}", licence) else None
