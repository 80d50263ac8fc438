"""Finds the samples that were learnt by heart: a training post as a whole, or eight of its words in a row.

Case, punctuation and spacing don't hide a copy. Samples are few and posts may be millions, so the samples are
indexed and the posts are read once.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tweetmodel_trainer.evaluation.sample import KINDS, Copy, Sample

RUN = 8
"""Words in a row that are taken for a copy; so long a run is rarely chance."""

Words = tuple[str, ...]

_WORD = re.compile(r"\w+")


def words(text: str) -> Words:
    """The words of a text, case-folded; a text without any, such as one of emoji, is one word."""
    return tuple(_WORD.findall(text.casefold())) or (text,)


def flagged(samples: Sequence[Sample], posts: Iterable[str]) -> list[Sample]:
    """The samples, each with what is known against it.

    Args:
        samples: in the order in which they were drawn.
        posts: the texts that the model was trained on.
    """
    said = [words(sample.text) for sample in samples]
    copied = _copies(said, posts)
    first: dict[Words, int] = {}
    for index, sentence in enumerate(said):
        first.setdefault(sentence, index)
    return [
        replace(sample, copy=copied[index], duplicate=first[said[index]] != index)
        for index, sample in enumerate(samples)
    ]


def merged(told: Iterable[Sequence[Sample]]) -> list[Sample]:
    """The same samples, flagged by several sets of posts, each with the worst that is known against it."""
    return [max(same, key=lambda sample: KINDS.index(sample.copy)) for same in zip(*told, strict=True)]


def ranked(samples: Sequence[Sample], count: int) -> list[Sample]:
    """The samples to show first: no duplicates, whole copies last, unprompted ones and then original ones first."""
    shown = [sample for sample in samples if not sample.duplicate]
    return sorted(shown, key=lambda s: (s.copy == "exact", bool(s.prompt), s.copy == "overlap"))[:count]


def share_of_repeats(texts: Sequence[str], posts: Iterable[str]) -> float:
    """The share of texts that repeat one of the posts, as a whole or in eight words in a row; 0 of none."""
    return share_of_copies(flagged([Sample("", text) for text in texts], posts))


def share_of_copies(samples: Sequence[Sample], kinds: Sequence[Copy] = ("overlap", "exact")) -> float:
    """The share of samples that repeat a training post in one of these ways; 0 of none."""
    return sum(sample.copy in kinds for sample in samples) / len(samples) if samples else 0.0


def share_of_duplicates(samples: Sequence[Sample]) -> float:
    """The share of samples that say what an earlier one said; 0 of none."""
    return sum(sample.duplicate for sample in samples) / len(samples) if samples else 0.0


def _copies(said: Sequence[Words], posts: Iterable[str]) -> list[Copy]:
    whole: set[Words] = set(said)
    parts: dict[Words, set[int]] = {}
    for index, sentence in enumerate(said):
        for run in _runs(sentence):
            parts.setdefault(run, set()).add(index)
    found: set[Words] = set()
    overlapping: set[int] = set()
    for post in posts:
        sentence = words(post)
        if sentence in whole:
            found.add(sentence)
        for run in _runs(sentence):
            overlapping |= parts.get(run, set())
    return [
        "exact" if sentence in found else "overlap" if index in overlapping else "none"
        for index, sentence in enumerate(said)
    ]


def _runs(sentence: Words) -> Iterator[Words]:
    return (sentence[at : at + RUN] for at in range(len(sentence) - RUN + 1))
