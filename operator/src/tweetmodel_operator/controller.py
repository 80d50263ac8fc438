"""The controller: workers, resync, probes and progress server, from start-up to shutdown."""

import asyncio
import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from tweetmodel_operator import metrics
from tweetmodel_operator.api_server import ApiServer
from tweetmodel_operator.observed import Key
from tweetmodel_operator.parse import JsonObject
from tweetmodel_operator.probes import Probes
from tweetmodel_operator.progress import ProgressServer, certificate_authority, create_tls_context
from tweetmodel_operator.reconcile import Reconciler
from tweetmodel_operator.resync import Resync
from tweetmodel_operator.settings import Settings
from tweetmodel_operator.workqueue import WorkQueue

logger = logging.getLogger(__name__)

CERTIFICATE_RELOAD_SECONDS = 60.0
"""Interval of reloads of the TLS certificate."""
MAX_SHUTDOWN_SECONDS = 5.0
PROGRESS_DELAY_SECONDS = 1.0
"""Seconds from a progress report to the reconcile; further reports in this time cause no further reconcile."""


class Controller:
    """Starts and stops the workers, the resync, the probes and the progress server."""

    def __init__(self, api: ApiServer, settings: Settings) -> None:
        """Create the controller.

        Raises:
            OSError: the certificate of the progress server can't be read.
        """
        self.settings = settings
        self._tls = create_tls_context(settings.tls_directory) if settings.tls_directory else None
        self.reconciler = Reconciler(api, settings, _now, certificate_authority(settings.tls_directory))
        self.queue: WorkQueue[Key] = WorkQueue(self.reconciler.reconcile)
        namespaces = settings.watch_namespaces or ("",)
        self.resync = Resync(api, self.reconciler.cache, namespaces, settings.resync_seconds, self.queue.wake)
        self._api = api
        self._tasks: list[asyncio.Task[None]] = []
        self._probes = Probes(self._tasks, namespaces, lambda: self.resync.list_error)
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Start the workers, the resync, the probes and, with TLS, the progress server."""
        self._tasks += [asyncio.create_task(self.queue.work()) for _ in range(self.settings.workers)]
        self._tasks += [asyncio.create_task(task) for task in (self.resync.run(), self.resync.check_access())]
        metrics.QUEUE_DEPTH.set_function(lambda: len(self.queue))
        metrics.ACTIVE_MODELS.set_function(lambda: len(self.reconciler.active_jobs))
        await self._serve(self._probes.application(), self.settings.metrics_port)
        if self.settings.tls_directory and self._tls:
            await self._start_progress_server(self.settings.tls_directory, self._tls)

    async def _start_progress_server(self, tls_directory: Path, context: ssl.SSLContext) -> None:
        reconciler = self.reconciler
        server = ProgressServer(self._api, reconciler.active_jobs, reconciler.progress, self._on_progress, _now)
        self._tasks.append(asyncio.create_task(self._reload_certificate(tls_directory, context)))
        await self._serve(server.application(), self.settings.progress_port, context)

    async def stop(self) -> None:
        """Stop everything; the next operator repeats unfinished reconciles."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:  # aiohttp may lose a cancellation that coincides with one of its timeouts
            await asyncio.wait(self._tasks, timeout=MAX_SHUTDOWN_SECONDS)
        for runner in self._runners:
            await runner.cleanup()
        await self._api.close()

    def on_watch_event(self, kind: str, raw: JsonObject, event_type: str) -> None:
        """Update the cache from a watch event, and wake the TweetModel if necessary."""
        self.resync.update_cache(kind, raw, event_type)

    def _on_progress(self, key: Key) -> None:
        """Schedule a reconcile after a progress report, unless an earlier reconcile is due in time."""
        self.queue.wake_soon(key, PROGRESS_DELAY_SECONDS, unless_within=self.settings.progress_interval_seconds)

    async def _reload_certificate(self, directory: Path, context: ssl.SSLContext) -> None:
        """Reload the mounted certificate, which cert-manager and others renew."""
        while True:
            await asyncio.sleep(CERTIFICATE_RELOAD_SECONDS)
            try:
                context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
                self.reconciler.progress_ca = certificate_authority(directory)
            except OSError as error:  # a renewal in progress: the next reload succeeds
                logger.warning("can't read the certificate in %s: %s", directory, error)

    async def _serve(self, application: web.Application, port: int, context: ssl.SSLContext | None = None) -> None:
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=port, ssl_context=context).start()
        self._runners.append(runner)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
