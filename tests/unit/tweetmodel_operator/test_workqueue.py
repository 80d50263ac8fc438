import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from tweetmodel_operator import workqueue
from tweetmodel_operator.workqueue import WorkQueue


async def run(queue: WorkQueue[str], until: Callable[[], bool], workers: int = 3) -> None:
    tasks = [asyncio.create_task(queue.work()) for _ in range(workers)]
    try:
        async with asyncio.timeout(5):
            while not until():
                await asyncio.sleep(0.005)
    finally:
        for task in tasks:
            task.cancel()


def recorder(
    seen: list[str], answer: Callable[[], Awaitable[float | None]]
) -> Callable[[str], Awaitable[float | None]]:
    async def reconcile(key: str) -> float | None:
        seen.append(key)
        return await answer()

    return reconcile


async def nothing() -> None:
    return None


async def test_a_key_woken_many_times_is_looked_at_once() -> None:
    seen: list[str] = []
    queue = WorkQueue(recorder(seen, nothing))
    for _ in range(10):
        queue.wake("a")
    await run(queue, lambda: bool(seen))
    assert seen == ["a"]


async def test_a_key_is_worked_on_by_one_worker_at_a_time_and_once_more_when_woken_meanwhile() -> None:
    seen: list[str] = []
    at_work = most = 0

    async def slow() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        queue.wake("a") if len(seen) == 1 else None
        await asyncio.sleep(0.02)
        at_work -= 1

    queue = WorkQueue(recorder(seen, slow))
    queue.wake("a")
    await run(queue, lambda: len(seen) == 2 and at_work == 0)
    assert most == 1


async def test_a_reconcile_that_raises_comes_back_later_each_time(monkeypatch: object) -> None:
    monkeypatch.setattr(workqueue, "MIN_BACKOFF_SECONDS", 0.01)
    times: list[float] = []

    async def fail() -> None:
        times.append(asyncio.get_running_loop().time())
        raise RuntimeError

    queue = WorkQueue(recorder([], fail))
    queue.wake("a")
    await run(queue, lambda: len(times) == 4)
    waits = [b - a for a, b in itertools.pairwise(times)]
    assert all(wait >= 0.01 * 2**number for number, wait in enumerate(waits))


async def test_a_key_comes_back_after_the_time_it_asked_for() -> None:
    seen: list[str] = []

    async def soon() -> float | None:
        return 0.01 if len(seen) < 3 else None

    queue = WorkQueue(recorder(seen, soon))
    queue.wake("a")
    await run(queue, lambda: len(seen) == 3)


async def test_many_wishes_for_later_are_one_look_at_the_earliest() -> None:
    seen: list[str] = []
    queue = WorkQueue(recorder(seen, nothing))
    for seconds in (60.0, 0.02, 60.0, 0.02, 0.02):
        queue.wake_after("a", seconds)
    await run(queue, lambda: len(seen) == 1)


async def test_wake_soon_gives_way_to_a_near_reconcile() -> None:
    seen: list[str] = []
    queue = WorkQueue(recorder(seen, nothing))
    queue.wake_after("near", 0.05)
    queue.wake_soon("near", 0.0, unless_within=10.0)
    queue.wake_after("far", 60.0)
    queue.wake_soon("far", 0.01, unless_within=10.0)
    await run(queue, lambda: len(seen) == 2)
    assert seen == ["far", "near"]


async def test_wake_soon_does_not_shorten_a_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workqueue, "MIN_BACKOFF_SECONDS", 60.0)
    seen: list[str] = []

    async def fail() -> float | None:
        if len(seen) == 1:
            raise RuntimeError
        return None

    queue = WorkQueue(recorder(seen, fail))
    queue.wake("a")
    await run(queue, lambda: len(seen) == 1)
    queue.wake_soon("a", 0.0, unless_within=10.0)
    queue.wake_soon("b", 0.01, unless_within=10.0)
    await run(queue, lambda: len(seen) == 2)
    assert seen == ["a", "b"]


async def test_an_event_comes_before_a_timer_and_replaces_it() -> None:
    seen: list[str] = []

    async def later() -> float | None:
        return 60.0 if len(seen) == 1 else None

    queue = WorkQueue(recorder(seen, later))
    queue.wake("a")
    await run(queue, lambda: len(seen) == 1)
    queue.wake("a")
    await run(queue, lambda: len(seen) == 2)
