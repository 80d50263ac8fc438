"""Normalization of texts as huggingtweets did it: entities, links, spaces."""

import re
from collections.abc import Callable, Iterable

from tweetmodel_api.spec import Cleaning

END_OF_TEXT = "<|endoftext|>"

_LINKS = tuple(
    (re.compile(found), left)
    for link in (r"http:\S++", r"https:\S++")
    for found, left in ((f" {link}", ""), (f"({link}(?! ))|{link} ", r"\1"), (f"\n{link} ", ""), (f"\n?{link}", ""))
)
"""What is found of a link and what is left of that: by these steps huggingtweets joins what stood around it. In the
second a link with no space behind it is found too, and left: else each `http:` in it would be read to its end."""
_MARKUP = (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
DEFAULT = Cleaning()


def unescape_entities(text: str) -> str:
    """Undoes the three entities that X writes, in the order in which huggingtweets does."""
    if "&" in text:
        for entity, character in _MARKUP:
            text = text.replace(entity, character)
    return text


def remove_links(text: str) -> str:
    """Removes links with a space beside them, in the steps in which huggingtweets does."""
    if "http" in text:
        for found, left in _LINKS:
            text = found.sub(left, text)
    return text


def remove_invalid_characters(text: str) -> str:
    """Removes what UTF-8 can't tell, NUL, and the mark that separates posts in training. No spec turns this off."""
    text = text.replace("\x00", "")
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode()
    return text.replace(END_OF_TEXT, " ")  # by a space, or the halves of another could join


def collapse_whitespace(text: str) -> str:
    """One space for every run of spaces and line breaks, none at the ends."""
    return " ".join(text.split())


def normalization_steps(how: Cleaning = DEFAULT) -> tuple[Callable[[str], str], ...]:
    """What is done to a text, in order."""
    rules = (
        ("Entities", unescape_entities),
        ("Links", remove_links),
        ("", remove_invalid_characters),
        ("Whitespace", collapse_whitespace),
    )
    return tuple(rule for name, rule in rules if not name or name in how.normalize)


def normalize(text: str, rules: Iterable[Callable[[str], str]] = normalization_steps()) -> str:  # pure, and a constant
    """A post's text after all rules."""
    for rule in rules:
        text = rule(text)
    return text
