"""Rejections of objects by the API server."""

import pytest

from tweetmodel_operator.rejections import is_final_rejection, is_rejection, is_transient_rejection


@pytest.mark.parametrize(
    ("message", "is_transient", "is_final"),
    [
        ("jobs.batch is forbidden: exceeded quota: gpus", True, False),
        ("forbidden: status unknown for quota: gpus", True, False),
        ('failed calling webhook "policy": context deadline exceeded', True, False),
        ('admission webhook "policy" denied the request', False, True),
        ('pods "x" is forbidden: no PriorityClass with name urgent was found', False, True),
        ('serviceaccount "ada" not found', False, True),
        ("Job.batch is invalid: spec.template", False, True),
        ("etcdserver: leader changed", False, False),
    ],
    ids=[
        *("quota", "unknown-quota", "webhook-unreachable", "webhook-denies", "forbidden", "not-found", "invalid"),
        "overloaded",
    ],
)
def test_a_rejection_is_transient_or_final(message: str, is_transient: bool, is_final: bool) -> None:
    assert is_transient_rejection(message) is is_transient
    assert is_final_rejection(message) is is_final


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (400, "bad request", True),
        (403, "forbidden", True),
        (422, "invalid", True),
        (500, "failed calling webhook", True),
        (500, "etcdserver: leader changed", False),
        (409, "conflict", False),
        (503, "try later", False),
    ],
    ids=["400", "403", "422", "webhook-unreachable", "500", "409", "503"],
)
def test_only_some_errors_reject_an_object(code: int, message: str, expected: bool) -> None:
    assert is_rejection(code, message) is expected
