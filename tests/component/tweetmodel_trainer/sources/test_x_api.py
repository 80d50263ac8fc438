from pathlib import Path
from typing import Any

import pytest

import hostile
from tweetmodel_trainer.storage import Storage
from x_server import XServer


def test_pages_are_read_newest_first(x: XServer, read: Any) -> None:
    x.write(*range(1, 251))
    assert read() == [f"post {id_}" for id_ in range(250, 0, -1)]
    assert x.billed == 250


def test_only_new_posts_are_paid_for(x: XServer, read: Any) -> None:
    x.write(*range(1, 251))
    read()
    assert len(read()) == 250
    assert x.billed == 250
    x.write(*range(251, 401))
    assert read()[0] == "post 400"
    assert x.billed == 400


@pytest.mark.parametrize("answered", range(1, 5))
def test_interrupted_collection_continues_after_the_last_page(
    x: XServer, read: Any, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    x.write(*range(1, 251))
    read()
    x.write(*range(251, 601))
    with monkeypatch.context() as killed:
        real, kept = Storage.write_object, []

        def write(*arguments: Any) -> None:
            if len(kept) == answered - 1:
                raise KeyboardInterrupt
            kept.append(arguments)
            real(*arguments)

        killed.setattr(Storage, "write_object", write)
        with pytest.raises(KeyboardInterrupt):
            read()
    assert len(read()) == 600
    assert x.billed - 600 <= 100, "at most the page that was read and not kept is paid for again"


def test_max_posts_limits_the_posts(x: XServer, read: Any) -> None:
    x.write(*range(1, 501))
    assert read(max_posts=150) == [f"post {id_}" for id_ in range(500, 350, -1)]
    assert x.billed == 150
    assert len(read(max_posts=300)) == 300
    assert x.billed == 300


def test_budget_limits_all_collections_together(x: XServer, read: Any) -> None:
    x.write(*range(1, 501))
    assert len(read(budget="0.6")) == 120
    assert len(read(budget="0.6")) == 120
    assert x.billed == 120
    assert len(read(budget="1.0")) == 200


@pytest.mark.parametrize("retweets", [range(101, 201), range(1, 101), range(151, 251), range(51, 251)])
def test_pages_of_retweets_do_not_hide_older_posts(x: XServer, read: Any, retweets: range) -> None:
    x.write(*range(1, 251))
    x.retweet(*retweets)
    own = [f"post {id_}" for id_ in range(250, 0, -1) if id_ not in retweets]
    assert read() == read() == own
    assert x.billed == len(own)
    x.retweet(*range(251, 500))
    x.write(500)
    x.retweet(*range(501, 750))
    assert read() == read() == ["post 500", *own]
    assert x.billed == len(own) + 1


def test_raised_budget_continues_before_retweets(x: XServer, read: Any) -> None:
    x.write(*range(1, 501))
    x.retweet(*range(281, 431))
    assert len(read(budget="0.35")) == 70
    assert len(read(budget="0.5")) == 100
    assert len(read()) == 350
    assert x.billed == 350


def test_empty_page_does_not_cover_ids(x: XServer, read: Any) -> None:
    x.write(*range(1, 251))
    read(max_posts=100)
    x.overrides["/2/users/7/tweets"] = {"meta": {"result_count": 0}}
    assert len(read()) == 100
    x.overrides.clear()
    assert len(read()) == 250
    assert x.billed == 250


def test_complete_timeline_is_requested_for_new_posts_only(x: XServer, read: Any) -> None:
    x.write(*range(1, 251))
    read()
    x.page_requests = 0
    read()
    assert x.page_requests == 1, "the request for new posts"


def test_spent_budget_is_counted(x: XServer, read: Any) -> None:
    x.write(*range(1, 501))
    for budget, most, spent in (("0.6", 100, False), ("0.6", 3200, True), ("100", 3200, False)):
        read(budget=budget, max_posts=most)
        assert read.counts.budget_spent is spent
    read(budget="2.5")
    assert read.counts.budget_spent is False, "all 500 posts are stored, and the budget equals their price"


def test_erased_post_that_x_still_shows_is_not_stored(x: XServer, read: Any, storage: Storage, tmp_path: Path) -> None:
    x.write(*range(1, 151))
    texts = read(erase=("17",))
    assert len(texts) == 149
    assert "post 17" not in texts
    for name in storage.names(read.folder):
        storage.download_object(f"{read.folder}/{name}", tmp_path / "page")
        assert '"17"' not in (tmp_path / "page").read_text()
    read(budget="0.75")
    assert x.billed == 150


def test_erased_post_stays_paid_for(x: XServer, read: Any, storage: Storage) -> None:
    x.write(*range(1, 501))
    read(budget="0.6")
    for name in storage.names(read.folder):
        storage.write_object(f"{read.folder}/{name}", b"")
    assert read(budget="0.6") == []
    assert x.billed == 120
    read(budget="0.7")
    assert x.billed == 140


def test_estimated_cost_is_reported_first(x: XServer, read: Any) -> None:
    x.write(*range(1, 201))
    read()
    assert read.metrics[0] == {"estimated_usd": 1.01}
    assert read.metrics[-1] == {"posts": 200, "spent_usd": 1.0}


def test_estimate_of_a_later_collection_covers_all_possible_new_posts(x: XServer, read: Any) -> None:
    for newest, budget, estimate in ((100, "100", 0.51), (130, "100", 0.16), (400, "100", 0.51), (500, "1.2", 0.06)):
        x.write(*range(1, newest + 1))
        billed = x.billed
        read(budget=budget, max_posts=100)
        assert read.metrics[0] == {"estimated_usd": estimate}
        assert (x.billed - billed) * 0.005 + 0.01 <= estimate + 1e-9


def test_long_posts_are_complete_and_edited_posts_in_their_last_version(x: XServer, read: Any) -> None:
    x.write(1, note_tweet={"text": "all of a long post"})
    x.write(2, text="with a tpyo", edit_history_tweet_ids=["2", "3"])
    x.write(3, text="with a typo", edit_history_tweet_ids=["2", "3"])
    assert read() == ["with a typo", "all of a long post"]


def test_hostile_posts_are_stored_and_read_unchanged(x: XServer, read: Any) -> None:
    for id_, text in enumerate([*hostile.POSTS, "half a pair \ud800", "x" * (10 << 20)], 1):
        x.write(id_, text=text, unknown={"field": [1]})
    assert read() == read() == [post["text"] for _, post in sorted(x.posts.items(), reverse=True)]
