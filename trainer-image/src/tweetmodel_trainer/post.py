"""A post as it came from a source, before cleaning."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Post:
    """One post of one account."""

    handle: str
    id: str
    text: str
