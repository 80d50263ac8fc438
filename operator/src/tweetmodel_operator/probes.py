"""/metrics, /healthz and /readyz over plain HTTP.

kopf's own liveness endpoint stays green when a watch has died (nolar/kopf#1276), so ours asks for the
watches themselves: one that is missing once it has been there, or does not come up, as when the CRD is installed
only later, means that the process must restart. So does a part of our own that has died.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tweetmodel_operator.metrics import KINDS

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""How long a watch may take to come up."""


@dataclass
class Probes:
    """Answers for the kubelet and Prometheus."""

    tasks: Sequence[asyncio.Task[None]] = ()
    """What must run as long as the operator does."""
    clock: Callable[[], float] = time.monotonic
    blind: str = ""
    """Why what is to be served can't be seen; empty where it can."""
    _seen: set[str] = field(default_factory=set)
    _absent: dict[str, float] = field(default_factory=dict)
    """Since when a kind has had no watch."""

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        return application

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        alive = watchers(asyncio.all_tasks())
        self._seen |= alive
        dead = self._seen - alive
        if dead:
            return web.Response(status=500, text=f"the watch of {', '.join(sorted(dead))} has died")
        for task in self.tasks:
            if task.done():
                logger.error("a part of the operator has died", exc_info=None if task.cancelled() else task.exception())
                return web.Response(status=500, text="a part of the operator has died: its log says why")
        now = self.clock()
        self._absent = {kind: self._absent.get(kind, now) for kind in unwatched(alive)}
        late = [kind for kind, since in self._absent.items() if now - since > PATIENCE_SECONDS]
        return web.Response(status=500, text=f"{', '.join(late)} can't be watched") if late else _ok()

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = unwatched(watchers(asyncio.all_tasks()))
        if missing:
            return web.Response(status=503, text=f"{', '.join(sorted(missing))} are not watched yet")
        if self.blind:
            return web.Response(status=503, text=self.blind)
        return _ok()


def _ok() -> web.Response:
    return web.Response(text="ok")


def unwatched(alive: set[str]) -> set[str]:
    """The kinds that no watch task is there for."""
    return {kind for kind in KINDS if not any(kind in watcher for watcher in alive)}


def watchers(tasks: set[asyncio.Task[object]]) -> set[str]:
    """Names of kopf's watch tasks that still run ("watcher for jobs.v1.batch@default")."""
    return {task.get_name() for task in tasks if task.get_name().startswith("watcher for ") and not task.done()}
