"""Tests of text statistics."""

import pytest

from tweetmodel_trainer.evaluation.text_stats import distinct_n, evenly_spaced, measure_texts


def test_distinct_n_divides_distinct_by_all_ngrams() -> None:
    assert distinct_n(["a b a b"], 1) == 0.5
    assert distinct_n(["a b a b"], 2) == pytest.approx(2 / 3)
    assert distinct_n(["a b", "b a"], 2) == 1
    assert distinct_n(["", "a"], 2) == 0


def test_word_pairs_do_not_span_texts() -> None:
    assert distinct_n(["a b", "a b"], 2) == 0.5


def test_mentions_and_hashtags_are_distinguished_from_addresses() -> None:
    stats = measure_texts(["@ada hello", "mail me: a@b.c", "so #foggy", "C# is a key", "(@bob)"], 5)
    assert (stats.mentions, stats.hashtags) == (0.4, 0.2)


def test_length_is_the_mean_over_all_texts() -> None:
    assert measure_texts(["abc", "a"], 1).characters == 2


def test_variety_is_measured_over_evenly_spaced_texts() -> None:
    posts = [f"word{n} word{n % 3}" for n in range(90)]
    assert (
        measure_texts(posts, 9).distinct_1
        == distinct_n(evenly_spaced(posts, 9), 1)
        > measure_texts(posts, 90).distinct_1
    )
    assert evenly_spaced(posts, 3) == [posts[0], posts[30], posts[60]]
    assert evenly_spaced(posts[:2], 5) == posts[:2]
