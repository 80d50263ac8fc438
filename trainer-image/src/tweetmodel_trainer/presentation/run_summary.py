"""The run summary: everything that page, model card and preview image show of a finished run.

The artifacts are pure functions of the summary, so equal runs have equal artifacts regardless of the pods that wrote
them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tweetmodel_api.plan import Plan
from tweetmodel_api.spec import BaseModelSource, Generation
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.language import detect_language
from tweetmodel_trainer.evaluation.evaluation_report import EvaluationReport
from tweetmodel_trainer.evaluation.sample import SamplingSettings
from tweetmodel_trainer.evaluation.scores import Scores
from tweetmodel_trainer.evaluation.text_stats import TextStats, evenly_spaced
from tweetmodel_trainer.training.result import TrainingResult

MAX_LANGUAGE_POSTS = 2000
"""Number of posts for the detection of the language."""

DATA_ROWS = (
    ("Downloaded", "downloaded"),
    ("Retweets (dropped)", "retweets"),
    ("Replies (dropped)", "replies"),
    ("Other languages (dropped)", "other_language"),
    ("Short posts (dropped)", "short"),
    ("Duplicates (dropped)", "duplicates"),
    ("Near duplicates (dropped)", "near_duplicates"),
    ("Erased posts (dropped)", "erased"),
    ("Posts by or mentioning excluded accounts (dropped)", "excluded"),
    ("Kept", "kept"),
    ("Kept, language unknown", "unlabeled"),
    ("Characters kept", "characters"),
)
"""Rows of the data table: title, and field of `Counts`."""

ACCOUNT_COLUMNS = (
    "Loss before",
    "Loss after",
    "Perplexity",
    "Bits per byte",
    "Characters",
    "With a mention",
    "With a hashtag",
    "Distinct-1",
    "Distinct-2",
    "Memorized",
)
"""Columns of `RunSummary.account_table`."""

UNKNOWN = "–"
"""Placeholder for a figure of an account without held-out posts or without training posts."""

NEW_MODEL = "a new, randomly initialized GPT-2"


@dataclass(frozen=True)
class RunSummary:
    """A finished run in a form for people."""

    run: str
    accounts: Mapping[str, Counts]
    """Counts of the posts of each account, by handle."""
    train_posts: int
    """Number of training posts."""
    held_out_posts: int
    """Number of held-out posts."""
    language: str | None
    """ISO 639-1 code of the language of the posts; None if unclear."""
    training: TrainingResult
    generation: Generation
    """spec.generation of the samples."""
    sampling: SamplingSettings
    evaluation: EvaluationReport

    @property
    def handles(self) -> list[str]:
        """Sorted handles of the accounts."""
        return sorted(self.accounts, key=str.casefold)

    @property
    def authors(self) -> str:
        """The accounts as a phrase, such as "@ada, @bob and @eve"."""
        *others, last = (f"@{handle}" for handle in self.handles)
        return f"{', '.join(others)} and {last}" if others else last

    @property
    def losses(self) -> tuple[tuple[int, float], ...]:
        """Training losses by optimizer step. The first loss after a resume may differ from an uninterrupted run."""
        return self._logged("loss")

    @property
    def held_out_losses(self) -> tuple[tuple[int, float], ...]:
        """Held-out losses by optimizer step; empty without early stopping."""
        return self._logged("heldout_loss")

    def _logged(self, name: str) -> tuple[tuple[int, float], ...]:
        """Return a loss by optimizer step, without infinite and undefined values."""
        rows = ((row["step"], row.get(name)) for row in self.training.log)
        return tuple((int(step), loss) for step, loss in rows if step is not None and loss is not None)

    @property
    def data_table(self) -> list[tuple[str, list[int]]]:
        """Titles and numbers of posts, one number for each of `handles`; rows of zeros are left out."""
        reports, scores = self.evaluation.accounts, self.evaluation.scores.after
        counts = [self.accounts[handle] for handle in self.handles]
        rows = [(title, [getattr(count, field) for count in counts]) for title, field in DATA_ROWS]
        rows += [
            ("Training tokens", [reports[h].tokens if h in reports else 0 for h in self.handles]),
            ("Held-out tokens", [scores[h].tokens if h in scores else 0 for h in self.handles]),
        ]
        return [(title, numbers) for title, numbers in rows if any(numbers)]

    @property
    def training_table(self) -> list[tuple[str, str]]:
        """Names and values of the training settings; settings that were not used are left out."""
        return list(self._training_rows())

    def _training_rows(self) -> Iterator[tuple[str, str]]:
        result, settings = self.training, self.training.settings
        yield "Method", f"LoRA, rank {settings.lora_rank}" if settings.method == "LoRA" else settings.method
        yield "Epochs", str(settings.epochs)
        yield "Optimizer steps", f"{result.optimizer_steps:,}"
        if settings.early_stopping:
            bias = "selected on the held-out posts that the evaluation uses, so the evaluation is optimistic."
            yield "Early stopping", f"patience {settings.early_stopping.patience}, {bias} {result.note}".strip()
        yield "Learning rate", f"{settings.learning_rate}, cosine decay"
        yield "Block size", f"{result.block_size} tokens"
        yield "Batch size", str(settings.global_batch_size)
        if settings.gradient_accumulation_steps > 1:
            yield "Gradient accumulation steps", str(settings.gradient_accumulation_steps)
        yield "Precision", "bfloat16, with float32 weights" if result.precision == "bfloat16" else "float32"
        if set(result.weights.values()) - {1}:
            weights = (f"@{handle} {result.weights.get(handle, 1)}" for handle in self.handles)
            yield "Weights of the accounts", ", ".join(weights)
        yield "GPUs", str(result.gpus)
        yield "Seed", str(settings.seed)

    @property
    def account_table(self) -> list[tuple[str, list[str]]]:
        """Figures of each account and of the model in `ACCOUNT_COLUMNS`; empty for a single account."""
        report = self.evaluation
        if len(self.accounts) == 1 or not report.model_stats:
            return []
        rows = [(f"@{handle}", self._account_figures(handle)) for handle in self.handles]
        scores = _score_figures(report.scores.total_before, report.scores.total_after)
        return [*rows, ("The model", [*scores, *_text_figures(report.model_stats, report.memorized_fraction)])]

    def _account_figures(self, handle: str) -> list[str]:
        scores, account = self.evaluation.scores, self.evaluation.accounts.get(handle)
        figures = [UNKNOWN] * 4
        if handle in scores.after:
            figures = _score_figures(scores.before[handle], scores.after[handle])
        if account is None:
            return [*figures, *[UNKNOWN] * 6]
        return [*figures, *_text_figures(account.text_stats, account.memorized_fraction)]

    @property
    def software(self) -> str:
        """Names and versions of the packages at the time of the training."""
        return ", ".join(f"{name} {number}" for name, number in self.training.software.items())

    @property
    def base_model(self) -> str:
        """The base model as a phrase, with the earlier model of a warm start."""
        base = _describe_base_model(self.training.base_model, self.training.base_commit)
        initial = self.training.initial_model
        return f"{base}, through the earlier model {initial[:16]}" if initial else base


def _describe_base_model(source: BaseModelSource, commit: str | None) -> str:
    if source.hub:
        is_pinned = commit in (None, source.hub.revision)
        return f"{source.hub.name} at {source.hub.revision}" + ("" if is_pinned else f" (commit {commit})")
    return source.s3.uri if source.s3 else NEW_MODEL


def _score_figures(before: Scores, after: Scores) -> list[str]:
    return [f"{before.loss:.3f}", f"{after.loss:.3f}", f"{after.perplexity:,.4g}", f"{after.bits_per_byte:.3f}"]


def _text_figures(stats: TextStats, memorized_fraction: float) -> list[str]:
    fractions = (stats.mentions, stats.hashtags, stats.distinct_1, stats.distinct_2, memorized_fraction)
    return [f"{stats.characters:.0f}", *(f"{fraction:.0%}" for fraction in fractions)]


def summarize_run(
    plan: Plan,
    training: TrainingResult,
    evaluation: EvaluationReport,
    sampling: SamplingSettings,
    dataset_folder: Path,
) -> RunSummary:
    """Return the summary of a run.

    Args:
        plan: plan with the run, and with the generation settings of the samples.
        training: result of the training.
        evaluation: evaluation of the model and its samples.
        sampling: generation settings within the limits of the model.
        dataset_folder: files of the data set.
    """
    assert plan.run is not None  # the steps check the plan
    info = json.loads((dataset_folder / dataset.INFO).read_text())
    texts = [post.text for post in dataset.read_posts(dataset_folder / dataset.TRAIN)]
    return RunSummary(
        run=plan.run,
        accounts={handle: Counts(**counts) for handle, counts in info["sources"].items()},
        train_posts=info["posts"]["train"],
        held_out_posts=info["posts"]["heldOut"],
        language=detect_language(evenly_spaced(texts, MAX_LANGUAGE_POSTS)),
        training=training,
        generation=plan.spec.generation,
        sampling=sampling,
        evaluation=evaluation,
    )
