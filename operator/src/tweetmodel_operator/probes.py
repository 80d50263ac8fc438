"""/metrics, /healthz and /readyz over plain HTTP.

kopf's own liveness endpoint stays green when a watch has died (nolar/kopf#1276), so ours asks for the
watches themselves: a watcher that is missing once it has been there means that the process must restart.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

WATCHED = ("tweetmodels", "jobs", "pods")


@dataclass
class Probes:
    """Answers for the kubelet and Prometheus."""

    refresh: Callable[[], None]
    """Brings gauges up to date before a scrape."""
    _seen: set[str] = field(default_factory=set)

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        return application

    async def _metrics(self, _: web.Request) -> web.Response:
        self.refresh()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        alive = watchers(asyncio.all_tasks())
        self._seen |= alive
        dead = self._seen - alive
        return web.Response(status=500, text=f"the watch of {', '.join(sorted(dead))} has died") if dead else _ok()

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = set(WATCHED) - {kind for kind in WATCHED if any(kind in w for w in watchers(asyncio.all_tasks()))}
        if missing:
            return web.Response(status=503, text=f"{', '.join(sorted(missing))} are not watched yet")
        return _ok()


def _ok() -> web.Response:
    return web.Response(text="ok")


def watchers(tasks: set[asyncio.Task[object]]) -> set[str]:
    """Names of kopf's watch tasks that still run ("watcher for jobs.v1.batch@default")."""
    return {task.get_name() for task in tasks if task.get_name().startswith("watcher for ") and not task.done()}
