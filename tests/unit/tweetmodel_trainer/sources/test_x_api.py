"""Reading X: a server speaks the endpoints of API v2 that are used, with a bill, to the real tweepy."""

import gc
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

import hostile
from http_server import QuietHandler, QuietServer
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import XApi
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources import x_api
from tweetmodel_trainer.sources.x_api import Gap, Page, gaps, pages_of
from tweetmodel_trainer.storage import Storage

TOKEN = "AAAA-token"


class X:
    """X in memory: one account, its posts, what it was asked and what it takes for it."""

    def __init__(self) -> None:
        self.posts: dict[int, dict[str, Any]] = {}
        self.retweets: set[int] = set()
        self.user: dict[str, Any] = {"id": "7", "username": "ada", "protected": False}
        self.errors: list[dict[str, str]] = []
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self.instead: dict[str, object] = {}
        self.billed = 0
        self.asked = 0
        self.awake = threading.Event()
        self.awake.set()
        outer = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                outer.awake.wait()
                status, headers, value = outer.answer(self.path, self.headers["Authorization"])
                content = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.respond(status, content, headers)

        self.server = QuietServer(Handler)

    def write(self, *ids: int, **fields: Any) -> None:
        for id_ in ids:
            self.posts[id_] = {"id": str(id_), "text": f"post {id_}", "author_id": "7"} | fields

    def retweet(self, *ids: int) -> None:
        self.write(*ids)
        self.retweets |= set(ids)

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, str], object]:
        if self.refusals:
            status, headers = self.refusals.pop(0)
            return status, headers, {"title": "refused", "detail": "no"}
        if authorization != f"Bearer {TOKEN}":
            return 401, {}, {"title": "Unauthorized"}
        url = urlsplit(path)
        if url.path in self.instead:
            return 200, {}, self.instead[url.path]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path in ("/2/users/by/username/ada", "/2/users/7"):
            known = url.path.endswith("/7") or self.user["username"] == "ada"
            if self.errors or not known:
                return 200, {}, {"errors": self.errors or [{"title": "Not Found Error", "detail": "no such user"}]}
            return 200, {}, {"data": self.user | {"public_metrics": {"tweet_count": len(self.posts)}}}
        assert url.path == "/2/users/7/tweets"
        assert query["exclude"] == "retweets"
        self.asked += 1
        return 200, {}, self.page(query, query.pop("pagination_token", ""))

    def page(self, query: dict[str, str], token: str) -> dict[str, object]:
        """A page as X cuts it: retweets are counted, then left out. A token goes with the request that it is of."""
        until, since = int(query.get("until_id", 1 << 62)), int(query.get("since_id", 0))
        if token:
            last, request = token.split("?")
            assert request == urlencode(query)
            until = int(last)
        fitting = [id_ for id_ in sorted(self.posts, reverse=True) if since < id_ < until]
        counted = fitting[: int(query["max_results"])]
        shown = [self.posts[id_] for id_ in counted if id_ not in self.retweets]
        self.billed += len(shown)
        more = {"next_token": f"{counted[-1]}?{urlencode(query)}"} if len(fitting) > len(counted) else {}
        return ({"data": shown} if shown else {}) | {"meta": {"result_count": len(shown)} | more}


class Redirected(HTTPAdapter):
    """Sends what is meant for X to the test's server."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def send(self, request: Any, **options: Any) -> requests.Response:
        request.url = self.address + request.path_url
        return super().send(request, **options)


@pytest.fixture
def x(monkeypatch: pytest.MonkeyPatch) -> Iterator[X]:
    found = X()
    real = x_api.client

    def client(token: str) -> Any:
        door = real(token)
        door.session.mount("https://", Redirected(found.server.url))
        return door

    monkeypatch.setattr(x_api, "client", client)
    with found.server:
        yield found


Read = Callable[..., list[str]]


@pytest.fixture
def read(storage: Storage, bucket: str, tmp_path: Any) -> Read:
    """The texts of the account's posts; what it is told is kept in `read.told`, what it counts in `read.counts`."""

    def read(token: str = TOKEN, budget: str = "100", most: int = 3200, forgotten: Collection[str] = ()) -> list[str]:
        source = XApi.model_validate({"secretRef": {"name": "x"}, "budgetUSD": budget, "maxPosts": most})
        told = read.told = []  # type: ignore[attr-defined]
        counts = read.counts = Counts()  # type: ignore[attr-defined]
        tell = lambda **numbers: told.append(numbers)  # noqa: E731
        uri = f"s3://{bucket}/raw/x/ada"
        posts = x_api.read(source, "ada", token, uri, tmp_path, storage, tell, counts, forgotten)
        return [post.text for post in posts]

    return read


def test_a_timeline_of_several_pages_is_read_newest_first(x: X, read: Read) -> None:
    x.write(*range(1, 251))
    assert read() == [f"post {id_}" for id_ in range(250, 0, -1)]
    assert x.billed == 250


def test_no_post_is_paid_for_twice_and_what_is_new_is_added(x: X, read: Read) -> None:
    x.write(*range(1, 251))
    read()
    assert len(read()) == 250
    assert x.billed == 250
    x.write(*range(251, 401))
    assert read()[0] == "post 400"
    assert x.billed == 400


@pytest.mark.parametrize("answered", range(1, 5))
def test_a_pod_that_dies_at_any_page_reads_on_where_it_stopped(
    x: X, read: Read, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    x.write(*range(1, 251))
    read()
    x.write(*range(251, 601))
    with monkeypatch.context() as dying:
        real, kept = Storage.write, []

        def write(*arguments: Any) -> None:
            if len(kept) == answered - 1:
                raise KeyboardInterrupt
            kept.append(arguments)
            real(*arguments)

        dying.setattr(Storage, "write", write)
        with pytest.raises(KeyboardInterrupt):
            read()
    assert len(read()) == 600
    assert x.billed - 600 <= 100, "at most the page that was read and not kept is paid for again"


def test_no_more_than_the_newest_are_read(x: X, read: Read) -> None:
    x.write(*range(1, 501))
    assert read(most=150) == [f"post {id_}" for id_ in range(500, 350, -1)]
    assert x.billed == 150
    assert len(read(most=300)) == 300
    assert x.billed == 300


def test_reading_ends_where_the_budget_does_and_stays_there(x: X, read: Read) -> None:
    x.write(*range(1, 501))
    assert len(read(budget="0.6")) == 120
    assert len(read(budget="0.6")) == 120
    assert x.billed == 120
    assert len(read(budget="1.0")) == 200


@pytest.mark.parametrize("retweets", [range(101, 201), range(1, 101), range(151, 251), range(51, 251)])
def test_retweets_that_fill_whole_pages_hide_no_older_post(x: X, read: Read, retweets: range) -> None:
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


def test_a_budget_that_is_raised_later_reads_on_behind_retweets(x: X, read: Read) -> None:
    x.write(*range(1, 501))
    x.retweet(*range(281, 431))
    assert len(read(budget="0.35")) == 70
    assert len(read(budget="0.5")) == 100
    assert len(read()) == 350
    assert x.billed == 350


def test_an_empty_page_is_no_proof_that_nothing_is_older(x: X, read: Read) -> None:
    x.write(*range(1, 251))
    read(most=100)
    x.instead["/2/users/7/tweets"] = {"meta": {"result_count": 0}}
    assert len(read()) == 100
    x.instead.clear()
    assert len(read()) == 250
    assert x.billed == 250


def test_what_is_read_to_its_end_is_asked_for_no_more(x: X, read: Read) -> None:
    x.write(*range(1, 251))
    read()
    x.asked = 0
    read()
    assert x.asked == 1, "for what is new"


def test_an_empty_page_that_leads_to_itself_ends(x: X, read: Read) -> None:
    x.write(1)
    x.instead["/2/users/7/tweets"] = {"meta": {"result_count": 0, "next_token": "again"}}
    with pytest.raises(Failure, match="wait until it does"):
        read()


def test_a_server_that_never_answers_is_given_up(x: X, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x_api, "TIMEOUT_SECONDS", 0.2)
    x.awake.clear()
    with pytest.raises(Failure, match="does not answer for @ada") as failure:
        read()
    assert failure.value.reason is Reason.X_UNREACHABLE


def test_that_the_budget_ended_the_reading_is_counted(x: X, read: Read) -> None:
    x.write(*range(1, 501))
    for budget, most, spent in (("0.6", 100, False), ("0.6", 3200, True), ("100", 3200, False)):
        read(budget=budget, most=most)
        assert read.counts.budget_spent is spent  # type: ignore[attr-defined]
    read(budget="2.5")
    assert read.counts.budget_spent is False, "all 500 are there, and were paid for by the last cent"  # type: ignore[attr-defined]


def test_a_post_that_is_forgotten_is_not_kept_when_x_still_shows_it(
    x: X, read: Read, storage: Storage, bucket: str, s3: Any
) -> None:
    x.write(*range(1, 151))
    texts = read(forgotten={"17"})
    assert len(texts) == 149
    assert "post 17" not in texts
    bodies = [
        s3.get_object(Bucket=bucket, Key=f"raw/{name}")["Body"].read() for name in storage.names(f"s3://{bucket}/raw")
    ]
    assert not any(b'"17"' in body for body in bodies)
    read(budget="0.75")
    assert x.billed == 150


def test_a_forgotten_post_stays_paid_for(x: X, read: Read, storage: Storage, bucket: str) -> None:
    x.write(*range(1, 501))
    read(budget="0.6")
    folder = f"s3://{bucket}/raw/x/ada"
    for name in storage.names(folder):
        storage.write(f"{folder}/{name}", b"")
    assert read(budget="0.6") == []
    assert x.billed == 120
    read(budget="0.7")
    assert x.billed == 140


def test_the_cost_is_told_before_anything_is_read(x: X, read: Read) -> None:
    x.write(*range(1, 201))
    read()
    assert read.told[0] == {"estimated_usd": 1.01}  # type: ignore[attr-defined]
    assert read.told[-1] == {"posts": 200, "spent_usd": 1.0}  # type: ignore[attr-defined]


def test_the_cost_of_a_later_look_is_that_of_all_that_may_be_new(x: X, read: Read) -> None:
    for newest, budget, estimate in ((100, "100", 0.51), (130, "100", 0.16), (400, "100", 0.51), (500, "1.2", 0.06)):
        x.write(*range(1, newest + 1))
        billed = x.billed
        read(budget=budget, most=100)
        assert read.told[0] == {"estimated_usd": estimate}  # type: ignore[attr-defined]
        assert (x.billed - billed) * 0.005 + 0.01 <= estimate + 1e-9


def test_a_rate_limit_is_waited_for_and_told(x: X, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    x.write(*range(1, 11))
    x.refusals = [(429, {"x-rate-limit-reset": str(int(time.time()) + 600)})]
    assert len(read()) == 10
    assert 590 < waited[0] < 602
    assert 590 < read.told[0]["rate_limited_seconds"] < 602  # type: ignore[attr-defined]


def test_long_posts_are_whole_and_edited_ones_in_their_last_version(x: X, read: Read) -> None:
    x.write(1, note_tweet={"text": "all of a long post"})
    x.write(2, text="with a tpyo", edit_history_tweet_ids=["2", "3"])
    x.write(3, text="with a typo", edit_history_tweet_ids=["2", "3"])
    assert read() == ["with a typo", "all of a long post"]


@pytest.mark.parametrize(
    ("change", "reason", "sentence"),
    [
        ({"user": {"id": "7", "username": "ada", "protected": True}}, Reason.ACCOUNT_PROTECTED, "@ada is protected"),
        ({"errors": [{"detail": "User has been suspended: [ada]."}]}, Reason.ACCOUNT_SUSPENDED, "has suspended @ada"),
        ({"user": {"id": "7", "username": "eve"}}, Reason.ACCOUNT_MISSING, "no account @ada"),
        ({"refusals": [(403, {})]}, Reason.X_FORBIDDEN, "refuses to read @ada"),
        ({"refusals": [(402, {})]}, Reason.X_FORBIDDEN, "credits"),
        ({"refusals": [(503, {})]}, Reason.X_UNREACHABLE, "HTTP 503"),
        ({"refusals": [(429, {})]}, Reason.X_UNREACHABLE, "429"),
    ],
)
def test_each_refusal_has_its_own_reason(
    x: X, read: Read, change: dict[str, Any], reason: Reason, sentence: str
) -> None:
    x.write(1)
    vars(x).update(change)
    with pytest.raises(Failure) as failure:
        read()
    assert failure.value.reason is reason
    assert sentence in str(failure.value)


GARBLED = [b"<html>busy</html>", b"", b"[" * 100_000, b'{"id": ' + b"1" * 5000 + b"}", [1], None, "x", {"data": "x"}]


@pytest.mark.parametrize("answer", [*GARBLED, {"data": [{}]}, {"data": {"id": "7"}}, {"data": {"public_metrics": 1}}])
def test_an_account_that_is_none_is_asked_for_again(x: X, read: Read, answer: object) -> None:
    x.instead["/2/users/by/username/ada"] = answer
    with pytest.raises(Failure, match="wait until it does") as failure:
        read()
    assert failure.value.reason is Reason.X_UNREACHABLE


def page_of(**changes: object) -> dict[str, object]:
    """A page of one post, with changes to it."""
    return {"data": [{"id": "5", "text": "a"} | changes], "meta": {"result_count": 1}}


@pytest.mark.parametrize(
    "answer",
    [
        *GARBLED,
        {},
        {"data": []},
        {"meta": {"result_count": 3}},
        {"data": ["x"], "meta": {}},
        {"data": [{"id": "5", "text": "a"}]},
        page_of(id="five"),
        page_of(id="5" * 20),
        page_of(id=5),
        page_of(id="-5"),
        page_of(text=None),
        page_of(note_tweet=None),
        page_of(note_tweet={"text": 5}),
        page_of(edit_history_tweet_ids="5"),
        page_of(edit_history_tweet_ids=[5]),
    ],
)
def test_a_page_that_is_none_is_neither_kept_nor_the_end(
    x: X, read: Read, storage: Storage, bucket: str, answer: object
) -> None:
    x.write(*range(1, 4))
    x.instead["/2/users/7/tweets"] = answer
    with pytest.raises(Failure, match="wait until it does") as failure:
        read()
    assert failure.value.reason is Reason.X_UNREACHABLE
    assert storage.names(f"s3://{bucket}/raw") == []
    x.instead.clear()
    assert len(read()) == 3


def test_the_same_page_again_is_not_taken_for_the_next(x: X, read: Read) -> None:
    x.write(*range(1, 201))
    x.instead["/2/users/7/tweets"] = {"data": [x.posts[200]], "meta": {"result_count": 1, "next_token": "more"}}
    with pytest.raises(Failure, match="wait until it does"):
        read()
    x.instead.clear()
    assert len(read()) == 200


def test_hostile_posts_are_kept_and_read_as_they_are(x: X, read: Read) -> None:
    for id_, text in enumerate([*hostile.POSTS, "half a pair \ud800", "x" * (10 << 20)], 1):
        x.write(id_, text=text, unknown={"field": [1]})
    assert read() == read() == [post["text"] for _, post in sorted(x.posts.items(), reverse=True)]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """A finalizer that ran deep in the recursion of a parser would fail there."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("damage", [b'{"id": "5"}\n', b"null\n", b'{"id": "5", "te', b"\xff", b"[" * 100_000])
def test_a_kept_page_that_is_damaged_is_told(
    x: X, read: Read, put: Any, storage: Storage, bucket: str, damage: bytes
) -> None:
    x.write(1)
    read()
    [name] = storage.names(f"s3://{bucket}/raw")
    put(f"raw/{name}", damage)
    with pytest.raises(Failure, match=rf"raw/{name} is damaged: delete it") as failure:
        read()
    assert failure.value.reason is Reason.INVALID_POSTS


def test_an_account_that_was_read_before_is_found_under_its_new_name(x: X, read: Read) -> None:
    x.write(*range(1, 11))
    read()
    x.user["username"] = "ada_king"
    with pytest.raises(Failure, match="@ada is @ada_king now") as failure:
        read()
    assert failure.value.reason is Reason.ACCOUNT_RENAMED


@pytest.mark.parametrize(
    ("answer", "reason", "told"),
    [
        ({"data": {"id": "7", "username": "ada_king"}}, Reason.ACCOUNT_RENAMED, "@ada is @ada_king now"),
        ({"errors": [{"detail": "no such user"}]}, Reason.ACCOUNT_MISSING, "another account now"),
    ],
)
def test_a_name_that_is_somebody_elses_now_is_not_read(
    x: X, read: Read, answer: object, reason: Reason, told: str
) -> None:
    x.write(*range(1, 11))
    read()
    x.user["id"], x.instead["/2/users/7"], billed = "99", answer, x.billed
    x.write(11, author_id="99")
    with pytest.raises(Failure, match=told) as failure:
        read()
    assert (failure.value.reason, x.billed) == (reason, billed)


def test_posts_of_two_accounts_are_told_apart_by_who_wrote_them(x: X, read: Read) -> None:
    """As an earlier version left them, which did not look."""
    x.write(1)
    x.write(2, author_id="99")
    read()
    x.user["id"], x.instead["/2/users/7"] = "99", {"data": {"id": "7", "username": "ada_king"}}
    with pytest.raises(Failure, match="@ada is @ada_king now"):
        read()


@pytest.mark.parametrize("token", ["", "a\nb", "wrong"])
def test_a_token_that_is_none_is_told_and_never_quoted(x: X, read: Read, token: str) -> None:
    with pytest.raises(Failure, match="bearerToken") as failure:
        read(token)
    assert failure.value.reason is Reason.X_TOKEN_INVALID
    assert "wrong" not in str(failure.value)


@given(st.sets(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=8))
def test_gaps_are_exactly_what_no_page_covers(ranges: set[tuple[int, int]]) -> None:
    pages = pages_of([Page(low + length, low, length).name for low, length in ranges])
    covered = {id_ for low, length in ranges for id_ in range(low, low + length)}
    asked = [
        id_
        for gap in gaps(pages)
        for id_ in range(gap.since + 1 if gap.since is not None else 0, gap.until if gap.until is not None else 70)
    ]
    assert len(asked) == len(set(asked))
    assert set(asked) == set(range(70)) - covered


def test_a_page_that_is_no_page_is_passed_over() -> None:
    assert pages_of(["9-3-5.jsonl", "note.txt", "20-9-1.jsonl"]) == [Page(20, 9, 1), Page(9, 3, 5)]
    assert gaps([Page(20, 9, 1), Page(9, 0, 5)]) == [Gap(None, 19)]
