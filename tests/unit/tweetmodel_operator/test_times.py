"""Times of the Kubernetes API."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tweetmodel_operator.times import format_time, parse_time, seconds_between

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-11-23T12:00:00Z", "2026-11-23T12:00:00.000000Z", "2026-11-23T13:00:00+01:00"],
    ids=["metav1.Time", "metav1.MicroTime", "offset"],
)
def test_all_notations_of_a_time_are_parsed(text: str) -> None:
    assert parse_time(text) == NOON


@pytest.mark.parametrize("text", [None, ""], ids=["absent", "empty"])
def test_an_absent_time_is_none(text: str | None) -> None:
    assert parse_time(text) is None


def test_a_time_is_formatted_in_utc_and_whole_seconds() -> None:
    local = datetime(2026, 11, 23, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert format_time(local) == "2026-11-23T12:00:00Z"


def test_seconds_are_negative_if_the_times_are_reversed() -> None:
    later = NOON + timedelta(seconds=90)
    assert (seconds_between(NOON, later), seconds_between(later, NOON)) == (90, -90)
