"""Observation of a TweetModel with its Jobs and pods."""

import asyncio
from typing import Any

import pytest

from fakes import objects
from fakes.api_server import FakeApiServer
from fakes.cluster import fake_cluster, reconcile_until_idle
from makers import DIGEST, KEY, NOW, UID, dataset, job, observed, spec, time
from tweetmodel_api.retry import RETRY_ANNOTATION
from tweetmodel_api.status import Progress
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, tweetmodels_path
from tweetmodel_operator.cache import CachedTweetModel, Snapshot
from tweetmodel_operator.observe import assemble, pod_creation_error, read, upstream_datasets
from tweetmodel_operator.observed import Freshness, Observed, ObservedJob, ObservedPod


def tweetmodel(**changes: Any) -> dict[str, Any]:
    return objects.tweetmodel(generation=3) | changes


def owned(owner: str | None = UID, **changes: Any) -> ObservedJob:
    facts: dict[str, Any] = {"uid": "job-uid", "owner_uid": owner}
    return job().with_facts(**(facts | changes)).obj()


def observe(
    raw: dict[str, Any],
    *jobs: ObservedJob,
    pods: tuple[ObservedPod, ...] = (),
    progress: dict[str, Progress] | None = None,
) -> Observed:
    snapshot = Snapshot(CachedTweetModel.parse(raw), (*jobs, *pods))
    return assemble(KEY, snapshot, progress or {}, Freshness.CACHED)


# Assembly


def test_jobs_of_an_earlier_tweetmodel_of_the_same_name_are_left_out() -> None:
    assert len(observe(tweetmodel(), owned(), owned("another")).jobs) == 1


def test_the_purge_belongs_to_its_tweetmodel_without_an_owner() -> None:
    purge = owned(None, step="purge", step_id=names.purge_id(UID))
    foreign = owned(None, step="purge", step_id=names.purge_id("another"))
    assert observe(tweetmodel(), purge, foreign).jobs == (purge,)


def test_jobs_are_ordered_by_step_id_and_attempt() -> None:
    jobs = [owned(step_id=step_id, attempt=attempt) for step_id, attempt in (("b", 1), ("a", 2), ("a", 1))]
    ordered = observe(tweetmodel(), *jobs).jobs
    assert [(found.step_id, found.attempt) for found in ordered] == [("a", 1), ("a", 2), ("b", 1)]


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
    assert observed.spec_error.startswith("spec.gpus is invalid (")


def test_a_status_of_another_version_is_ignored() -> None:
    assert observe(tweetmodel(status={"phase": "Done"})).recorded_status is None


def test_the_default_status_counts_as_none() -> None:
    assert observe(tweetmodel(status={"observedGeneration": -1})).recorded_status is None


def test_the_retry_is_that_of_the_annotation_else_of_the_status() -> None:
    status = {"observedGeneration": 1, "observedRetry": "old"}
    assert observe(tweetmodel()).retry == ""
    assert observe(tweetmodel(status=status)).retry == "old"
    annotated = objects.tweetmodel(annotations={RETRY_ANNOTATION: "new" * 100}) | {"status": status}
    assert observe(annotated).retry == ("new" * 100)[:64]


# Live reads


async def test_pods_are_read_after_jobs() -> None:
    """Otherwise a Job could look complete beside pods that have not terminated, as if its report were lost."""
    requests: list[str] = []

    class SlowServer(FakeApiServer):
        async def _request(self, method: str, path: str, *arguments: Any, **options: Any) -> dict[str, Any]:
            kind = path.rsplit("/", 1)[-1]
            requests.append(f"{kind} requested")
            await asyncio.sleep(0)
            requests.append(f"{kind} received")
            return await super()._request(method, path, *arguments, **options)

    server = SlowServer()
    server.add(tweetmodels_path(KEY.namespace), tweetmodel())
    await read(server, KEY)
    assert requests.index("jobs received") < requests.index("pods requested")


async def test_only_children_of_the_tweetmodel_are_read() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    pod = cluster.set_pod(objects.running())
    for raw, name in ((cluster.job(), "bob"), (pod, "bob")):
        labels = raw["metadata"]["labels"] | {names.NAME_LABEL: name}
        metadata = raw["metadata"] | {"name": f"{name}-1", "labels": labels}
        path = "/apis/batch/v1" if raw["kind"] == "Job" else "/api/v1"
        cluster.add(f"{path}/namespaces/{KEY.namespace}/{raw['kind'].lower()}s", raw | {"metadata": metadata})
    live = await read(cluster, KEY)
    assert live
    assert [child.name for child in live.children["Job"]] == cluster.created_jobs
    assert [child.name for child in live.children["Pod"]] == [pod["metadata"]["name"]]


async def test_a_live_read_of_a_deleted_tweetmodel_returns_nothing() -> None:
    assert await read(FakeApiServer(), KEY) is None


# Events of the Job controller

SINCE = "2026-11-23T12:00:00Z"


def server_with(event: dict[str, Any]) -> FakeApiServer:
    """Return an API server with an event of the Job controller about the Job `owned()`."""
    server = FakeApiServer()
    about = {"involvedObject": {"kind": "Job", "name": owned().name}, "reason": "FailedCreate"}
    server.add("/api/v1/namespaces/default/events", {"metadata": {"name": "event"}} | about | event)
    return server


async def creation_error(server: FakeApiServer) -> str | None:
    return await pod_creation_error(server, "default", owned(no_pods_since=time(SINCE)))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"lastTimestamp": "2026-11-23T12:00:00Z"}, "exceeded quota"),
        ({"lastTimestamp": "2026-11-23T11:59:59Z"}, None),
        ({"eventTime": "2026-11-23T12:00:00.123456Z"}, "exceeded quota"),
        ({"eventTime": "2026-11-23T11:59:59.900000Z"}, None),
        ({"eventTime": SINCE, "series": {"lastObservedTime": "2026-11-23T12:01:00.5Z"}}, "exceeded quota"),
        ({}, None),
        ({"lastTimestamp": SINCE, "reason": "SuccessfulCreate"}, None),
        ({"lastTimestamp": SINCE, "involvedObject": {"kind": "Job", "name": "another"}}, None),
    ],
    ids=[
        *("same-second", "older", "fraction-of-same-second", "older-fraction", "series", "without-time"),
        *("another-reason", "another-job"),
    ],
)
async def test_a_pod_creation_error_is_read_from_the_latest_event(event: dict[str, Any], expected: str | None) -> None:
    server = server_with({"message": "Error creating: exceeded quota", **event})
    assert await creation_error(server) == expected


async def test_a_pod_creation_error_names_the_job_instead_of_the_pod() -> None:
    name = owned().name
    server = server_with({"message": f'pods "{name}-x7k2p" is forbidden', "lastTimestamp": SINCE})
    assert await creation_error(server) == f'pods "{name}" is forbidden'


async def test_without_permission_to_list_events_the_cause_is_unknown() -> None:
    server = FakeApiServer()
    server.reject(ApiError(403, "Forbidden", "events is forbidden"))
    assert await creation_error(server) is None


# Upstream TweetModels

STALLED = {
    "type": "Stalled",
    "status": "True",
    "reason": "NotEnoughTweets",
    "message": "Too few.",
    "lastTransitionTime": NOW,
    "observedGeneration": 1,
}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, "does not exist in this namespace"),
        ({}, "has no data set yet"),
        ({"conditions": [STALLED]}, "has no data set and is stalled"),
        ({"dataset": dataset().to_json_object()}, DIGEST),
        ({"dataset": dataset().to_json_object(), "conditions": [STALLED]}, DIGEST),
    ],
    ids=["missing", "without", "stalled", "with", "stalled-with"],
)
async def test_the_data_set_of_an_upstream_is_found_or_its_absence_explained(
    status: dict[str, Any] | None, expected: str
) -> None:
    server = FakeApiServer()
    if status is not None:
        upstream = {"metadata": {"name": "bob"}, "status": {"observedGeneration": 1} | status}
        server.add(tweetmodels_path(KEY.namespace), upstream)
    of = spec(sources=[{"handle": "bob", "tweetModel": {"name": "bob"}}])
    found = await upstream_datasets(server, observed(of=of))
    assert {name: each if isinstance(each, str) else each.digest for name, each in found.items()} == {"bob": expected}


async def test_an_error_of_the_api_server_leaves_upstreams_unknown() -> None:
    server = FakeApiServer()
    server.reject(ApiError(503, "", "try later"))
    of = spec(sources=[{"handle": "bob", "tweetModel": {"name": "bob"}}])
    with pytest.raises(ApiError, match="try later"):
        await upstream_datasets(server, observed(of=of))
