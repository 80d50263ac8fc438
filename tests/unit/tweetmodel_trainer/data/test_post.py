import time as time_module
from typing import Any

import pytest

from tweetmodel_trainer.data.post import from_fields, to_utc_time


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
def test_time_is_read_in_any_time_zone_of_the_pod(created: str, time: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time_module.tzset()
    try:
        assert to_utc_time(created) == time
    finally:
        monkeypatch.undo()
        time_module.tzset()


@pytest.mark.parametrize(
    ("fields", "id_", "is_numbered"),
    [
        ({"id_str": "7", "id": 8}, "7", False),
        ({"id": 0}, "0", False),
        ({"id": ""}, "3", True),
        ({"id": float("nan")}, "3", True),
        ({}, "3", True),
    ],
)
def test_post_without_an_id_gets_its_number(fields: dict[str, Any], id_: str, is_numbered: bool) -> None:
    post = from_fields("ada", "text", fields, 3)
    assert (post.id, post.is_numbered) == (id_, is_numbered)


@pytest.mark.parametrize(
    ("fields", "is_reply"),
    [
        ({"in_reply_to_user_id": "7", "author_id": "8"}, True),
        ({"in_reply_to_user_id": "7", "author_id": "7"}, False),
        ({"in_reply_to_user_id": "7", "in_reply_to_screen_name": "ADA"}, False),
        ({"in_reply_to_user_id": None}, False),
    ],
)
def test_thread_of_the_same_account_is_not_a_reply(fields: dict[str, Any], is_reply: bool) -> None:
    assert from_fields("ada", "text", fields, 3).is_reply is is_reply
