import re
import time as time_module

import generate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.data.clean import clean_posts, is_retweet, is_short
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.duplicates import SeenTexts
from tweetmodel_trainer.data.normalize import END_OF_TEXT, normalization_steps, normalize
from tweetmodel_trainer.data.post import Post, to_utc_time


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        ("tea &amp; toast &lt;3", "tea & toast <3"),
        ("&amp;lt;", "<"),
        ("look https://t.co/abc", "look"),
        ("https://t.co/abc look", "look"),
        ("one\nhttps://t.co/abc\ntwo", "one two"),
        ("(https://t.co/a) text", "(text"),
        ('"https://t.co/x" he said', '"he said'),
        ("see:https://t.co/x and", "see:and"),
        ("https://web.archive.org/http://a.org/ is gone", "gone"),
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
    assert normalize(raw) == left


LINK_PIECES = ["http:", "https:", "//t.co/x", "ht", "tp:", "tps:", "s:", "(", "word", " ", "\n", "\t", "\u3000"]


@given(st.lists(st.sampled_from(LINK_PIECES), max_size=20).map("".join))
@settings(max_examples=2000)
def test_links_are_removed_as_huggingtweets_removes_them(text: str) -> None:
    left = text
    for scheme in ("http:", "https:"):
        link = rf"{scheme}\S+"
        for what in (f" {link}", f"{link} ", f"\n{link} ", f"\n{link}", link):
            left = re.sub(what, "", left)
    assert normalize(text) == " ".join(re.sub(" +", " ", left).split())


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
    kept = list(clean_posts((Post("ada", str(number), text) for number, text in enumerate(texts)), counts))
    assert (counts.downloaded, counts.retweets, counts.short, counts.kept) == (3249, 610, 6, 2633)
    assert counts.characters == sum(len(post.text) for post in kept) > 40_000


def after(posts: list[Post], **how: object) -> tuple[list[str], Counts]:
    """The texts that stay, and the counts."""
    counts = Counts()
    return [post.text for post in clean_posts(posts, counts, Cleaning.model_validate(how))], counts


def said(*texts: str) -> list[Post]:
    return [Post("ada", str(number), text) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("tidy", "left"),
    [
        (["Entities", "Links", "Whitespace"], "tea & toast, look"),
        (["Links", "Whitespace"], "tea &amp; toast, look"),
        (["Entities", "Whitespace"], "tea & toast, look https://t.co/x"),
        (["Entities", "Links"], "tea & toast,\n look"),
        ([], "tea &amp; toast,\n look https://t.co/x"),
    ],
)
def test_each_rule_for_texts_can_be_left_out(tidy: list[str], left: str) -> None:
    how = Cleaning.model_validate({"normalize": tidy})
    assert normalize("tea &amp; toast,\n look https://t.co/x", normalization_steps(how)) == left


def test_retweets_and_short_posts_stay_where_the_spec_says_so() -> None:
    posts = said("RT @bob: mine is better", "so short")
    assert after(posts)[0] == []
    assert after(posts, drop=[])[0] == ["RT @bob: mine is better", "so short"]


def test_replies_go_where_asked_for_and_threads_stay() -> None:
    thread, reply = Post("ada", "a", "and so it goes on"), Post("ada", "b", "no it does not", is_reply=True)
    posts = [thread, reply, *said("@bob it does not at all", "I told @bob that it does")]
    left, counts = after(posts, drop=["Replies"])
    assert left == ["and so it goes on", "I told @bob that it does"]
    assert counts.replies == counts.other_dropped == 2
    assert len(after(posts)[0]) == 4


def test_a_post_that_mentions_who_must_not_appear_goes() -> None:
    kept, counts = after(said("hi @Eve!", "@eve_l is not eve", "mail a@eve.org now"), excludeAccounts=["eve"], drop=[])
    assert kept == ["@eve_l is not eve", "mail a@eve.org now"]
    assert (counts.excluded, counts.other_dropped) == (1, 1)


def test_a_post_by_who_must_not_appear_goes_from_wherever_it_comes() -> None:
    kept, counts = after(
        [Post("eVe", "1", "one two three"), Post("ada", "2", "four five six")], excludeAccounts=["Eve"]
    )
    assert kept == ["four five six"]
    assert (counts.excluded, counts.other_dropped) == (1, 1)


def test_a_forgotten_post_and_all_posts_of_a_forgotten_account_go() -> None:
    posts = [Post("Eve", "1", "one two three"), Post("ada", "2", "four five six"), Post("ada", "3", "seven eight nine")]
    kept, counts = after(posts, erase=["2", "@eVE"])
    assert kept == ["seven eight nine"]
    assert (counts.erased, counts.other_dropped) == (2, 2)
    assert len(after(posts, erase=["@ev", "@adam"])[0]) == 3


def test_a_post_in_another_language_goes_and_one_of_none_stays() -> None:
    codes = ("en", "de", "und", "qme", "")
    posts = [Post("ada", f"id {code}", f"three words in {code}", language=code) for code in codes]
    left, counts = after(posts, languages=["en"])
    assert left == [f"three words in {code}".strip() for code in ("en", "und", "qme", "")]
    assert counts.other_language == 1


def test_the_same_id_again_goes_but_where_it_is_another_accounts_or_only_a_number() -> None:
    first, again = Post("ada", "7", "the fog is back"), Post("ada", "7", "the fog has gone again")
    others = [Post("bob", "7", "no fog over here"), Post("ada", "7", "a row without an id", is_numbered=True)]
    left, counts = after([first, again, *others])
    assert left == ["the fog is back", "no fog over here", "a row without an id"]
    assert (counts.downloaded, counts.duplicates, counts.kept) == (4, 1, 3)
    assert len(after([again, first])[0]) == 1


def test_the_same_text_again_goes_where_asked_for() -> None:
    posts = said("the fog is back", "The fog is back!", "the  fog is back https://t.co/x", "the fog has gone")
    left, counts = after(posts, drop=["Duplicates"])
    assert left == ["the fog is back", "The fog is back!", "the fog has gone"]
    assert counts.duplicates == 1
    assert len(after(posts)[0]) == 4


def test_the_same_words_again_go_where_asked_for() -> None:
    posts = said(
        "the fog is back", "The FOG is back! 🌫️", "@bob the fog, is back", "the fog is not back", "day 1", "day 2"
    )
    left, counts = after(posts, drop=["NearDuplicates"])
    assert left == ["the fog is back", "the fog is not back", "day 1", "day 2"]
    assert counts.near_duplicates == 2


def test_posts_without_words_are_told_apart_by_their_characters() -> None:
    assert after(said("🌊🌊", "🔥", "🌊🌊"), drop=["NearDuplicates"])[0] == ["🌊🌊", "🔥"]


@given(st.lists(st.text(max_size=3)))
def test_what_was_seen_is_what_a_set_would_hold(texts: list[str]) -> None:
    seen, known = SeenTexts(), set()
    for text in texts * 2:
        assert seen.check_and_add(text) is (text in known)
        known.add(text)


def test_a_table_of_what_was_seen_grows() -> None:
    seen = SeenTexts()
    assert not any(seen.check_and_add(str(number)) for number in range(5000))
    assert all(seen.check_and_add(str(number)) for number in range(5000))


@pytest.mark.parametrize(
    ("created", "time"),
    [
        ("Wed Oct 10 20:19:24 +0000 2018", "2018-10-10T20:19:24Z"),
        ("2018-10-10T22:19:24.000+02:00", "2018-10-10T20:19:24Z"),
        ("2018-10-10T20:19:24Z", "2018-10-10T20:19:24Z"),
        ("2018-10-10T20:19:24.123456789Z", "2018-10-10T20:19:24Z"),
        ("2018-10-10 20:19:24", "2018-10-10T20:19:24Z"),
        ("2018-10-10", "2018-10-10T00:00:00Z"),
        ("0987-10-10", "0987-10-10T00:00:00Z"),
        ("Wed Okt 10 20:19:24 +0000 2018", ""),
        ("Wed Feb 99 99:99:99 +0000 2018", ""),
        ("2018-02-30T00:00:00Z", ""),
        ("0001-01-01T00:00:00+23:00", ""),
        ("yesterday", ""),
        ("1601121412345", ""),
        ("20181010", ""),
        ("2018-W01", ""),
    ],
)
def test_times_are_read_as_x_writes_them_wherever_the_pod_is(
    created: str, time: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time_module.tzset()
    try:
        assert to_utc_time(created) == time
    finally:
        monkeypatch.undo()
        time_module.tzset()


def test_the_first_and_the_last_time_do_not_depend_on_the_order() -> None:
    times = ("2021-01-01T00:00:00Z", "2019-05-01T00:00:00Z", "", "what", "2020-01-01T00:00:00Z")
    _, counts = after([Post("ada", f"id {time}", "one more quiet day", created=time) for time in times])
    assert (counts.first, counts.last) == ("2019-05-01T00:00:00Z", "2021-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        " " * 10_000_000 + "http",
        "https:" * 1_000_000,
        "https:a\n" * 1_000_000,
        "\nhttps:a " * 1_000_000,
        END_OF_TEXT[:6] * 500_000 + END_OF_TEXT[6:] * 500_000,
        "@ " * 5_000_000,
    ],
    ids=["spaces", "link", "links", "lines", "marks", "mentions"],
)
def test_a_post_of_megabytes_is_cleaned_in_linear_time(text: str) -> None:
    began = time_module.process_time()
    is_short(normalize(text))
    assert time_module.process_time() - began < 10


@given(st.text())
def test_cleaning_twice_is_cleaning_once_unless_entities_were_nested(text: str) -> None:
    once = normalize(text.replace("&", ""))
    assert normalize(once) == once


@given(st.text(st.characters()))
def test_what_is_left_can_be_written_as_utf8_and_holds_no_control_token(text: str) -> None:
    left = normalize(text)
    left.encode()
    assert END_OF_TEXT not in left
    assert "\x00" not in left
    assert left == left.strip()


@given(st.lists(st.text()), st.sets(st.sampled_from(["Retweets", "Replies", "Short", "Duplicates", "NearDuplicates"])))
def test_every_post_is_either_kept_or_counted_once(texts: list[str], drop: set[str]) -> None:
    left, counts = after(said(*texts), drop=list(drop))
    assert counts.downloaded == len(texts)
    assert counts.kept == len(left) == counts.downloaded - counts.retweets - counts.short - counts.other_dropped
    assert counts.characters == sum(map(len, left))


PIECES = [END_OF_TEXT, *(END_OF_TEXT[:at] for at in (1, 5)), *(END_OF_TEXT[at:] for at in (1, 5)), "\0", "\ud800", " "]


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_the_mark_between_posts_never_survives(pieces: list[str]) -> None:
    assert END_OF_TEXT not in normalize("".join(pieces), normalization_steps(Cleaning(normalize=())))
