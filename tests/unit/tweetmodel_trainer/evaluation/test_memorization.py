"""What counts as a copy, and which samples are shown first."""

from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_trainer.evaluation.memorization import RUN, flagged, ranked, share_of_copies, share_of_duplicates
from tweetmodel_trainer.evaluation.sample import Sample

POST = "The gull has taken my sandwich again and the fog did nothing to stop it."
EIGHT = "the gull has taken my sandwich again and"


def copy_of(text: str, *posts: str) -> str:
    return flagged([Sample("", text)], posts or [POST])[0].copy


def test_a_whole_post_is_an_exact_copy_whatever_its_case_and_punctuation() -> None:
    assert copy_of(POST) == "exact"
    assert copy_of("the gull, has taken my SANDWICH again; and the fog did nothing to stop it!") == "exact"


def test_eight_words_in_a_row_are_an_overlap_and_seven_are_none() -> None:
    assert copy_of(f"Today {EIGHT} flew off") == "overlap"
    assert copy_of(f"Today {EIGHT.removesuffix(' and')} flew off") == "none"
    assert copy_of(f"{POST} And so on.") == "overlap"


def test_words_of_two_posts_one_after_the_other_are_no_overlap() -> None:
    assert copy_of("one two three four five six seven eight", "one two three four", "five six seven eight") == "none"


def test_a_short_post_is_copied_only_as_a_whole() -> None:
    assert copy_of("gulls again", "gulls again") == "exact"
    assert copy_of("gulls again today", "gulls again") == "none"


def test_texts_without_words_are_told_apart() -> None:
    assert copy_of("\U0001f426\U0001f426", "\U0001f426") == "none"
    assert copy_of("\U0001f426", "\U0001f426") == "exact"


def test_the_first_of_equal_samples_is_no_duplicate() -> None:
    samples = flagged([Sample("", "A gull."), Sample("", "fog"), Sample("a", "a gull")], [])
    assert [sample.duplicate for sample in samples] == [False, False, True]


def test_unprompted_samples_come_first_whole_copies_last_and_duplicates_never() -> None:
    samples = [
        Sample("", "copied", copy="exact"),
        Sample("", "shared", copy="overlap"),
        Sample("I'm", "I'm prompted"),
        Sample("", "free"),
        Sample("", "free", duplicate=True),
    ]
    assert [sample.text for sample in ranked(samples, 10)] == ["free", "shared", "I'm prompted", "copied"]
    assert [sample.text for sample in ranked(samples, 1)] == ["free"]


def test_shares_of_no_samples_are_zero() -> None:
    assert share_of_copies([]) == share_of_duplicates([]) == 0


@given(st.lists(st.text(min_size=1), max_size=20), st.data())
def test_a_post_given_back_is_always_found(posts: list[str], data: st.DataObject) -> None:
    if posts:
        assert copy_of(data.draw(st.sampled_from(posts)), *posts) == "exact"


@given(st.lists(st.sampled_from("abc"), max_size=14), st.lists(st.lists(st.sampled_from("abc"), max_size=14)))
def test_an_overlap_is_what_a_search_by_hand_finds(sample: list[str], posts: list[list[str]]) -> None:
    def runs(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}

    found = copy_of(" ".join(sample), *(" ".join(post) for post in posts), "unlike")
    by_hand = "exact" if sample in posts and sample else "overlap" if any(runs(sample) & runs(p) for p in posts) else ""
    assert found == (by_hand or ("exact" if not sample and [] in posts else "none"))
