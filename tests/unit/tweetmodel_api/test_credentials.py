"""Keys of Secrets, and the variables by which pods receive them."""

from typing import get_args

import pytest

from makers import spec
from tweetmodel_api.credentials import (
    BASE_MODEL,
    PUBLISH,
    STORAGE,
    TRACKERS,
    Credential,
    source_credentials,
    tracker_credentials,
)
from tweetmodel_api.trackers import ReportTo, TrackerKind

HUB = {"huggingFace": {"dataset": "ada/tweets"}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"archive": {"uri": "s3://bucket/ada.zip"}}, []),
        (HUB, []),
        (
            {"huggingFace": HUB["huggingFace"] | {"secretRef": {"name": "hub"}}},
            [(Credential("SOURCE_TOKEN_ada", "token"), "hub")],
        ),
        (
            {"xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "5"}},
            [(Credential("SOURCE_TOKEN_ada", "bearerToken"), "x")],
        ),
    ],
    ids=["archive", "public-data-set", "private-data-set", "x-api"],
)
def test_a_source_has_a_token_only_if_it_names_a_secret(source: object, expected: object) -> None:
    (read,) = spec(sources=[{"handle": "ada", **source}]).sources
    assert list(source_credentials(read)) == expected


def test_trackers_without_a_secret_have_no_keys() -> None:
    report_to = ReportTo.model_validate({"mlflow": {"trackingURI": "http://mlflow:5000"}, "tensorBoard": {}})
    assert list(tracker_credentials(report_to)) == []


def test_trackers_have_all_their_keys() -> None:
    report_to = ReportTo.model_validate({"wandb": {"secretRef": {"name": "them"}}})
    assert list(tracker_credentials(report_to)) == [(Credential("WANDB_API_KEY", "apiKey"), "them")]
    assert set(TRACKERS) == set(get_args(TrackerKind))


def test_variables_are_unique() -> None:
    credentials = [*STORAGE, PUBLISH, BASE_MODEL, *(each for keys in TRACKERS.values() for each in keys)]
    assert len({each.variable for each in credentials}) == len(credentials)
