"""Tests of memorization, and of the ranking of samples."""

from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_trainer.evaluation.memorization import (
    NGRAM_WORDS,
    duplicate_fraction,
    flag_samples,
    memorized_fraction,
    rank_samples,
)
from tweetmodel_trainer.evaluation.sample import Sample

POST = "The gull has taken my sandwich again and the fog did nothing to stop it."
EIGHT = "the gull has taken my sandwich again and"


def level_of(text: str, *posts: str) -> str:
    return flag_samples([Sample("", text)], posts or [POST])[0].memorization


def test_exact_copies_ignore_case_and_punctuation() -> None:
    assert level_of(POST) == "exact"
    assert level_of("the gull, has taken my SANDWICH again; and the fog did nothing to stop it!") == "exact"


def test_eight_consecutive_words_are_an_overlap() -> None:
    assert level_of(f"Today {EIGHT} flew off") == "overlap"
    assert level_of(f"Today {EIGHT.removesuffix(' and')} flew off") == "none"
    assert level_of(f"{POST} And so on.") == "overlap"


def test_words_of_two_posts_are_not_an_overlap() -> None:
    assert level_of("one two three four five six seven eight", "one two three four", "five six seven eight") == "none"


def test_a_short_post_has_only_exact_copies() -> None:
    assert level_of("gulls again", "gulls again") == "exact"
    assert level_of("gulls again today", "gulls again") == "none"


def test_texts_without_words_are_compared_literally() -> None:
    assert level_of("\U0001f426\U0001f426", "\U0001f426") == "none"
    assert level_of("\U0001f426", "\U0001f426") == "exact"


def test_the_first_of_equal_samples_is_not_a_duplicate() -> None:
    samples = flag_samples([Sample("", "A gull."), Sample("", "fog"), Sample("a", "a gull")], [])
    assert [sample.duplicate for sample in samples] == [False, False, True]


def test_ranking_prefers_new_samples_without_a_prompt() -> None:
    samples = [
        Sample("", "copied", memorization="exact"),
        Sample("", "shared", memorization="overlap"),
        Sample("I'm", "I'm prompted"),
        Sample("", "free"),
        Sample("", "free", duplicate=True),
    ]
    assert [sample.text for sample in rank_samples(samples, 10)] == ["free", "shared", "I'm prompted", "copied"]
    assert [sample.text for sample in rank_samples(samples, 1)] == ["free"]


def test_fractions_without_samples_are_zero() -> None:
    assert memorized_fraction([]) == duplicate_fraction([]) == 0


@given(st.lists(st.text(min_size=1), max_size=20), st.data())
def test_a_repeated_post_is_always_found(posts: list[str], data: st.DataObject) -> None:
    if posts:
        assert level_of(data.draw(st.sampled_from(posts)), *posts) == "exact"


@given(st.lists(st.sampled_from("abc"), max_size=14), st.lists(st.lists(st.sampled_from("abc"), max_size=14)))
def test_overlaps_equal_those_of_a_simple_search(sample: list[str], posts: list[list[str]]) -> None:
    def ngrams(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[at : at + NGRAM_WORDS]) for at in range(len(words) - NGRAM_WORDS + 1)}

    found = level_of(" ".join(sample), *(" ".join(post) for post in posts), "unlike")
    if sample in posts:
        expected = "exact"
    elif any(ngrams(sample) & ngrams(post) for post in posts):
        expected = "overlap"
    else:
        expected = "none"
    assert found == expected
