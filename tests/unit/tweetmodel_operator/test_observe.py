"""Observation of a TweetModel with its Jobs and pods."""

import asyncio
from typing import Any

import pytest

from makers import KEY, NOW, UID, job, spec, time
from tweetmodel_api.status import Progress
from tweetmodel_operator.api_server import ApiError
from tweetmodel_operator.cache import CachedTweetModel, Snapshot
from tweetmodel_operator.observe import assemble, pod_creation_error, read
from tweetmodel_operator.observed import Freshness, Observed, ObservedJob, ObservedPod


def tweetmodel(**changes: Any) -> dict[str, Any]:
    return {"metadata": {"uid": UID, "generation": 3}, "spec": spec().to_json_object(), **changes}


def owned(owner: str | None = UID, **changes: Any) -> ObservedJob:
    facts: dict[str, Any] = {"uid": "job-uid", "owner_uid": owner}
    return job()._with(**(facts | changes)).obj()


def observe(
    raw: dict[str, Any],
    *jobs: ObservedJob,
    pods: tuple[ObservedPod, ...] = (),
    progress: dict[str, Progress] | None = None,
) -> Observed:
    snapshot = Snapshot(CachedTweetModel.parse(raw), list(jobs), list(pods))
    return assemble(KEY, snapshot, progress or {}, Freshness.CACHED)


def test_jobs_of_an_earlier_tweetmodel_of_the_same_name_are_left_out() -> None:
    assert len(observe(tweetmodel(), owned(), owned("another")).jobs) == 1


def test_progress_is_that_of_the_active_step() -> None:
    raw, name = tweetmodel(), owned().name
    progress = Progress(progress_percentage=28, last_updated_time=NOW)
    step = {"name": "train", "id": "a" * 16, "attempt": 1, "podTemplateHash": "b" * 16, "job": name}
    raw["status"] = {"observedGeneration": 1, "steps": [step | {"outcome": "Active"}]}
    assert observe(raw, owned()).jobs[0].progress_reported_at is None
    assert observe(raw, owned(), progress={name: progress}).jobs[0].progress_reported_at == time(NOW)
    raw["status"]["progress"] = {"progressPercentage": 28, "lastUpdatedTime": NOW}
    assert observe(raw, owned()).jobs[0].progress_reported_at == time(NOW)


def test_pods_are_ordered_by_age() -> None:
    pods = (
        ObservedPod("new", time("2026-11-23T12:00:09Z"), "job-uid"),
        ObservedPod("old", time("2026-11-23T12:00:02Z"), "job-uid"),
        ObservedPod("foreign", time("2026-11-23T12:00:02Z"), "another-job"),
    )
    assert [pod.name for pod in observe(tweetmodel(), owned(), pods=pods).jobs[0].pods] == ["old", "new"]


def test_an_unreadable_spec_is_described_by_its_field() -> None:
    observed = observe(tweetmodel(spec={**spec().to_json_object(), "gpus": "many"}))
    assert observed.spec is None
    assert observed.spec_error.startswith("spec.gpus: ")


def test_a_status_of_another_version_is_ignored() -> None:
    assert observe(tweetmodel(status={"phase": "Done"})).recorded_status is None


def test_the_default_status_counts_as_none() -> None:
    assert observe(tweetmodel(status={"observedGeneration": -1})).recorded_status is None


async def test_pods_are_read_after_jobs() -> None:
    """Otherwise a Job could look complete beside pods that have not terminated, as if its report were lost."""
    requests: list[str] = []

    class SlowServer:
        async def get(self, path: str, **_: str) -> dict[str, Any]:
            kind = path.rsplit("/", 1)[-1]
            requests.append(f"{kind} requested")
            await asyncio.sleep(0)
            requests.append(f"{kind} received")
            return tweetmodel() if kind == KEY.name else {"metadata": {}, "items": []}

    await read(SlowServer(), KEY)
    assert requests.index("jobs received") < requests.index("pods requested")


class Events:
    """An API server with events of the Job controller, or without permission to list events."""

    def __init__(self, *events: dict[str, Any], is_allowed: bool = True) -> None:
        self.events = events
        self.is_allowed = is_allowed

    async def get(self, path: str, **_: str) -> dict[str, Any]:
        if not self.is_allowed:
            raise ApiError(403, "Forbidden", "events is forbidden")
        return {"items": list(self.events)}


SINCE = "2026-11-23T12:00:00Z"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"lastTimestamp": "2026-11-23T12:00:00Z"}, "exceeded quota"),
        ({"lastTimestamp": "2026-11-23T11:59:59Z"}, None),
        ({"eventTime": "2026-11-23T12:00:00.123456Z"}, "exceeded quota"),
        ({"eventTime": "2026-11-23T11:59:59.900000Z"}, None),
        ({"eventTime": SINCE, "series": {"lastObservedTime": "2026-11-23T12:01:00.5Z"}}, "exceeded quota"),
        ({}, None),
    ],
    ids=["same-second", "older", "fraction-of-same-second", "older-fraction", "series", "without-time"],
)
async def test_a_pod_creation_error_is_read_from_the_latest_event(event: dict[str, Any], expected: str | None) -> None:
    events = Events({"message": "Error creating: exceeded quota", **event})
    assert await pod_creation_error(events, "default", owned(no_pods_since=time(SINCE))) == expected


async def test_a_pod_creation_error_names_the_job_instead_of_the_pod() -> None:
    name = owned().name
    events = Events({"message": f'pods "{name}-x7k2p" is forbidden', "lastTimestamp": SINCE})
    assert (
        await pod_creation_error(events, "default", owned(no_pods_since=time(SINCE))) == f'pods "{name}" is forbidden'
    )


async def test_without_permission_to_list_events_the_cause_is_unknown() -> None:
    assert await pod_creation_error(Events(is_allowed=False), "default", owned(no_pods_since=time(SINCE))) is None
