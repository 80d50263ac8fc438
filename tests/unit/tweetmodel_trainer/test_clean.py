import generate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_trainer.clean import END_OF_TEXT, Counts, clean, cleaned, is_retweet, is_short
from tweetmodel_trainer.post import Post


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        ("tea &amp; toast &lt;3", "tea & toast <3"),
        ("&amp;lt;", "<"),
        ("look https://t.co/abc", "look"),
        ("https://t.co/abc look", "look"),
        ("one\nhttps://t.co/abc\ntwo", "one two"),
        ("one  two\n\n three ", "one two three"),
        ("nul\x00l and \ud800 half a pair", "null and half a pair"),
        (f"a {END_OF_TEXT} b", "a b"),
        (f"{END_OF_TEXT[:5]}{END_OF_TEXT}{END_OF_TEXT[5:]}", "<|end oftext|>"),
        ("<|endof\0text|>", ""),
        ("&lt;|endoftext|&gt;", ""),
        (f"a{' ' * 1_000_000}b", "a b"),
        (END_OF_TEXT[:5] * 100_000 + END_OF_TEXT[5:] * 100_000, "<|end" * 99_999 + " " + "oftext|>" * 99_999),
        ("🌊🌊 مرحبا بالعالم", "🌊🌊 مرحبا بالعالم"),
    ],
)
def test_a_post_is_cleaned(raw: str, left: str) -> None:
    assert clean(raw) == left


@pytest.mark.parametrize(
    ("text", "short"),
    [("three plain words", False), ("two words", True), ("@ada thanks #fog so much", False), ("", True)],
)
def test_a_post_needs_three_plain_words(text: str, short: bool) -> None:
    assert is_short(text) is short


def test_a_link_a_mention_and_a_hashtag_are_no_plain_words() -> None:
    assert is_short("@ada #fog http thanks much")
    assert not is_short("@ada #fog http thanks so much")


def test_a_retweet_is_told_by_its_beginning() -> None:
    assert is_retweet("RT @gerald: mine")
    assert not is_retweet("I said RT @gerald")


def test_the_sample_archive_gives_the_table_that_huggingtweets_shows() -> None:
    counts = Counts()
    texts = (tweet["full_text"] for tweet in generate.tweets(1))
    kept = list(cleaned((Post("ada", "1", text) for text in texts), counts))
    assert (counts.downloaded, counts.retweets, counts.short, counts.kept) == (3249, 610, 6, 2633)
    assert counts.characters == sum(len(post.text) for post in kept) > 40_000


@given(st.text())
def test_cleaning_twice_is_cleaning_once_unless_entities_were_nested(text: str) -> None:
    once = clean(text.replace("&", ""))
    assert clean(once) == once


@given(st.text(st.characters()))
def test_what_is_left_can_be_written_as_utf8_and_holds_no_control_token(text: str) -> None:
    left = clean(text)
    left.encode()
    assert END_OF_TEXT not in left
    assert "\x00" not in left
    assert left == left.strip()
