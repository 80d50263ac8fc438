"""Scores of a model on held-out posts: cross-entropy, perplexity and bits per byte.

Scores are kept as sums instead of means, so that the scores of several accounts add up to the scores of all posts.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_LOSS = 700.0
"""Nats per token; the perplexity of a higher loss exceeds the range of a float."""


@dataclass(frozen=True)
class Scores:
    """Sums over held-out posts."""

    nats: float
    """Negative log-likelihood of all scored tokens."""
    tokens: int
    """Number of scored tokens, including the end-of-text token of each post."""
    bytes: int
    """UTF-8 bytes of the posts."""

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats per token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """Exponential of the loss; infinite beyond the range of a float."""
        return math.exp(self.loss) if self.loss < MAX_LOSS else math.inf

    @property
    def bits_per_byte(self) -> float:
        """Cross-entropy in bits per byte, comparable between tokenizers (Gao et al. 2020, The Pile, section 3.1).

        End-of-text tokens add to the bits but not to the bytes, so very short posts score a few percent too high.
        Empty posts without any byte count as a single byte.
        """
        return self.nats / math.log(2) / max(self.bytes, 1)


@dataclass(frozen=True)
class ScoreComparison:
    """Scores on the held-out posts of each account, by handle, before and after training."""

    before: Mapping[str, Scores]
    """Scores of the base model."""
    after: Mapping[str, Scores]
    """Scores of the trained model."""

    @property
    def total_before(self) -> Scores:
        """Scores of the base model on all held-out posts."""
        return total(self.before.values())

    @property
    def total_after(self) -> Scores:
        """Scores of the trained model on all held-out posts."""
        return total(self.after.values())


def total(scores: Iterable[Scores]) -> Scores:
    """Return the sum of several scores."""
    rows = list(scores)
    return Scores(sum(s.nats for s in rows), sum(s.tokens for s in rows), sum(s.bytes for s in rows))
