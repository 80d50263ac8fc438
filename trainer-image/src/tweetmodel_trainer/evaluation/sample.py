"""A sample of a model, and the settings of sampling."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from tweetmodel_api.spec import Generation

Memorization = Literal["none", "overlap", "exact"]
"""Similarity of a sample to the training posts: none, eight consecutive words, or a whole post."""
MEMORIZATION_LEVELS: tuple[Memorization, ...] = get_args(Memorization)
"""All levels in ascending order."""


class SamplingSettings(NamedTuple):
    """Sampling settings of spec.generation within the limits of the model."""

    temperature: float
    top_p: float
    max_new_tokens: int
    """Maximum number of tokens after the prompt; leaves half of the context to the prompt."""

    @classmethod
    def of(cls, generation: Generation, context: int) -> "SamplingSettings":
        """Return the settings for a model with a context of `context` tokens."""
        return cls(
            temperature=max(float(generation.temperature), 1e-3),
            top_p=min(max(float(generation.top_p), 1e-3), 1.0),
            max_new_tokens=min(generation.max_new_tokens, context // 2),
        )


@dataclass(frozen=True)
class Sample:
    """A generated tweet; a line of samples.jsonl."""

    prompt: str
    text: str
    """Text including the prompt."""
    memorization: Memorization = "none"
    duplicate: bool = False
    """True if an earlier sample has the same words."""
