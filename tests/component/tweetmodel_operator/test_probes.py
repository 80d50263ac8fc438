"""Probes: missing watches, ended tasks and missing permissions."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tweetmodel_operator.metrics import WATCHED_KINDS
from tweetmodel_operator.probes import WATCH_START_SECONDS, Probes


@dataclass
class ProbeClient:
    """A client of the probes."""

    client: TestClient
    time: list[float]
    """The time of the probes' clock."""

    async def code(self, path: str) -> int:
        """Return the HTTP status of a probe."""
        async with self.client.get(path) as response:
            return response.status


@pytest.fixture
async def probes() -> AsyncIterator[ProbeClient]:
    time = [0.0]
    async with TestClient(TestServer(Probes(clock=lambda: time[0]).application())) as client:
        yield ProbeClient(client, time)


@contextmanager
def watching(*kinds: str) -> Iterator[None]:
    """Run tasks that are named like the watches of kopf."""
    tasks = [asyncio.create_task(asyncio.sleep(60), name=f"watcher for {kind}.v1@None") for kind in kinds]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def test_the_operator_is_ready_once_all_kinds_are_watched(probes: ProbeClient) -> None:
    assert await probes.code("/readyz") == 503
    with watching(*WATCHED_KINDS):
        assert [await probes.code(path) for path in ("/readyz", "/healthz")] == [200, 200]


async def test_an_ended_task_fails_the_liveness_probe(caplog: pytest.LogCaptureFixture) -> None:
    async def fail_after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        raise RuntimeError("out of paper")

    tasks = [asyncio.create_task(fail_after(60)), asyncio.create_task(fail_after(0))]
    with watching(*WATCHED_KINDS):
        async with TestClient(TestServer(Probes(tasks).application())) as client:
            await asyncio.wait(tasks[1:])
            assert (await client.get("/healthz")).status == 500
    assert "out of paper" in caplog.text
    tasks[0].cancel()


async def test_the_operator_is_not_ready_without_permission_to_list() -> None:
    error = "can't list /api/v1/pods: forbidden"
    forbidden = Probes(list_error=lambda: error)
    async with TestClient(TestServer(forbidden.application())) as client:
        with watching(*WATCHED_KINDS):
            async with client.get("/readyz") as response:
                assert (response.status, await response.text()) == (503, error)
            async with client.get("/healthz") as response:
                assert response.status == 200


async def test_a_dead_watch_fails_the_liveness_probe_at_once(probes: ProbeClient) -> None:
    with watching(*WATCHED_KINDS):
        assert await probes.code("/healthz") == 200
    await asyncio.sleep(0)
    assert await probes.code("/healthz") == 500


async def test_a_watch_that_never_starts_fails_the_liveness_probe_later(probes: ProbeClient) -> None:
    with watching("jobs", "pods"):
        assert await probes.code("/healthz") == 200
        probes.time[0] = WATCH_START_SECONDS + 1
        assert await probes.code("/healthz") == 500


async def test_each_namespace_needs_its_watches() -> None:
    watched = [f"watcher for {kind}.v1@{namespace}" for kind in WATCHED_KINDS for namespace in ("pods", "jobs")]
    tasks = [
        asyncio.create_task(asyncio.sleep(60), name=name) for name in watched if name != "watcher for pods.v1@jobs"
    ]
    probes = Probes(namespaces=("pods", "jobs"))
    async with TestClient(TestServer(probes.application())) as client, client.get("/readyz") as response:
        assert (response.status, await response.text()) == (503, "not watching pods@jobs yet")
    for task in tasks:
        task.cancel()


async def test_metrics_are_served(probes: ProbeClient) -> None:
    assert await probes.code("/metrics") == 200
