"""The work queue: one worker at a time for each key, back-off after failures, and delayed reconciles."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from tweetmodel_operator import workqueue
from tweetmodel_operator.workqueue import WorkQueue

Reconcile = Callable[[str], Awaitable[float | None]]


async def run(queue: WorkQueue[str], until: Callable[[], bool], workers: int = 3) -> None:
    """Run workers until a condition is true."""
    tasks = [asyncio.create_task(queue.work()) for _ in range(workers)]
    try:
        async with asyncio.timeout(5):
            while not until():
                await asyncio.sleep(0.005)
    finally:
        for task in tasks:
            task.cancel()


def recording(keys: list[str], reconcile: Callable[[], Awaitable[float | None]]) -> Reconcile:
    """Return a reconcile function that records its keys."""

    async def record(key: str) -> float | None:
        keys.append(key)
        return await reconcile()

    return record


async def nothing() -> None:
    return None


async def test_a_key_that_is_woken_repeatedly_is_reconciled_once() -> None:
    keys: list[str] = []
    queue = WorkQueue(recording(keys, nothing))
    for _ in range(10):
        queue.wake("a")
    assert len(queue) == 1
    await run(queue, lambda: bool(keys))
    assert keys == ["a"]
    assert len(queue) == 0


async def test_a_key_that_is_woken_during_its_reconcile_is_reconciled_again_afterwards() -> None:
    keys: list[str] = []
    concurrent = highest = 0

    async def slow() -> None:
        nonlocal concurrent, highest
        concurrent += 1
        highest = max(highest, concurrent)
        if len(keys) == 1:
            queue.wake("a")
        await asyncio.sleep(0.02)
        concurrent -= 1

    queue = WorkQueue(recording(keys, slow))
    queue.wake("a")
    await run(queue, lambda: len(keys) == 2 and concurrent == 0)
    assert highest == 1


async def test_a_failing_key_is_retried_with_growing_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workqueue, "MIN_BACKOFF_SECONDS", 0.01)
    times: list[float] = []

    async def fail() -> None:
        times.append(asyncio.get_running_loop().time())
        raise RuntimeError

    queue = WorkQueue(recording([], fail))
    queue.wake("a")
    await run(queue, lambda: len(times) == 4)
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(wait >= 0.01 * 2**number for number, wait in enumerate(waits))


def test_the_delay_after_many_failures_is_limited() -> None:
    queue = WorkQueue(recording([], nothing))
    delays = [queue._next_backoff("a") for _ in range(100)]
    assert delays[:3] == [1, 2, 4]
    assert delays[-1] == workqueue.MAX_BACKOFF_SECONDS
    assert queue._next_backoff("b") == 1


async def test_a_key_is_reconciled_again_after_the_requested_time() -> None:
    keys: list[str] = []

    async def soon() -> float | None:
        return 0.01 if len(keys) < 3 else None

    queue = WorkQueue(recording(keys, soon))
    queue.wake("a")
    await run(queue, lambda: len(keys) == 3)


async def test_of_several_delays_the_shortest_applies() -> None:
    keys: list[str] = []
    queue = WorkQueue(recording(keys, nothing))
    for seconds in (60.0, 0.02, 60.0, 0.02, 0.02):
        queue.wake_after("a", seconds)
    await run(queue, lambda: len(keys) == 1)


async def test_wake_soon_gives_way_to_a_near_reconcile() -> None:
    keys: list[str] = []
    queue = WorkQueue(recording(keys, nothing))
    queue.wake_after("near", 0.05)
    queue.wake_soon("near", 0.0, unless_within=10.0)
    queue.wake_after("far", 60.0)
    queue.wake_soon("far", 0.01, unless_within=10.0)
    await run(queue, lambda: len(keys) == 2)
    assert keys == ["far", "near"]


async def test_wake_soon_does_not_shorten_a_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workqueue, "MIN_BACKOFF_SECONDS", 60.0)
    keys: list[str] = []

    async def fail() -> float | None:
        if len(keys) == 1:
            raise RuntimeError
        return None

    queue = WorkQueue(recording(keys, fail))
    queue.wake("a")
    await run(queue, lambda: len(keys) == 1)
    queue.wake_soon("a", 0.0, unless_within=10.0)
    queue.wake_soon("b", 0.01, unless_within=10.0)
    await run(queue, lambda: len(keys) == 2)
    assert keys == ["a", "b"]


async def test_an_event_replaces_a_timer() -> None:
    keys: list[str] = []

    async def later() -> float | None:
        return 60.0 if len(keys) == 1 else None

    queue = WorkQueue(recording(keys, later))
    queue.wake("a")
    await run(queue, lambda: len(keys) == 1)
    queue.wake("a")
    await run(queue, lambda: len(keys) == 2)
