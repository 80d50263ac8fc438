"""Tests of the descriptions of errors, which never quote the text of a client."""

import pytest
from wandb.errors import CommError

from tracked_run import API_KEY
from tweetmodel_trainer.trackers.errors import describe


class Denied(Exception):
    response = type("Response", (), {"status_code": 403})


class Broken(Exception):
    response = type("Response", (), {"status_code": 500})


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (Denied(API_KEY), "the key is invalid or lacks permission"),
        (Broken(API_KEY), "Broken, HTTP status 500"),
        (ConnectionError(API_KEY), "no response"),
        (CommError(f"returned error 401: {API_KEY}"), "the key is invalid or lacks permission"),
        (CommError(f"while retrying: HTTP 500: {API_KEY}"), "CommError, HTTP status 500"),
        (CommError(API_KEY), "no response"),
        (ValueError(API_KEY), "ValueError"),
    ],
)
def test_a_description_does_not_quote_the_error(error: Exception, description: str) -> None:
    assert describe(error) == description
