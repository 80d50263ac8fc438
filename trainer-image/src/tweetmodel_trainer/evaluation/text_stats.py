"""Text statistics for a comparison of model and author: length, mentions, hashtags and variety.

Variety is distinct-n, the number of distinct n-grams divided by the number of all n-grams (Li et al. 2016, A
Diversity-Promoting Objective Function for Neural Conversation Models, section 5). Distinct-n falls as text grows, so
it is computed over equal numbers of texts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MENTION = re.compile(r"(?<!\w)@\w")
_HASHTAG = re.compile(r"(?<!\w)#\w")


@dataclass(frozen=True)
class TextStats:
    """Statistics of a set of texts."""

    texts: int
    """Number of texts."""
    characters: float
    """Mean number of characters per text."""
    mentions: float
    """Fraction of texts with a mention."""
    hashtags: float
    """Fraction of texts with a hashtag."""
    distinct_1: float
    """Distinct words divided by all words."""
    distinct_2: float
    """Distinct pairs of adjacent words divided by all pairs."""


def measure_texts(texts: Sequence[str], variety_texts: int) -> TextStats:
    """Return the statistics of texts.

    Args:
        texts: at least one text.
        variety_texts: number of evenly spaced texts for distinct-n.
    """
    chosen = evenly_spaced(texts, variety_texts)
    return TextStats(
        texts=len(texts),
        characters=sum(map(len, texts)) / len(texts),
        mentions=sum(bool(_MENTION.search(text)) for text in texts) / len(texts),
        hashtags=sum(bool(_HASHTAG.search(text)) for text in texts) / len(texts),
        distinct_1=distinct_n(chosen, 1),
        distinct_2=distinct_n(chosen, 2),
    )


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Return the distinct n-grams of whitespace-separated, case-folded words divided by all n-grams; 0 without any."""
    split = [text.casefold().split() for text in texts]
    ngrams = [tuple(words[start : start + n]) for words in split for start in range(len(words) - n + 1)]
    return len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def evenly_spaced(texts: Sequence[str], count: int) -> list[str]:
    """Return `count` evenly spaced texts in their order, or all texts if there are fewer."""
    if len(texts) <= count:
        return list(texts)
    return [texts[index * len(texts) // count] for index in range(count)]
