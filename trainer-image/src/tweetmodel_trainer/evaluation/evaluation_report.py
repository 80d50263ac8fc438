"""The evaluation of a trained model: scores on held-out posts, memorization, and text statistics.

`evaluation.json` contains all figures, the status contains the figures for decisions, and the message is a summary for
people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Literal

from tweetmodel_api.status import Evaluation
from tweetmodel_trainer.evaluation.memorization import (
    duplicate_fraction,
    flag_samples,
    memorized_fraction,
    merge_flags,
    repeated_fraction,
)
from tweetmodel_trainer.evaluation.sample import Sample
from tweetmodel_trainer.evaluation.scores import ScoreComparison, Scores
from tweetmodel_trainer.evaluation.text_stats import TextStats, measure_texts

MAX_DECIMAL = 9.999e99
"""Substitute for an infinite perplexity, since the API has only finite numbers."""

MIN_IMPROVEMENT = 0.02
"""Relative reduction of the loss below which the difference may be chance."""

MAX_EXCESS_MEMORIZATION = 0.25
"""Difference between the memorized fraction of the samples and the repeated fraction of the author above which the
message recommends fewer epochs."""


@dataclass(frozen=True)
class AccountReport:
    """Training data of an account, and the memorization of its posts."""

    tokens: int
    """Tokens of the training posts, including the end-of-text token of each post."""
    text_stats: TextStats
    """Statistics of the training posts."""
    memorized_fraction: float
    """Fraction of the samples with a memorized post of the account."""


@dataclass(frozen=True)
class EvaluationReport:
    """All measurements of a trained model."""

    scores: ScoreComparison
    accounts: Mapping[str, AccountReport]
    """Reports of the accounts with training posts, by handle."""
    samples: tuple[Sample, ...]
    """Samples with their memorization and duplicates marked."""
    author_repeated_fraction: float
    """Fraction of the held-out posts with a repeated training post, for comparison with `memorized_fraction`."""
    author_stats: TextStats
    """Statistics of all training posts."""
    model_stats: TextStats | None
    """Statistics of the samples without a prompt, or of all samples if each has a prompt; None without samples."""

    @property
    def improvement(self) -> float:
        """Relative reduction of the held-out loss by training; negative if the loss rose."""
        return 1 - self.scores.total_after.loss / self.scores.total_before.loss

    @property
    def learning_outcome(self) -> Literal["learned", "barely learned", "did not learn"]:
        """Classification of the improvement."""
        if self.improvement <= 0:
            return "did not learn"
        return "learned" if self.improvement >= MIN_IMPROVEMENT else "barely learned"

    @property
    def memorized_fraction(self) -> float:
        """Fraction of the samples with a memorized training post."""
        return memorized_fraction(self.samples)

    @property
    def message(self) -> str:
        """Summary for people, with advice if the model did not learn or repeats many posts."""
        summary = (
            f"The model {self.learning_outcome}: perplexity on held-out posts went from "
            f"{self.scores.total_before.perplexity:,.4g} to {self.scores.total_after.perplexity:,.4g}."
        )
        if self.learning_outcome != "learned":
            return f"{summary} Try other values in spec.training."
        if self.memorized_fraction - self.author_repeated_fraction > MAX_EXCESS_MEMORIZATION:
            return (
                f"{summary} {self.memorized_fraction:.0%} of the samples repeat a training post (among held-out posts "
                f"of the author {self.author_repeated_fraction:.0%} do): train fewer epochs to get more varied tweets."
            )
        return summary

    @property
    def status(self) -> Evaluation:
        """Evaluation in the format of the TweetModel's status."""
        before, after = self.scores.total_before, self.scores.total_after
        return Evaluation(
            loss_before=format_decimal(before.loss),
            loss=format_decimal(after.loss),
            perplexity_before=format_decimal(before.perplexity),
            perplexity=format_decimal(after.perplexity),
            bits_per_byte=format_decimal(after.bits_per_byte),
            memorized_fraction=format_decimal(self.memorized_fraction) if self.samples else None,
        )

    @property
    def metrics(self) -> dict[str, float]:
        """Values of the status under the usual names of trackers for metrics of held-out data."""
        return {f"eval_{name}": float(value) for name, value in self.status.model_dump(exclude_none=True).items()}

    def to_json(self) -> dict[str, object]:
        """Return the content of evaluation.json."""
        handles = {**self.scores.after, **self.accounts}
        return {
            "learningOutcome": self.learning_outcome,
            "message": self.message,
            "trainTokens": sum(account.tokens for account in self.accounts.values()),
            "heldOut": _comparison(self.scores.total_before, self.scores.total_after),
            "byAccount": {handle: self._account_json(handle) for handle in handles},
            "samples": {
                "count": len(self.samples),
                "exactFraction": memorized_fraction(self.samples, ["exact"]),
                "overlapFraction": memorized_fraction(self.samples, ["overlap"]),
                "duplicateFraction": duplicate_fraction(self.samples),
            },
            "authorRepeatedFraction": self.author_repeated_fraction,
            "textStats": {
                "author": asdict(self.author_stats),
                "model": asdict(self.model_stats) if self.model_stats else None,
            },
        }

    def _account_json(self, handle: str) -> dict[str, object]:
        """Return the figures of an account with training posts, held-out posts or both."""
        figures: dict[str, object] = {}
        if handle in self.scores.after:
            figures |= _comparison(self.scores.before[handle], self.scores.after[handle])
        if account := self.accounts.get(handle):
            figures |= {
                "trainTokens": account.tokens,
                "textStats": asdict(account.text_stats),
                "memorizedFraction": account.memorized_fraction,
            }
        return figures


def build_evaluation_report(
    scores: ScoreComparison,
    tokens: Mapping[str, int],
    samples: Sequence[Sample],
    posts: Mapping[str, Sequence[str]],
    held_out: Sequence[str],
) -> EvaluationReport:
    """Return the evaluation of a model, with a comparison of its samples and training posts.

    Args:
        scores: scores of the held-out posts before and after training.
        tokens: number of training tokens, by handle.
        samples: samples of the model.
        posts: training posts by handle, none of them empty.
        held_out: held-out posts.
    """
    flagged = {handle: flag_samples(samples, texts) for handle, texts in posts.items()}
    merged = merge_flags(flagged.values())
    texts = [sample.text for sample in merged if not sample.prompt] or [sample.text for sample in merged]
    all_posts = list(chain.from_iterable(posts.values()))
    variety_texts = min(filter(None, (len(texts), *map(len, posts.values()))))
    return EvaluationReport(
        scores=scores,
        accounts={
            handle: AccountReport(
                tokens[handle], measure_texts(written, variety_texts), memorized_fraction(flagged[handle])
            )
            for handle, written in posts.items()
        },
        samples=tuple(merged),
        author_repeated_fraction=repeated_fraction(held_out, all_posts),
        author_stats=measure_texts(all_posts, variety_texts),
        model_stats=measure_texts(texts, variety_texts) if texts else None,
    )


def format_decimal(value: float) -> str:
    """Return a number in the notation of the API, limited to `MAX_DECIMAL`."""
    return f"{min(value, MAX_DECIMAL):.4g}"


def _comparison(before: Scores, after: Scores) -> dict[str, object]:
    return {"tokens": after.tokens, "bytes": after.bytes, "before": _figures(before), "after": _figures(after)}


def _figures(scores: Scores) -> dict[str, float]:
    return {
        "loss": scores.loss,
        "perplexity": min(scores.perplexity, MAX_DECIMAL),
        "bitsPerByte": scores.bits_per_byte,
    }
