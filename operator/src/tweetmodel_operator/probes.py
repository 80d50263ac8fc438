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
from itertools import product

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tweetmodel_operator.metrics import WATCHED_KINDS

logger = logging.getLogger(__name__)

WATCH_TASK_PREFIX = "watcher for "
"""Prefix of the names of kopf's watch tasks (kopf._core.reactor.orchestration)."""
WATCH_START_SECONDS = 60.0
"""Maximum time for the start of a watch."""


def _no_error() -> str:
    return ""


@dataclass
class Probes:
    """HTTP handlers for the probes of the kubelet and for Prometheus."""

    tasks: Sequence[asyncio.Task[None]] = ()
    """Tasks that must run as long as the operator."""
    namespaces: Sequence[str] = ("",)
    """Watched namespaces; an empty name means all namespaces."""
    list_error: Callable[[], str] = _no_error
    """Function that returns the error of the last failed list, or an empty text."""
    clock: Callable[[], float] = time.monotonic
    _known_watches: set[str] = field(default_factory=set)
    _missing_since: dict[str, float] = field(default_factory=dict)
    """Time of the first probe without a watch, by watch."""

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
        missing = self._missing_watches(running)
        self._missing_since = {watch: self._missing_since.get(watch, now) for watch in missing}
        late = [watch for watch, since in self._missing_since.items() if now - since > WATCH_START_SECONDS]
        if late:
            advice = "check that the CRD and the RBAC rules of the chart are installed"
            return web.Response(status=500, text=f"can't watch {', '.join(late)}: {advice}")
        return _ok()

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._missing_watches(running_watches(asyncio.all_tasks()))
        if missing:
            return web.Response(status=503, text=f"not watching {', '.join(missing)} yet")
        if error := self.list_error():
            return web.Response(status=503, text=error)
        return _ok()

    def _missing_watches(self, running: set[str]) -> list[str]:
        """Return the watches that don't run, such as pods@default."""
        missing = []
        for plural, namespace in product(WATCHED_KINDS, self.namespaces):
            scope = namespace or None  # kopf's name for a watch of all namespaces
            is_running = any(name.startswith(f"{plural}.") and name.endswith(f"@{scope}") for name in running)
            if not is_running:
                missing.append(f"{plural}@{namespace}" if namespace else plural)
        return missing


def _ok() -> web.Response:
    return web.Response(text="ok")


def running_watches(tasks: set[asyncio.Task[object]]) -> set[str]:
    """Return kopf's running watches, such as jobs.v1.batch@default, by the names of kopf's tasks."""
    names = [task.get_name() for task in tasks if not task.done()]
    return {name.removeprefix(WATCH_TASK_PREFIX) for name in names if name.startswith(WATCH_TASK_PREFIX)}
