"""Whether the kubelet hears of a watch that is not there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tweetmodel_operator.metrics import KINDS
from tweetmodel_operator.probes import PATIENCE_SECONDS, Probes


@dataclass
class Asked:
    client: TestClient
    time: list[float]

    async def code(self, path: str) -> int:
        async with self.client.get(path) as response:
            return response.status


@pytest.fixture
async def probes() -> AsyncIterator[Asked]:
    time = [0.0]
    async with TestClient(TestServer(Probes(clock=lambda: time[0]).application())) as client:
        yield Asked(client, time)


@contextmanager
def watching(*kinds: str) -> Iterator[None]:
    tasks = [asyncio.create_task(asyncio.sleep(60), name=f"watcher for {kind}@none") for kind in kinds]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def test_it_is_ready_once_everything_is_watched(probes: Asked) -> None:
    assert await probes.code("/readyz") == 503
    with watching(*KINDS):
        assert [await probes.code(path) for path in ("/readyz", "/healthz")] == [200, 200]


async def test_a_part_of_the_operator_that_has_died_restarts_it(caplog: pytest.LogCaptureFixture) -> None:
    async def works(seconds: float) -> None:
        await asyncio.sleep(seconds)
        raise RuntimeError("out of paper")

    tasks = [asyncio.create_task(works(60)), asyncio.create_task(works(0))]
    with watching(*KINDS):
        async with TestClient(TestServer(Probes(tasks).application())) as client:
            await asyncio.wait(tasks[1:])
            assert (await client.get("/healthz")).status == 500
    assert "out of paper" in caplog.text
    tasks[0].cancel()


async def test_it_is_not_ready_while_it_may_not_list_what_it_watches() -> None:
    blind = Probes(blind="/api/v1/pods can't be listed: forbidden")
    async with TestClient(TestServer(blind.application())) as client:
        with watching(*KINDS):
            async with client.get("/readyz") as response:
                assert (response.status, await response.text()) == (503, "/api/v1/pods can't be listed: forbidden")
            async with client.get("/healthz") as response:
                assert response.status == 200


async def test_a_watch_that_has_died_fails_at_once(probes: Asked) -> None:
    with watching(*KINDS):
        assert await probes.code("/healthz") == 200
    await asyncio.sleep(0)
    assert await probes.code("/healthz") == 500


async def test_a_watch_that_never_comes_up_fails_after_a_while(probes: Asked) -> None:
    with watching("jobs", "pods"):
        assert await probes.code("/healthz") == 200
        probes.time[0] = PATIENCE_SECONDS + 1
        assert await probes.code("/healthz") == 500


async def test_metrics_are_there(probes: Asked) -> None:
    assert await probes.code("/metrics") == 200
