"""Start-up of the operator.

kopf watches the objects, reconnects and shuts down. Its event handlers only update the cache and wake keys. The
operator uses event handlers because kopf's create and update handlers write an annotation to every object, and a work
queue of its own because kopf never retries event handlers.
"""

import asyncio
import itertools
import logging
import os
from typing import cast

import kopf
from kubernetes.aio.config import ConfigException

from tweetmodel_api import GROUP, PLURAL, VERSION
from tweetmodel_operator import logs, metrics, names
from tweetmodel_operator.api_server import PAGE_SIZE, TIMEOUT_SECONDS, ApiServer
from tweetmodel_operator.children import CHILD_KINDS
from tweetmodel_operator.controller import Controller
from tweetmodel_operator.kopf_login import Sessions
from tweetmodel_operator.parse import JsonObject
from tweetmodel_operator.settings import Settings, from_environment

KOPF_TASK_IDLE_SECONDS = 0.1
"""Seconds after which kopf ends its task for an idle object; the default, 5 s, keeps tens of thousands of tasks."""
INACTIVITY_SECONDS = 65.0
"""A watch without an event for this long is dead, since the API server sends a bookmark every minute."""
WATCH_RETRY_SECONDS = 5.0
"""Seconds before kopf retries a failed list or watch. By default, the watch ends after a minute of failures."""


class NoDiffBaseStorage(kopf.DiffBaseStorage):
    """Stores no essence of objects: event handlers need none, and kopf would copy each object."""

    def fetch(self, *, body: kopf.Body) -> None:
        return None

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


@kopf.on.startup(errors=kopf.ErrorsMode.PERMANENT)
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: object) -> None:
    """Configure kopf, then start the controller."""
    _configure(settings)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # kopf logs a line for every handled event
    logs.install()
    try:
        api = await ApiServer.connect()
    except ConfigException as error:
        message = f"no cluster is configured ({error}): set KUBECONFIG, or run in a pod"
        raise kopf.PermanentError(message) from error
    config: Settings = memo.config
    try:
        memo.controller = Controller(api, config)
    except OSError as error:
        message = f"can't read the certificate of the progress server ({error}): mount tls.crt, tls.key and ca.crt"
        raise kopf.PermanentError(message) from error
    await memo.controller.start()


def _configure(settings: kopf.OperatorSettings) -> None:
    for child in CHILD_KINDS:
        settings.watching.label_selectors[child.group, child.version, child.plural] = names.SELECTOR
    settings.watching.client_timeout = 600
    settings.watching.inactivity_timeout = INACTIVITY_SECONDS
    settings.watching.chunk_size = PAGE_SIZE
    settings.queueing.idle_timeout = KOPF_TASK_IDLE_SECONDS
    settings.persistence.diffbase_storage = NoDiffBaseStorage()
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.networking.request_timeout = TIMEOUT_SECONDS
    settings.networking.error_backoffs = itertools.repeat(WATCH_RETRY_SECONDS)


@kopf.on.login(errors=kopf.ErrorsMode.IGNORED)
async def log_in(
    settings: kopf.OperatorSettings, memo: kopf.Memo, logger: kopf.Logger, **_: object
) -> kopf.AiohttpSession | None:
    """Log in as kopf does by default, with a session that counts requests."""
    info = await asyncio.to_thread(kopf.login_via_client, settings=settings, logger=logger)
    return memo.setdefault("sessions", Sessions()).session(info) if info else None


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: object) -> None:
    """Stop the controller."""
    await memo.controller.stop()


async def on_event(event: kopf.RawEvent, resource: kopf.Resource, memo: kopf.Memo, **_: object) -> None:
    """Update the cache after a change of a TweetModel or a child."""
    metrics.record_watch_event(resource.plural)
    memo.controller.on_watch_event(resource.kind or "", cast(JsonObject, event["object"]), event["type"])


for _group, _version, _plural in (
    (GROUP, VERSION, PLURAL),
    *((child.group, child.version, child.plural) for child in CHILD_KINDS),
):
    kopf.on.event(_group, _version, _plural)(on_event)


def run() -> None:
    """Run the operator until it receives a signal to terminate."""
    config = from_environment(os.environ)
    log_format = kopf.LogFormat.JSON if config.log_format == "json" else kopf.LogFormat.PLAIN
    kopf.configure(log_format=log_format)
    kopf.run(
        standalone=True,
        clusterwide=not config.watch_namespaces,
        namespaces=config.watch_namespaces,
        memo=kopf.Memo(config=config),
    )
