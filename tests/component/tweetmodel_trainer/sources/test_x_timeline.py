import time
from typing import Any

import pytest

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources import x_timeline
from tweetmodel_trainer.storage import Storage
from x_server import XServer


def test_empty_page_with_its_own_token_is_rejected(x: XServer, read: Any) -> None:
    x.write(1)
    x.overrides["/2/users/7/tweets"] = {"meta": {"result_count": 0, "next_token": "again"}}
    with pytest.raises(Failure, match="wait until the API recovers"):
        read()


def test_request_without_a_response_times_out(x: XServer, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x_timeline, "TIMEOUT_SECONDS", 0.2)
    x.responding.clear()
    with pytest.raises(Failure, match="the X API failed for @ada") as failure:
        read()
    assert failure.value.reason is Reason.X_UNREACHABLE


def test_rate_limit_is_awaited_and_reported(x: XServer, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    x.write(*range(1, 11))
    x.refusals = [(429, {"x-rate-limit-reset": str(int(time.time()) + 600)})]
    assert len(read()) == 10
    assert 590 < waited[0] < 602
    assert 590 < read.metrics[0]["rate_limited_seconds"] < 602


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
def test_error_of_x_has_a_reason(x: XServer, read: Any, change: dict[str, Any], reason: Reason, sentence: str) -> None:
    x.write(1)
    vars(x).update(change)
    with pytest.raises(Failure) as failure:
        read()
    assert failure.value.reason is reason
    assert sentence in str(failure.value)


GARBLED = [b"<html>busy</html>", b"", b"[" * 100_000, b'{"id": ' + b"1" * 5000 + b"}", [1], None, "x", {"data": "x"}]


@pytest.mark.parametrize("answer", [*GARBLED, {"data": [{}]}, {"data": {"id": "7"}}, {"data": {"public_metrics": 1}}])
def test_invalid_account_is_a_transient_failure(x: XServer, read: Any, answer: object) -> None:
    x.overrides["/2/users/by/username/ada"] = answer
    with pytest.raises(Failure, match="wait until the API recovers") as failure:
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
def test_invalid_page_is_a_transient_failure_and_not_stored(
    x: XServer, read: Any, storage: Storage, answer: object
) -> None:
    x.write(*range(1, 4))
    x.overrides["/2/users/7/tweets"] = answer
    with pytest.raises(Failure, match="wait until the API recovers") as failure:
        read()
    assert failure.value.reason is Reason.X_UNREACHABLE
    assert storage.names(read.folder) == []
    x.overrides.clear()
    assert len(read()) == 3


def test_repeated_page_is_rejected(x: XServer, read: Any) -> None:
    x.write(*range(1, 201))
    x.overrides["/2/users/7/tweets"] = {"data": [x.posts[200]], "meta": {"result_count": 1, "next_token": "more"}}
    with pytest.raises(Failure, match="wait until the API recovers"):
        read()
    x.overrides.clear()
    assert len(read()) == 200


def test_renamed_account_is_found_by_its_id(x: XServer, read: Any) -> None:
    x.write(*range(1, 11))
    read()
    x.user["username"] = "ada_king"
    with pytest.raises(Failure, match="@ada was renamed to @ada_king") as failure:
        read()
    assert failure.value.reason is Reason.ACCOUNT_RENAMED


@pytest.mark.parametrize(
    ("answer", "reason", "message"),
    [
        ({"data": {"id": "7", "username": "ada_king"}}, Reason.ACCOUNT_RENAMED, "@ada was renamed to @ada_king"),
        ({"errors": [{"detail": "no such user"}]}, Reason.ACCOUNT_MISSING, "belongs to another account now"),
    ],
)
def test_handle_of_another_account_is_not_read(
    x: XServer, read: Any, answer: object, reason: Reason, message: str
) -> None:
    x.write(*range(1, 11))
    read()
    x.user["id"], x.overrides["/2/users/7"], billed = "99", answer, x.billed
    x.write(11, author_id="99")
    with pytest.raises(Failure, match=message) as failure:
        read()
    assert (failure.value.reason, x.billed) == (reason, billed)


def test_stored_posts_of_another_author_are_detected(x: XServer, read: Any) -> None:
    """An account that took over the handle was read before the check existed."""
    x.write(1)
    x.write(2, author_id="99")
    read()
    x.user["id"], x.overrides["/2/users/7"] = "99", {"data": {"id": "7", "username": "ada_king"}}
    with pytest.raises(Failure, match="@ada was renamed to @ada_king"):
        read()


@pytest.mark.parametrize("token", ["", "a\nb", "wrong"])
def test_invalid_token_is_reported_and_not_shown(x: XServer, read: Any, token: str) -> None:
    with pytest.raises(Failure, match="bearerToken") as failure:
        read(token)
    assert failure.value.reason is Reason.X_TOKEN_INVALID
    assert "wrong" not in str(failure.value)
