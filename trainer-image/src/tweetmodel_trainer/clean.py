"""Cleaning as huggingtweets did it: each rule a function, the pipeline a list of them.

The numbers it must reproduce are those of the account that huggingtweets shows in its notebook: of 3,249 posts
610 retweets and 6 short ones go, 2,633 stay (github.com/borisdayma/huggingtweets).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tweetmodel_trainer.post import Post

PLAIN_WORDS_NEEDED = 3
END_OF_TEXT = "<|endoftext|>"

_URL = re.compile(r"(?<!\s)\s*https?:\S+")  # the lookbehind keeps a long gap from being tried at each space
_MARKUP = (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


def unescape(text: str) -> str:
    """Undoes the three entities that X writes, in the order in which huggingtweets does."""
    for entity, character in _MARKUP:
        text = text.replace(entity, character)
    return text


def strip_urls(text: str) -> str:
    """Removes links with the white space before them."""
    return _URL.sub("", text)


def collapse_space(text: str) -> str:
    """One space for every run of spaces and line breaks, none at the ends."""
    return " ".join(text.split())


def strip_controls(text: str) -> str:
    """Removes what UTF-8 can't tell, NUL, and the mark that separates posts in training."""
    text = text.replace("\x00", "").encode("utf-8", "ignore").decode()
    return text.replace(END_OF_TEXT, " ")  # by a space, or the halves of another could join


RULES: tuple[Callable[[str], str], ...] = (unescape, strip_urls, strip_controls, collapse_space)


def clean(text: str) -> str:
    """A post's text after all rules."""
    for rule in RULES:
        text = rule(text)
    return text


def is_retweet(text: str) -> bool:
    """Whether a post repeats somebody else's; asked of the raw text."""
    return text.startswith("RT @")


def is_short(text: str) -> bool:
    """Whether a cleaned post has fewer than three plain words: no link, mention or hashtag."""
    plain = (word for word in text.lower().split() if not any(mark in word for mark in ("http", "@", "#")))
    return sum(1 for _ in plain) < PLAIN_WORDS_NEEDED


@dataclass
class Counts:
    """What became of an account's posts."""

    downloaded: int = 0
    retweets: int = 0
    short: int = 0
    kept: int = 0
    characters: int = 0


def cleaned(posts: Iterable[Post], counts: Counts) -> Iterator[Post]:
    """The posts that stay, cleaned; `counts` is brought up to date on the way."""
    for post in posts:
        counts.downloaded += 1
        if is_retweet(post.text):
            counts.retweets += 1
            continue
        text = clean(post.text)
        if is_short(text):
            counts.short += 1
            continue
        counts.kept += 1
        counts.characters += len(text)
        yield Post(post.handle, strip_controls(post.id), text)
