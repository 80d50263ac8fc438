"""What a model's likelihood of held-out posts comes to, in the units that people compare.

Sums are kept, not means, so the scores of several accounts add up to those of all.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scores:
    """Sums over held-out posts."""

    nats: float
    """Negative log-likelihood of all scored tokens."""
    tokens: int
    """Scored tokens, the closing one of each post included."""
    bytes: int
    """UTF-8 bytes of the posts."""

    @property
    def loss(self) -> float:
        """Mean cross-entropy, nats a token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where a float can't hold it."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_byte(self) -> float:
        """Nats / ln 2 / bytes: comparable between tokenizers (Gao et al. 2020, The Pile, section 3.1).

        Posts that are all empty count as one byte: their ends alone are predicted.
        """
        return self.nats / math.log(2) / max(self.bytes, 1)


def total(scores: Iterable[Scores]) -> Scores:
    """The scores of all these posts together."""
    rows = list(scores)
    return Scores(sum(s.nats for s in rows), sum(s.tokens for s in rows), sum(s.bytes for s in rows))
