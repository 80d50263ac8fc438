"""Serves /metrics, /healthz and /readyz over plain HTTP.

kopf's own liveness endpoint stays green after a watch has died (nolar/kopf#1276), so these probes check the watch
tasks themselves. A watch that has died, or never started because the CRD was installed later, requires a restart of
the process. So does a task of the controller that has ended.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tweetmodel_operator.metrics import WATCHED_KINDS

logger = logging.getLogger(__name__)

WATCH_START_SECONDS = 60.0
"""Maximum time for the start of a watch."""


def _no_error() -> str:
    return ""


@dataclass
class Probes:
    """Responds to the kubelet and to Prometheus."""

    tasks: Sequence[asyncio.Task[None]] = ()
    """Tasks that must run as long as the operator."""
    list_error: Callable[[], str] = _no_error
    """Returns why the operator can't list a kind; empty if all kinds can be listed."""
    clock: Callable[[], float] = time.monotonic
    _known_watches: set[str] = field(default_factory=set)
    _missing_since: dict[str, float] = field(default_factory=dict)
    """When each kind lost its watch."""

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        return application

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        running = running_watches(asyncio.all_tasks())
        self._known_watches |= running
        dead = self._known_watches - running
        if dead:
            return web.Response(status=500, text=f"the watch of {', '.join(sorted(dead))} has died")
        for task in self.tasks:
            if task.done():
                logger.error(
                    "a task of the operator has ended", exc_info=None if task.cancelled() else task.exception()
                )
                return web.Response(status=500, text="a task of the operator has ended: see the log")
        now = self.clock()
        self._missing_since = {kind: self._missing_since.get(kind, now) for kind in unwatched_kinds(running)}
        late = [kind for kind, since in self._missing_since.items() if now - since > WATCH_START_SECONDS]
        if late:
            return web.Response(status=500, text=f"can't watch {', '.join(late)}")
        return _ok()

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = unwatched_kinds(running_watches(asyncio.all_tasks()))
        if missing:
            return web.Response(status=503, text=f"not watching {', '.join(sorted(missing))} yet")
        if error := self.list_error():
            return web.Response(status=503, text=error)
        return _ok()


def _ok() -> web.Response:
    return web.Response(text="ok")


def unwatched_kinds(running: set[str]) -> set[str]:
    """Return the kinds without a running watch."""
    return {kind for kind in WATCHED_KINDS if not any(kind in watch for watch in running)}


def running_watches(tasks: set[asyncio.Task[object]]) -> set[str]:
    """Return the names of kopf's running watch tasks ("watcher for jobs.v1.batch@default")."""
    return {task.get_name() for task in tasks if task.get_name().startswith("watcher for ") and not task.done()}
