"""A sample of a model, the checks of its text, and the settings of sampling."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from tweetmodel_api.spec import Generation
from tweetmodel_trainer.data.normalize import collapse_whitespace

Memorization = Literal["none", "overlap", "exact"]
"""Similarity of a sample to the training posts: none, eight consecutive words, or a whole post."""
MEMORIZATION_LEVELS: tuple[Memorization, ...] = get_args(Memorization)
"""All levels in ascending order."""

_BIDI_CONTROLS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Bidirectional controls. Unclosed controls reorder the following text (Trojan Source, 2021)."""


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


def contains_blocked_word(text: str, words: Sequence[str]) -> bool:
    """Return whether a text contains any of the words, as a whole word in any case."""
    folded = text.casefold()
    return any(re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", folded) for word in words)


def printable(text: str) -> str:
    """Return a text as one line without control characters, bidirectional controls and replacement characters."""
    return collapse_whitespace("".join(c for c in collapse_whitespace(text) if _is_printable(c)))


def _is_printable(character: str) -> bool:
    if character == "\ufffd" or ord(character) in _BIDI_CONTROLS:
        return False
    return unicodedata.category(character) not in ("Cc", "Cs")
