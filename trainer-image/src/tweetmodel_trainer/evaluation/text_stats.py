"""How texts look from afar: length, mentions, hashtags and variety, of the model beside its author.

Variety is distinct-n (Li et al. 2016, A Diversity-Promoting Objective Function for Neural Conversation Models,
section 5): different n-grams over all n-grams. It falls as text grows, so it is compared over equally many texts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MENTION = re.compile(r"(?<!\w)@\w")
_HASHTAG = re.compile(r"(?<!\w)#\w")


@dataclass(frozen=True)
class Voice:
    """Numbers of a set of texts."""

    texts: int
    characters: float
    """Mean length."""
    mentions: float
    """Share of the texts that mention somebody."""
    hashtags: float
    """Share of the texts with a hashtag."""
    distinct_1: float
    """Different words over all words."""
    distinct_2: float
    """Different pairs of neighbouring words over all pairs."""


def voice(texts: Sequence[str], compared: int) -> Voice:
    """The voice of at least one text; variety is measured over `compared` of them, evenly spaced."""
    chosen = spaced(texts, compared)
    return Voice(
        texts=len(texts),
        characters=sum(map(len, texts)) / len(texts),
        mentions=sum(bool(_MENTION.search(text)) for text in texts) / len(texts),
        hashtags=sum(bool(_HASHTAG.search(text)) for text in texts) / len(texts),
        distinct_1=distinct(chosen, 1),
        distinct_2=distinct(chosen, 2),
    )


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams over all n-grams, words as white space parts them, case-folded; 0 where there is none."""
    grams = [tuple(words[at : at + n]) for words in _split(texts) for at in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def spaced(texts: Sequence[str], count: int) -> list[str]:
    """`count` of the texts, evenly spaced over their order; all where there are fewer."""
    if len(texts) <= count:
        return list(texts)
    return [texts[index * len(texts) // count] for index in range(count)]


def _split(texts: Sequence[str]) -> list[list[str]]:
    return [text.casefold().split() for text in texts]
