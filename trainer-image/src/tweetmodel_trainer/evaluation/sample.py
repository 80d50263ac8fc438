"""A tweet that the model wrote, and what is known against it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

Copy = Literal["none", "overlap", "exact"]
"""Whether a sample repeats a training post: not, in eight words in a row, or as a whole."""
KINDS: tuple[Copy, ...] = get_args(Copy)
"""The worst last."""


class Sampling(NamedTuple):
    """How samples are drawn, within what the model can do."""

    temperature: float
    top_p: float
    longest: int
    """Tokens, the prompt included."""


@dataclass(frozen=True)
class Sample:
    """One tweet that the model wrote; a line of samples.jsonl."""

    prompt: str
    text: str
    """The prompt included."""
    copy: Copy = "none"
    duplicate: bool = False
    """Whether an earlier sample says the same."""
