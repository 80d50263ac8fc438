"""Normalizes texts by the rules of huggingtweets: entities, links and whitespace."""

import re
from collections.abc import Callable, Iterable

from tweetmodel_api.spec import Cleaning

END_OF_TEXT = "<|endoftext|>"

_LINK_RULES = tuple(
    (re.compile(pattern), replacement)
    for link in (r"http:\S++", r"https:\S++")
    for pattern, replacement in (
        (f" {link}", ""),
        (f"({link}(?! ))|{link} ", r"\1"),
        (f"\n{link} ", ""),
        (f"\n?{link}", ""),
    )
)
"""Replacements that remove a link together with the neighboring space, in the order of huggingtweets. The second rule
also matches a link without a following space, and keeps the link; otherwise a link with many `http:` would take
quadratic time."""
_ENTITIES = (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))

DEFAULT = Cleaning()


def unescape_entities(text: str) -> str:
    """Replace the three entities of X, in the order of huggingtweets."""
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return text


def remove_links(text: str) -> str:
    """Remove links with a neighboring space, in the steps of huggingtweets."""
    if "http" in text:
        for pattern, replacement in _LINK_RULES:
            text = pattern.sub(replacement, text)
    return text


def remove_invalid_characters(text: str) -> str:
    """Remove NUL, characters without a UTF-8 encoding, and the separator token of posts."""
    text = text.replace("\x00", "")
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode()
    return text.replace(END_OF_TEXT, " ")  # by a space, or the two sides could form another token


def collapse_whitespace(text: str) -> str:
    """Replace each run of spaces and line breaks by a space, and strip both ends."""
    return " ".join(text.split())


def normalization_steps(cleaning: Cleaning = DEFAULT) -> tuple[Callable[[str], str], ...]:
    """Return the functions of normalization, in order. Invalid characters are always removed."""
    steps: list[Callable[[str], str]] = []
    if "Entities" in cleaning.normalize:
        steps.append(unescape_entities)
    if "Links" in cleaning.normalize:
        steps.append(remove_links)
    steps.append(remove_invalid_characters)
    if "Whitespace" in cleaning.normalize:
        steps.append(collapse_whitespace)
    return tuple(steps)


def normalize(text: str, steps: Iterable[Callable[[str], str]] = normalization_steps()) -> str:  # a constant tuple
    """Return the text after all steps."""
    for step in steps:
        text = step(text)
    return text
