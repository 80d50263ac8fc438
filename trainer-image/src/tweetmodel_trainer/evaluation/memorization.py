"""Finds memorized samples: samples that repeat a training post exactly or in eight consecutive words.

The comparison ignores case, punctuation and spacing. There are few samples and possibly millions of posts, so the
samples are indexed and the posts are read once.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tweetmodel_trainer.evaluation.sample import MEMORIZATION_LEVELS, Memorization, Sample

NGRAM_WORDS = 8
"""Consecutive words that count as memorized; texts rarely share so many by chance."""

Words = tuple[str, ...]

_WORD = re.compile(r"\w+")


def words(text: str) -> Words:
    """Return the case-folded words of a text. A text without words, such as one of emoji, is a single word."""
    return tuple(_WORD.findall(text.casefold())) or (text,)


def flag_samples(samples: Sequence[Sample], posts: Iterable[str]) -> list[Sample]:
    """Return the samples with their memorization and duplicates marked.

    Args:
        samples: samples in the order in which they were drawn.
        posts: texts of the training posts.
    """
    sample_words = [words(sample.text) for sample in samples]
    levels = _memorization_levels(sample_words, posts)
    first_index: dict[Words, int] = {}
    for index, found in enumerate(sample_words):
        first_index.setdefault(found, index)
    return [
        replace(sample, memorization=levels[index], duplicate=first_index[sample_words[index]] != index)
        for index, sample in enumerate(samples)
    ]


def merge_flags(flagged: Iterable[Sequence[Sample]]) -> list[Sample]:
    """Return each sample with the highest memorization level among several flaggings of the same samples."""

    def level(sample: Sample) -> int:
        return MEMORIZATION_LEVELS.index(sample.memorization)

    return [max(versions, key=level) for versions in zip(*flagged, strict=True)]


def rank_samples(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Return the samples to show first, without duplicates.

    Samples without a prompt precede samples with a prompt, and within both groups new samples precede overlapping
    ones. Exact copies of a post come last.
    """
    distinct = [sample for sample in samples if not sample.duplicate]

    def rank(sample: Sample) -> tuple[bool, bool, bool]:
        return sample.memorization == "exact", bool(sample.prompt), sample.memorization == "overlap"

    return sorted(distinct, key=rank)[:count]


def repeated_fraction(texts: Sequence[str], posts: Iterable[str]) -> float:
    """Return the fraction of texts with a repeated post, by the same rules as for samples; 0 without texts."""
    return memorized_fraction(flag_samples([Sample("", text) for text in texts], posts))


def memorized_fraction(samples: Sequence[Sample], levels: Sequence[Memorization] = ("overlap", "exact")) -> float:
    """Return the fraction of samples with any of these memorization levels; 0 without samples."""
    if not samples:
        return 0.0
    return sum(sample.memorization in levels for sample in samples) / len(samples)


def duplicate_fraction(samples: Sequence[Sample]) -> float:
    """Return the fraction of samples that repeat an earlier sample; 0 without samples."""
    if not samples:
        return 0.0
    return sum(sample.duplicate for sample in samples) / len(samples)


def _memorization_levels(samples: Sequence[Words], posts: Iterable[str]) -> list[Memorization]:
    texts: set[Words] = set(samples)
    ngrams: dict[Words, set[int]] = {}
    for index, sample in enumerate(samples):
        for ngram in _ngrams(sample):
            ngrams.setdefault(ngram, set()).add(index)
    exact: set[Words] = set()
    overlapping: set[int] = set()
    for post in posts:
        post_words = words(post)
        if post_words in texts:
            exact.add(post_words)
        for ngram in _ngrams(post_words):
            overlapping |= ngrams.get(ngram, set())

    def level(index: int, sample: Words) -> Memorization:
        if sample in exact:
            return "exact"
        return "overlap" if index in overlapping else "none"

    return [level(index, sample) for index, sample in enumerate(samples)]


def _ngrams(text: Words) -> Iterator[Words]:
    return (text[start : start + NGRAM_WORDS] for start in range(len(text) - NGRAM_WORDS + 1))
