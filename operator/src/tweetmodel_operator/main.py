"""ModelReference-up. kopf watches, reconnects and shuts down; its event handlers only wake a key.

Event handlers, because kopf's create and update handlers write an annotation to every object, and a queue
of our own, because kopf never retries event handlers.
"""

import asyncio
import itertools
import logging
import os
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import kopf
from aiohttp import web
from kubernetes.aio.config import ConfigException

from tweetmodel_api import GROUP, KIND, PLURAL, VERSION
from tweetmodel_operator import logs, metrics, names
from tweetmodel_operator.api_server import (
    METADATA,
    PAGE,
    TIMEOUT_SECONDS,
    ApiError,
    ApiServer,
    JsonObject,
    jobs_path,
    pods_path,
    tweetmodels_path,
)
from tweetmodel_operator.login import Logins
from tweetmodel_operator.probes import Probes
from tweetmodel_operator.progress import ProgressServer, certificate_authority, tls
from tweetmodel_operator.reconcile import Reconciler
from tweetmodel_operator.settings import Settings, from_environment
from tweetmodel_operator.state import Key
from tweetmodel_operator.view import key_of
from tweetmodel_operator.workqueue import WorkQueue

logger = logging.getLogger(__name__)

CERTIFICATE_SECONDS = 60.0
STOP_SECONDS = 5.0
IDLE_SECONDS = 0.1
"""How long kopf keeps a task for an object that has nothing new; its default of 5 s makes tens of thousands of them."""
SILENT_SECONDS = 65.0
"""A watch that says nothing for this long is dead: the API server sends a bookmark each minute."""
AGAIN_SECONDS = 5.0
"""Between two tries to list or watch. kopf's own grow, and end after a minute, and the watch with them."""
POSTED_SECONDS = 1.0
"""From a post of progress to the look at it: a pod that posts without a pause costs one look in that time."""
RESYNC_SHARE = 0.01
"""Of the operator's time that looking everything over may take, where that means less often than is set."""
LONGEST_RESYNC_SECONDS = 300.0


class Operator:
    """Everything that runs beside kopf, from start-up to clean-up."""

    def __init__(self, api: ApiServer, config: Settings) -> None:
        self.settings = config
        self.reconciler = Reconciler(api, config, _now, certificate_authority(config.tls_directory))
        self.queue: WorkQueue[Key] = WorkQueue(self.reconciler.reconcile)
        self._api = api
        self._tasks: list[asyncio.Task[None]] = []
        self._probes = Probes(self._tasks)
        self._runners: list[web.AppRunner] = []

    @property
    def _scopes(self) -> tuple[str, ...]:
        """The namespaces to list; an empty name is all of them."""
        return self.settings.watch_namespaces or ("",)

    async def start(self) -> None:
        """Starts the workers, the resync, the probes and, where TLS is set up, the progress server."""
        self._tasks += [asyncio.create_task(self.queue.work()) for _ in range(self.settings.workers)]
        self._tasks += [asyncio.create_task(work) for work in (self._resync(), self._look_out())]
        metrics.QUEUE_DEPTH.set_function(lambda: len(self.queue))
        metrics.ACTIVE_MODELS.set_function(lambda: len(self.reconciler.jobs))
        await self._serve(self._probes.application(), self.settings.metrics_port)
        if self.settings.tls_directory:
            server = ProgressServer(self._api, self.reconciler.jobs, self.reconciler.posted, self._posted, _now)
            context = tls(self.settings.tls_directory)
            self._tasks.append(asyncio.create_task(self._follow_certificate(self.settings.tls_directory, context)))
            await self._serve(server.application(), self.settings.progress_port, context)

    async def stop(self) -> None:
        """Stops everything; what was half done is done again by the next operator."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:  # a cancellation is lost where it meets a timeout of aiohttp's
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        for runner in self._runners:
            await runner.cleanup()
        await self._api.close()

    def saw(self, kind: str, raw: JsonObject, told: str | None = None) -> None:
        """Takes what a watch (`told` is its word for it) or a list says, and wakes the TweetModel it is news for."""
        view = self.reconciler.view
        key = key_of(kind, raw)
        if key and (view.drop(kind, raw) if told == "DELETED" else view.put(kind, raw, listed=told is None)):
            self.queue.wake(key)

    def _posted(self, key: Key) -> None:
        """Looks soon at a key whose pod has posted; not for each post while one waits to be written."""
        self.queue.hint(key, POSTED_SECONDS, at_latest=self.settings.progress_interval_seconds)

    async def _follow_certificate(self, directory: Path, context: ssl.SSLContext) -> None:
        """Serves what the kubelet mounts now: cert-manager and its like renew it."""
        while True:
            await asyncio.sleep(CERTIFICATE_SECONDS)
            try:
                context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
                self.reconciler.progress_ca = certificate_authority(directory)
            except OSError as error:  # half renewed: the next round finds it whole
                logger.warning("the certificate in %s can't be read: %s", directory, error)

    async def _serve(self, application: web.Application, port: int, context: ssl.SSLContext | None = None) -> None:
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=port, ssl_context=context).start()
        self._runners.append(runner)

    async def _resync(self) -> None:
        """Looks at everything now and then: what a watch has lost is found again."""
        took = 0.0
        while True:
            pause = max(self.settings.resync_seconds, min(took / RESYNC_SHARE, LONGEST_RESYNC_SECONDS))
            await asyncio.sleep(pause)
            began = time.monotonic()
            for namespace in self._scopes:
                try:
                    await self.look_over(namespace)
                except Exception as error:  # the next round tries again
                    logger.warning("the resync of %s failed: %s", namespace or "the cluster", error)
            took = time.monotonic() - began

    async def _look_out(self) -> None:
        """Is not ready while it can't see: kopf tries for ever to list what it may not, with its watches there."""
        while True:
            self._probes.blind = await self._blindness()
            await asyncio.sleep(AGAIN_SECONDS if self._probes.blind else self.settings.resync_seconds)

    async def _blindness(self) -> str:
        """What can't be listed, and why; empty where all can."""
        for namespace in self._scopes:
            for path in (tweetmodels_path(namespace), jobs_path(namespace), pods_path(namespace)):
                try:
                    await self._api.get(path, limit="1")
                except ApiError as error:
                    logger.warning("%s can't be listed: %s", path, error)
                    return f"{path} can't be listed: {error}"
        return ""

    async def look_over(self, namespace: str) -> None:
        """Lists everything, and has looked at what the watches have not told."""
        view = self.reconciler.view
        unlisted = view.held(KIND, namespace)
        async for item in self._api.items(tweetmodels_path(namespace), METADATA):
            key = Key(item["metadata"]["namespace"], item["metadata"]["name"])
            unlisted.discard((key, key.name))
            if not view.knows(key, item):
                self._doubt(key)
        children = (("Job", jobs_path(namespace)), ("Pod", pods_path(namespace))) if view.unsettled else ()
        for kind, path in children:
            held = view.held(kind, namespace)
            async for item in self._api.items(path, labelSelector=names.SELECTOR):
                self.saw(kind, item)
                key = Key(item["metadata"]["namespace"], item["metadata"]["labels"].get(names.NAME, ""))
                held.discard((key, item["metadata"]["name"]))
            unlisted |= held
        for key, _ in unlisted:
            self._doubt(key)

    def _doubt(self, key: Key) -> None:
        """Has a TweetModel read afresh."""
        self.reconciler.view.doubt(key)
        self.queue.wake(key)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Undiffed(kopf.DiffBaseStorage):
    """Nothing is compared: event handlers don't ask for it, and kopf would copy each object for it."""

    def fetch(self, *, body: kopf.Body) -> None:
        return None

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


@kopf.on.startup(errors=kopf.ErrorsMode.PERMANENT)
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: object) -> None:
    """Sets kopf up, then starts the operator's own parts."""
    for resource in (("batch", "v1", "jobs"), ("", "v1", "pods")):
        settings.watching.label_selectors[resource] = names.SELECTOR
    settings.watching.client_timeout = 600
    settings.watching.inactivity_timeout = SILENT_SECONDS
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = IDLE_SECONDS
    settings.persistence.diffbase_storage = Undiffed()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.networking.request_timeout = TIMEOUT_SECONDS
    settings.networking.error_backoffs = itertools.repeat(AGAIN_SECONDS)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line for every event handled
    logs.install()
    config: Settings = memo.config
    try:
        api = await ApiServer.connect()
    except ConfigException as error:
        raise kopf.PermanentError(
            f"there is no cluster to talk to: set KUBECONFIG, or run in a pod ({error})"
        ) from error
    try:
        memo.operator = Operator(api, config)
    except OSError as error:
        message = f"the progress server's certificate can't be read ({error}): mount tls.crt, tls.key and ca.crt"
        raise kopf.PermanentError(message) from error
    await memo.operator.start()


@kopf.on.login(errors=kopf.ErrorsMode.IGNORED)
async def log_in(
    settings: kopf.OperatorSettings, memo: kopf.Memo, logger: kopf.Logger, **_: object
) -> kopf.AiohttpSession | None:
    """As kopf does without this handler, over a session that is counted."""
    info = await asyncio.to_thread(kopf.login_via_client, settings=settings, logger=logger)
    return memo.setdefault("logins", Logins()).session(info) if info else None


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: object) -> None:
    """Stops what `start` started."""
    await memo.operator.stop()


@kopf.on.event(GROUP, VERSION, PLURAL)
@kopf.on.event("batch", "v1", "jobs")
@kopf.on.event("", "v1", "pods")
async def changed(event: kopf.RawEvent, resource: kopf.Resource, memo: kopf.Memo, **_: object) -> None:
    """A TweetModel, or a Job or pod of ours, was made, changed or deleted."""
    metrics.heard(resource.plural)
    memo.operator.saw(resource.kind or "", cast(JsonObject, event["object"]), event["type"])


def run() -> None:
    """Runs the operator until it is told to stop."""
    config = from_environment(os.environ)
    log_format = kopf.LogFormat.JSON if config.log_format == "json" else kopf.LogFormat.PLAIN
    kopf.configure(log_format=log_format)
    kopf.run(
        standalone=True,
        clusterwide=not config.watch_namespaces,
        namespaces=config.watch_namespaces,
        memo=kopf.Memo(config=config),
    )
