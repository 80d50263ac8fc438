"""Numbers that tell how texts look from afar."""

import pytest

from tweetmodel_trainer.evaluation.text_stats import distinct, spaced, voice


def test_variety_is_different_ngrams_over_all() -> None:
    assert distinct(["a b a b"], 1) == 0.5
    assert distinct(["a b a b"], 2) == pytest.approx(2 / 3)
    assert distinct(["a b", "b a"], 2) == 1
    assert distinct(["", "a"], 2) == 0


def test_pairs_do_not_reach_over_the_end_of_a_text() -> None:
    assert distinct(["a b", "a b"], 2) == 0.5


def test_mentions_and_hashtags_are_told_from_addresses() -> None:
    told = voice(["@ada hello", "mail me: a@b.c", "so #foggy", "C# is a key", "(@bob)"], 5)
    assert (told.mentions, told.hashtags) == (0.4, 0.2)


def test_length_is_the_mean_over_all_texts() -> None:
    assert voice(["abc", "a"], 1).characters == 2


def test_variety_is_compared_over_equally_many_texts() -> None:
    posts = [f"word{n} word{n % 3}" for n in range(90)]
    assert voice(posts, 9).distinct_1 == distinct(spaced(posts, 9), 1) > voice(posts, 90).distinct_1
    assert spaced(posts, 3) == [posts[0], posts[30], posts[60]]
    assert spaced(posts[:2], 5) == posts[:2]
