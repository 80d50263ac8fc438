"""A queue of keys: each is worked on by one worker at a time, however often it is woken.

kopf never retries event handlers, so retries stand here: a key whose reconcile raised comes back after
1, 2, 4 … 60 s, a key that asked for it after the time it named. The shape is client-go's workqueue.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0

K = TypeVar("K")


class WorkQueue(Generic[K]):
    """Wakes `reconcile(key)`, which returns the seconds until it wants to look again, or None."""

    def __init__(self, reconcile: Callable[[K], Awaitable[float | None]]) -> None:
        self._reconcile = reconcile
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._woken: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wake(self, key: K) -> None:
        """Has the key looked at soon: once, however often this is called before that."""
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        if key in self._working:
            self._woken.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def wake_after(self, key: K, seconds: float) -> None:
        """Has the key looked at after this long, unless it is woken before, or asked to be earlier."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.wake, key)

    def hint(self, key: K, seconds: float, at_latest: float) -> None:
        """As `wake_after`, but for a key that comes back by `at_latest` seconds anyway, or after it has failed."""
        timer = self._timers.get(key)
        soon = timer is not None and timer.when() <= asyncio.get_running_loop().time() + at_latest
        if not soon and key not in self._failures:
            self.wake_after(key, seconds)

    async def work(self) -> None:
        """One worker: runs until cancelled."""
        while True:
            await self._work_once(await self._ready.get())
            await asyncio.sleep(0)  # many reconciles wait for nothing, and others have a turn between them

    async def _work_once(self, key: K) -> None:
        self._waiting.discard(key)
        self._working.add(key)
        again: float | None
        try:
            again = await self._reconcile(key)
            self._failures.pop(key, None)
        except Exception:  # logged where it is raised; whatever it was, the key comes back
            count = self._failures[key] = self._failures.get(key, 0) + 1
            again = min(FIRST_BACKOFF * 2.0 ** min(count - 1, 30), LONGEST_BACKOFF)
        finally:
            self._working.discard(key)
        if key in self._woken:
            self._woken.discard(key)
            self.wake(key)
        elif again is not None:
            self.wake_after(key, again)
