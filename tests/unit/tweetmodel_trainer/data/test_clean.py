import generate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.data.clean import clean_posts, is_retweet, is_short
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.post import Post


@pytest.mark.parametrize(
    ("text", "short"),
    [("three plain words", False), ("two words", True), ("@ada thanks #fog so much", False), ("", True)],
)
def test_post_needs_three_plain_words(text: str, short: bool) -> None:
    assert is_short(text) is short


def test_links_mentions_and_hashtags_are_not_plain_words() -> None:
    assert is_short("@ada #fog http thanks much")
    assert not is_short("@ada #fog http thanks so much")


def test_retweet_begins_with_rt() -> None:
    assert is_retweet("RT @gerald: mine")
    assert not is_retweet("I said RT @gerald")


def test_sample_archive_reproduces_the_table_of_huggingtweets() -> None:
    counts = Counts()
    texts = (tweet["full_text"] for tweet in generate.tweets(1))
    kept = list(clean_posts((Post("ada", str(number), text) for number, text in enumerate(texts)), counts))
    assert (counts.downloaded, counts.retweets, counts.short, counts.kept) == (3249, 610, 6, 2633)
    assert counts.characters == sum(len(post.text) for post in kept) > 40_000


def after(posts: list[Post], **cleaning: object) -> tuple[list[str], Counts]:
    """Return the kept texts and the counts."""
    counts = Counts()
    return [post.text for post in clean_posts(posts, counts, Cleaning.model_validate(cleaning))], counts


def posts_of(*texts: str) -> list[Post]:
    return [Post("ada", str(number), text) for number, text in enumerate(texts)]


def test_no_rules_keep_retweets_and_short_posts() -> None:
    posts = posts_of("RT @bob: mine is better", "so short")
    assert after(posts)[0] == []
    assert after(posts, drop=[])[0] == ["RT @bob: mine is better", "so short"]


def test_replies_are_dropped_and_threads_kept() -> None:
    thread, reply = Post("ada", "a", "and so it goes on"), Post("ada", "b", "no it does not", is_reply=True)
    posts = [thread, reply, *posts_of("@bob it does not at all", "I told @bob that it does")]
    left, counts = after(posts, drop=["Replies"])
    assert left == ["and so it goes on", "I told @bob that it does"]
    assert counts.replies == counts.other_dropped == 2
    assert len(after(posts)[0]) == 4


def test_mention_of_an_excluded_account_is_dropped() -> None:
    kept, counts = after(
        posts_of("hi @Eve!", "@eve_l is not eve", "mail a@eve.org now"), excludeAccounts=["eve"], drop=[]
    )
    assert kept == ["@eve_l is not eve", "mail a@eve.org now"]
    assert (counts.excluded, counts.other_dropped) == (1, 1)


def test_post_by_an_excluded_account_is_dropped() -> None:
    kept, counts = after(
        [Post("eVe", "1", "one two three"), Post("ada", "2", "four five six")], excludeAccounts=["Eve"]
    )
    assert kept == ["four five six"]
    assert (counts.excluded, counts.other_dropped) == (1, 1)


def test_erased_posts_and_accounts_are_dropped() -> None:
    posts = [Post("Eve", "1", "one two three"), Post("ada", "2", "four five six"), Post("ada", "3", "seven eight nine")]
    kept, counts = after(posts, erase=["2", "@eVE"])
    assert kept == ["seven eight nine"]
    assert (counts.erased, counts.other_dropped) == (2, 2)
    assert len(after(posts, erase=["@ev", "@adam"])[0]) == 3


def test_other_languages_are_dropped_and_unknown_ones_kept() -> None:
    codes = ("en", "de", "und", "qme", "")
    posts = [Post("ada", f"id {code}", f"three words in {code}", language=code) for code in codes]
    left, counts = after(posts, languages=["en"])
    assert left == [f"three words in {code}".strip() for code in ("en", "und", "qme", "")]
    assert counts.other_language == 1


def test_repeated_id_of_the_same_account_is_dropped() -> None:
    first, again = Post("ada", "7", "the fog is back"), Post("ada", "7", "the fog has gone again")
    others = [Post("bob", "7", "no fog over here"), Post("ada", "7", "a row without an id", is_numbered=True)]
    left, counts = after([first, again, *others])
    assert left == ["the fog is back", "no fog over here", "a row without an id"]
    assert (counts.downloaded, counts.duplicates, counts.kept) == (4, 1, 3)
    assert len(after([again, first])[0]) == 1


def test_duplicates_are_dropped() -> None:
    posts = posts_of("the fog is back", "The fog is back!", "the  fog is back https://t.co/x", "the fog has gone")
    left, counts = after(posts, drop=["Duplicates"])
    assert left == ["the fog is back", "The fog is back!", "the fog has gone"]
    assert counts.duplicates == 1
    assert len(after(posts)[0]) == 4


def test_near_duplicates_are_dropped() -> None:
    posts = posts_of(
        "the fog is back", "The FOG is back! 🌫️", "@bob the fog, is back", "the fog is not back", "day 1", "day 2"
    )
    left, counts = after(posts, drop=["NearDuplicates"])
    assert left == ["the fog is back", "the fog is not back", "day 1", "day 2"]
    assert counts.near_duplicates == 2


def test_posts_without_words_are_compared_by_characters() -> None:
    assert after(posts_of("🌊🌊", "🔥", "🌊🌊"), drop=["NearDuplicates"])[0] == ["🌊🌊", "🔥"]


@given(st.lists(st.text()), st.sets(st.sampled_from(["Retweets", "Replies", "Short", "Duplicates", "NearDuplicates"])))
def test_every_post_is_counted_once(texts: list[str], drop: set[str]) -> None:
    left, counts = after(posts_of(*texts), drop=list(drop))
    assert counts.downloaded == len(texts)
    assert counts.kept == len(left) == counts.downloaded - counts.retweets - counts.short - counts.other_dropped
    assert counts.characters == sum(map(len, left))


def test_the_author_is_kept_through_several_upstream_data_sets() -> None:
    posts = [Post("Eve", "1", "one two three"), Post("bob", "2", "four five six")]
    first = list(clean_posts(posts, Counts(), handle="bob"))
    second = list(clean_posts(first, Counts(), handle="ada"))
    assert [(post.handle, post.author) for post in first] == [("bob", "Eve"), ("bob", "")]
    assert [(post.handle, post.author) for post in second] == [("ada", "Eve"), ("ada", "bob")]
    assert [post.author for post in clean_posts(second, Counts(), Cleaning(exclude_accounts=("eve",)))] == ["bob"]


def test_kept_posts_get_the_handle_of_the_source() -> None:
    posts = [Post("Eve", "1", "one two three"), Post("bob", "2", "four five six")]
    assert [post.handle for post in clean_posts(posts, Counts(), handle="ada")] == ["ada", "ada"]
    assert [post.handle for post in clean_posts(posts, Counts())] == ["Eve", "bob"]
