"""What can honestly be said of a trained model: how well it predicts, what it copies, how it sounds.

The figures go to evaluation.json, the ones that decide something to the status, and a sentence to its reader.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Literal

from tweetmodel_api.status import Evaluation
from tweetmodel_trainer.evaluation.memorization import (
    flagged,
    merged,
    share_of_copies,
    share_of_duplicates,
    share_of_repeats,
)
from tweetmodel_trainer.evaluation.sample import Sample
from tweetmodel_trainer.evaluation.scores import Scores, total
from tweetmodel_trainer.evaluation.text_stats import Voice, voice

LARGEST = 9.999e99
"""What an infinite perplexity is written as: the contract knows numbers alone."""

BARELY = 0.02
"""A loss that falls by a smaller share than this may as well be chance."""

MANY_COPIES = 0.25
"""By how much the model may repeat posts more often than their author does before it is said to recite."""


@dataclass(frozen=True)
class Author:
    """What the model read of one account, and what it took from it."""

    tokens: int
    """Of its training posts, the closing one of each included."""
    voice: Voice
    """Of its training posts."""
    copied: float
    """Share of the samples that repeat one of them, as a whole or in eight words in a row."""


@dataclass(frozen=True)
class Assessment:
    """Everything that was measured."""

    before: Mapping[str, Scores]
    """Of the base model, by the account that the held-out posts are of."""
    after: Mapping[str, Scores]
    authors: Mapping[str, Author]
    """By the account that the training posts are of."""
    samples: tuple[Sample, ...]
    """With their flags."""
    author_copied: float
    """Share of held-out posts that repeat a training post: who has pet phrases repeats them, and so may the model."""
    author: Voice
    """Of all training posts."""
    model: Voice | None
    """Of the samples without a prompt, where there are any; None without samples."""

    @property
    def loss_fell(self) -> float:
        """By which share the held-out loss fell; negative where it rose."""
        return 1 - total(self.after.values()).loss / total(self.before.values()).loss

    @property
    def verdict(self) -> Literal["learnt", "barely learnt", "did not learn"]:
        """Whether the model learnt anything."""
        if self.loss_fell <= 0:
            return "did not learn"
        return "learnt" if self.loss_fell >= BARELY else "barely learnt"

    @property
    def copied(self) -> float:
        """Share of samples that repeat a training post, as a whole or in eight words in a row."""
        return share_of_copies(self.samples)

    @property
    def sentence(self) -> str:
        """Whether the model learnt anything, in words."""
        before, after = total(self.before.values()), total(self.after.values())
        told = (
            f"The model {self.verdict}: perplexity on held-out posts went from {before.perplexity:,.4g} "
            f"to {after.perplexity:,.4g}."
        )
        if self.verdict != "learnt":
            return f"{told} Try other values in spec.training."
        if self.copied - self.author_copied > MANY_COPIES:
            return (
                f"{told} {self.copied:.0%} of its samples repeat a training post (of the author's own other posts "
                f"{self.author_copied:.0%} do): fewer epochs make it freer."
            )
        return told

    @property
    def evaluation(self) -> Evaluation:
        """The figures as the status has them."""
        before, after = total(self.before.values()), total(self.after.values())
        return Evaluation(
            loss_before=decimal(before.loss),
            loss=decimal(after.loss),
            perplexity_before=decimal(before.perplexity),
            perplexity=decimal(after.perplexity),
            bits_per_byte=decimal(after.bits_per_byte),
            memorized_fraction=decimal(self.copied) if self.samples else None,
        )

    @property
    def figures(self) -> dict[str, float]:
        """The same, by the names that trackers give what was measured on held-out posts."""
        return {f"eval_{name}": float(value) for name, value in self.evaluation.model_dump(exclude_none=True).items()}

    def to_json(self) -> dict[str, object]:
        """What evaluation.json holds."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "trainTokens": sum(author.tokens for author in self.authors.values()),
            "heldOut": _compared(total(self.before.values()), total(self.after.values())),
            "byAuthor": {handle: self._by(handle) for handle in {**self.after, **self.authors}},
            "samples": {
                "count": len(self.samples),
                "exactCopies": share_of_copies(self.samples, ["exact"]),
                "overlaps": share_of_copies(self.samples, ["overlap"]),
                "duplicates": share_of_duplicates(self.samples),
            },
            "authorRepeats": self.author_copied,
            "voice": {"author": asdict(self.author), "model": asdict(self.model) if self.model else None},
        }

    def _by(self, handle: str) -> dict[str, object]:
        """An account of which no post was held out, or none was trained on, has a part of this alone."""
        author = self.authors.get(handle)
        scored = _compared(self.before[handle], self.after[handle]) if handle in self.after else {}
        if author is None:
            return scored
        return scored | {
            "trainTokens": author.tokens,
            "voice": asdict(author.voice),
            "copiedBySamples": author.copied,
        }


def assess(
    before: Mapping[str, Scores],
    after: Mapping[str, Scores],
    samples: Sequence[Sample],
    posts: Mapping[str, Sequence[str]],
    held_out: Sequence[str],
    tokens: Mapping[str, int],
) -> Assessment:
    """Flags the samples and measures them beside the posts that the model was trained on, and those it was not.

    Args:
        before: scores of the base model on the held-out posts, by account.
        after: the model's.
        samples: what it wrote.
        posts: that it was trained on, by account, of each at least one.
        held_out: the others.
        tokens: of `posts`.
    """
    copies = {handle: flagged(samples, texts) for handle, texts in posts.items()}
    known = merged(copies.values())
    free = [sample.text for sample in known if not sample.prompt] or [sample.text for sample in known]
    everything = list(chain.from_iterable(posts.values()))
    compared = min(filter(None, (len(free), *map(len, posts.values()))))
    return Assessment(
        before=before,
        after=after,
        authors={
            handle: Author(tokens[handle], voice(texts, compared), share_of_copies(copies[handle]))
            for handle, texts in posts.items()
        },
        samples=tuple(known),
        author_copied=share_of_repeats(held_out, everything),
        author=voice(everything, compared),
        model=voice(free, compared) if free else None,
    )


def decimal(value: float) -> str:
    """A number as the contract writes it."""
    return f"{min(value, LARGEST):.4g}"


def _compared(before: Scores, after: Scores) -> dict[str, object]:
    return {"tokens": after.tokens, "bytes": after.bytes, "before": _figures(before), "after": _figures(after)}


def _figures(scores: Scores) -> dict[str, float]:
    return {
        "loss": scores.loss,
        "perplexity": min(scores.perplexity, LARGEST),
        "bitsPerByte": scores.bits_per_byte,
    }
