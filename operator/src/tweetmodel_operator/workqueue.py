"""A work queue of keys: a single worker at a time processes a key, however often the key is woken.

kopf never retries event handlers, so this queue does: after an error a key is processed again after 1, 2, 4 … 60 s,
and on request of the reconcile after the requested time. The design follows client-go's workqueue.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

MIN_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 60.0

K = TypeVar("K")


class WorkQueue(Generic[K]):
    """Calls `reconcile(key)`; the result is the time in seconds until the next reconcile of the key, or None."""

    def __init__(self, reconcile: Callable[[K], Awaitable[float | None]]) -> None:
        self._reconcile = reconcile
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._processing: set[K] = set()
        self._woken_meanwhile: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wake(self, key: K) -> None:
        """Schedule a reconcile now; repeated calls before the reconcile have no effect."""
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        if key in self._processing:
            self._woken_meanwhile.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def wake_after(self, key: K, seconds: float) -> None:
        """Schedule a reconcile after a delay, unless an earlier reconcile is scheduled."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.wake, key)

    def wake_soon(self, key: K, seconds: float, unless_within: float) -> None:
        """Schedule a reconcile after a delay, unless another is due within `unless_within` or after a failure."""
        timer = self._timers.get(key)
        is_soon = timer is not None and timer.when() <= asyncio.get_running_loop().time() + unless_within
        if not is_soon and key not in self._failures:
            self.wake_after(key, seconds)

    async def work(self) -> None:
        """Process keys until canceled."""
        while True:
            await self._process(await self._ready.get())
            await asyncio.sleep(0)  # many reconciles never await anything: let other tasks run

    async def _process(self, key: K) -> None:
        self._waiting.discard(key)
        self._processing.add(key)
        requeue_after: float | None
        try:
            requeue_after = await self._reconcile(key)
            self._failures.pop(key, None)
        except Exception:  # logged by the reconciler
            requeue_after = self._next_backoff(key)
        finally:
            self._processing.discard(key)
        if key in self._woken_meanwhile:
            self._woken_meanwhile.discard(key)
            self.wake(key)
        elif requeue_after is not None:
            self.wake_after(key, requeue_after)

    def _next_backoff(self, key: K) -> float:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        return min(MIN_BACKOFF_SECONDS * 2.0 ** min(count - 1, 30), MAX_BACKOFF_SECONDS)
