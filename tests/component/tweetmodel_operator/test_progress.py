"""The progress server over HTTP, with an API server in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from fakes import objects
from fakes.api_server import TOKEN_REVIEWS, FakeApiServer
from makers import KEY, NOW
from makers import time as moment
from tweetmodel_api.status import Metric, Progress
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError
from tweetmodel_operator.children import POD
from tweetmodel_operator.observed import Key
from tweetmodel_operator.progress import MAX_BODY_BYTES, ProgressServer

JOB = "ada-train-1"
BODY = {
    "trainerStatus": {
        "progressPercentage": 45,
        "estimatedRemainingSeconds": 60,
        "metrics": [{"name": "loss", "value": "3.2"}],
        "lastUpdatedTime": "2020-01-01T00:00:00Z",
    }
}


def server_with_token(
    job: str = JOB, token: str = "good", audience: str = names.AUDIENCE, namespace: str = KEY.namespace
) -> FakeApiServer:
    """Return an API server with a pod of a Job, and a token that is bound to the pod."""
    server = FakeApiServer()
    pod = server.add(POD.path(KEY.namespace), objects.pod(objects.job(job, "train")))["metadata"]
    extra = {
        "authentication.kubernetes.io/pod-name": [pod["name"]],
        "authentication.kubernetes.io/pod-uid": [pod["uid"]],
    }
    user = {"username": f"system:serviceaccount:{namespace}:default", "extra": extra}
    server.tokens[token] = {"authenticated": True, "audiences": [audience], "user": user}
    return server


@dataclass
class Running:
    """A progress server that accepts requests."""

    api: FakeApiServer
    server: ProgressServer
    client: TestClient
    woken: list[Key]
    seconds: list[float]
    """The time of the server's clock."""

    @property
    def reviews(self) -> int:
        """Number of TokenReviews."""
        return sum(request.path == TOKEN_REVIEWS for request in self.api.requests)

    async def post(self, token: str | None = "good", body: object = BODY, name: str = KEY.name) -> int:
        """Report progress, and return the HTTP status of the response."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        path = f"/namespaces/{KEY.namespace}/tweetmodels/{name}/status"
        async with self.client.post(path, json=body, headers=headers) as response:
            return response.status


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    woken, seconds = [], [0.0]
    api = server_with_token()
    server = ProgressServer(api, {KEY: JOB}, {}, woken.append, lambda: moment(NOW), lambda: seconds[0])
    async with TestClient(TestServer(server.application())) as client:
        yield Running(api, server, client, woken, seconds)


async def test_progress_of_the_active_jobs_pod_is_stored_and_wakes_the_tweetmodel(running: Running) -> None:
    assert await running.post() == 200
    progress = Progress(
        progress_percentage=45,
        estimated_remaining_seconds=60,
        metrics=(Metric(name="loss", value="3.2"),),
        last_updated_time=NOW,
    )
    assert running.server.progress == {JOB: progress}
    assert running.woken == [KEY]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"token": "other"}, 401),
        ({"audience": "https://kubernetes.default.svc"}, 401),
        ({"namespace": "elsewhere"}, 403),
        ({"job": "ada-train-of-another"}, 403),
    ],
    ids=["unknown-token", "another-audience", "another-namespace", "another-job"],
)
async def test_a_token_of_no_pod_of_the_job_is_rejected(running: Running, change: dict[str, Any], code: int) -> None:
    running.server.api = server_with_token(**change)
    assert await running.post() == code
    assert running.server.progress == {}
    assert running.woken == []


async def test_a_token_that_can_not_be_reviewed_is_rejected(running: Running) -> None:
    running.api.reject(ApiError(503, "", "try later"))
    assert await running.post() == 503
    assert running.server.progress == {}
    assert running.woken == []


async def test_a_token_of_a_deleted_pod_is_rejected(running: Running) -> None:
    pod = f"{POD.path(KEY.namespace)}/{JOB}-0"
    running.api.update(pod, metadata={"uid": "uid-of-the-next-pod"})
    assert await running.post() == 403
    running.api.remove(pod)
    running.seconds[0] = 61
    assert await running.post() == 403


async def test_a_report_without_a_token_is_rejected_without_a_review(running: Running) -> None:
    assert await running.post(token=None) == 401
    assert running.reviews == 0


async def test_progress_of_a_tweetmodel_without_an_active_job_is_rejected(running: Running) -> None:
    assert await running.post(name="nobody") == 404


BAD_BODIES: dict[str, object] = {
    "empty": {},
    "list": [],
    "number": {"trainerStatus": 1},
    "percentage": {"trainerStatus": {"progressPercentage": 101}},
    "seconds": {"trainerStatus": {"estimatedRemainingSeconds": 10**12}},
    "metric": {"trainerStatus": {"metrics": [{"name": "loss", "value": "1" * 33}]}},
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_body_without_a_valid_trainer_status_is_rejected(running: Running, body: object) -> None:
    assert await running.post(body=body) == 400
    assert running.server.progress == {}


async def test_a_body_beyond_the_size_limit_is_rejected(running: Running) -> None:
    assert await running.post(body={"trainerStatus": {"x": "y" * MAX_BODY_BYTES}}) == 413


async def test_an_accepted_token_is_reviewed_once_a_minute(running: Running) -> None:
    for _ in range(5):
        assert await running.post() == 200
    assert running.reviews == 1
    running.seconds[0] = 61
    assert await running.post() == 200
    assert running.reviews == 2


async def test_a_rejected_token_is_reviewed_every_ten_seconds(running: Running) -> None:
    assert [await running.post(token="bad") for _ in range(5)] == [401] * 5
    assert running.reviews == 1
    running.seconds[0] = 11
    assert await running.post(token="bad") == 401
    assert running.reviews == 2


async def test_a_pod_of_an_earlier_attempt_is_rejected(running: Running) -> None:
    assert await running.post() == 200
    running.server.active_jobs[KEY] = "ada-train-2"
    assert await running.post() == 403


async def test_concurrent_reports_leave_one_progress(running: Running) -> None:
    assert set(await asyncio.gather(*(running.post() for _ in range(50)))) == {200}
    assert len(running.server.progress) == 1


async def test_a_pod_that_can_not_be_read_is_a_temporary_failure(running: Running) -> None:
    running.api.reject(ApiError(500, "InternalError", "etcd is slow"), method="GET", plural="pods")
    assert await running.post() == 503
    running.api.accept_all()
    assert await running.post() == 200


async def test_progress_of_a_job_that_ended_during_the_review_is_not_kept(running: Running) -> None:
    review = running.server._review

    async def slow_review(key: Key, token: str) -> Any:
        job = await review(key, token)
        running.server.active_jobs[key] = "ada-train-2"
        return job

    running.server._review = slow_review  # type: ignore[method-assign]
    assert await running.post() == 404
    assert running.server.progress == {}
