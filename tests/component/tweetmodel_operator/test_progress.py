"""The progress server over real HTTP, with a stand-in for the API server's TokenReview and pods."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from makers import KEY, NOW
from makers import time as moment
from tweetmodel_api.status import Metric, Progress
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError
from tweetmodel_operator.observed import Key
from tweetmodel_operator.progress import MAX_BODY_BYTES, ProgressServer

BODY = {
    "trainerStatus": {
        "progressPercentage": 45,
        "estimatedRemainingSeconds": 60,
        "metrics": [{"name": "loss", "value": "3.2"}],
        "lastUpdatedTime": "2020-01-01T00:00:00Z",
    }
}


@dataclass
class Cluster:
    """Knows one token, of a pod of Job `job`."""

    job: str = "ada-train-1"
    token: str = "good"
    audience: str = names.AUDIENCE
    namespace: str = KEY.namespace
    broken: bool = False
    reviews: list[str] = field(default_factory=list)

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.broken:
            raise ApiError(503, "", "try later")
        self.reviews.append(body["spec"]["token"])
        if body["spec"]["token"] != self.token:
            return {"status": {"authenticated": False}}
        extra = {"authentication.kubernetes.io/pod-name": ["pod"], "authentication.kubernetes.io/pod-uid": ["uid"]}
        user = {"username": f"system:serviceaccount:{self.namespace}:default", "extra": extra}
        return {"status": {"authenticated": True, "audiences": [self.audience], "user": user}}

    async def get(self, path: str) -> dict[str, Any]:
        owner = {"kind": "Job", "name": self.job, "controller": True}
        return {"metadata": {"uid": "uid", "ownerReferences": [owner]}}


@dataclass
class Running:
    cluster: Cluster
    server: ProgressServer
    client: TestClient
    woken: list[Key]
    time: list[float]

    async def post(self, token: str | None = "good", body: object = BODY, name: str = KEY.name) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        path = f"/namespaces/{KEY.namespace}/tweetmodels/{name}/status"
        async with self.client.post(path, json=body, headers=headers) as response:
            return response.status


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    cluster, woken, time = Cluster(), [], [0.0]
    server = ProgressServer(cluster, {KEY: "ada-train-1"}, {}, woken.append, lambda: moment(NOW), lambda: time[0])
    async with TestClient(TestServer(server.application())) as client:
        yield Running(cluster, server, client, woken, time)


async def test_a_post_of_the_jobs_pod_is_kept_and_wakes_the_tweetmodel(running: Running) -> None:
    assert await running.post() == 200
    kept = Progress(
        progress_percentage=45,
        estimated_remaining_seconds=60,
        metrics=(Metric(name="loss", value="3.2"),),
        last_updated_time=NOW,
    )
    assert running.server.progress == {"ada-train-1": kept}
    assert running.woken == [KEY]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"token": "other"}, 401),
        ({"audience": "https://kubernetes.default.svc"}, 401),
        ({"namespace": "elsewhere"}, 403),
        ({"job": "somebody-elses"}, 403),
        ({"broken": True}, 503),
    ],
)
async def test_a_token_that_is_not_of_the_jobs_pod_is_refused(
    running: Running, change: dict[str, Any], code: int
) -> None:
    for name, value in change.items():
        setattr(running.cluster, name, value)
    assert await running.post() == code
    assert running.server.progress == {}
    assert running.woken == []


async def test_a_post_without_a_token_is_refused_without_asking_the_api_server(running: Running) -> None:
    assert await running.post(token=None) == 401
    assert running.cluster.reviews == []


async def test_a_post_for_a_tweetmodel_without_a_job_at_work_is_refused(running: Running) -> None:
    assert await running.post(name="nobody") == 404


BAD_BODIES: list[object] = [
    {},
    [],
    {"trainerStatus": 1},
    {"trainerStatus": {"progressPercentage": 101}},
    {"trainerStatus": {"estimatedRemainingSeconds": 10**12}},
    {"trainerStatus": {"metrics": [{"name": "loss", "value": "1" * 33}]}},
]


@pytest.mark.parametrize("body", BAD_BODIES)
async def test_a_body_that_is_no_trainer_status_is_refused(running: Running, body: object) -> None:
    assert await running.post(body=body) == 400
    assert running.server.progress == {}


async def test_a_body_that_is_too_long_is_refused(running: Running) -> None:
    assert await running.post(body={"trainerStatus": {"x": "y" * MAX_BODY_BYTES}}) == 413


async def test_a_token_is_reviewed_once_a_minute(running: Running) -> None:
    for _ in range(5):
        assert await running.post() == 200
    assert len(running.cluster.reviews) == 1
    running.time[0] = 61
    assert await running.post() == 200
    assert len(running.cluster.reviews) == 2


async def test_a_token_that_is_no_good_is_not_reviewed_at_every_post(running: Running) -> None:
    assert [await running.post(token="bad") for _ in range(5)] == [401] * 5
    assert len(running.cluster.reviews) == 1
    running.time[0] = 11
    assert await running.post(token="bad") == 401
    assert len(running.cluster.reviews) == 2


async def test_a_pod_of_an_earlier_attempt_is_no_longer_heard(running: Running) -> None:
    assert await running.post() == 200
    running.server.active_jobs[KEY] = "ada-train-2"
    assert await running.post() == 403


async def test_many_posts_at_once_leave_one_progress(running: Running) -> None:
    assert set(await asyncio.gather(*(running.post() for _ in range(50)))) == {200}
    assert len(running.server.progress) == 1
