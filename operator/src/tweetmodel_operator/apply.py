"""`Decision` -> API server: deletes, suspensions, creations, then the status, then events, then TTLs.

A finalizer is set before all that and taken away after it.

The order carries the guarantees: the status is written after the Jobs it speaks of, events only after the
status was, and a Job gets its TTL only in a later pass that finds its outcome in the status.
"""

import logging
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from tweetmodel_api import API_VERSION, GROUP, KIND
from tweetmodel_api.identities import short_hash
from tweetmodel_api.reasons import Reason
from tweetmodel_api.status import TweetModelStatus
from tweetmodel_operator import manifests, metrics, names
from tweetmodel_operator.api_server import ApiError, ApiServer, JsonObject, jobs_path, tweetmodel_path
from tweetmodel_operator.decide.stages import UNANSWERED, UNDER_WAY
from tweetmodel_operator.settings import Settings
from tweetmodel_operator.state import Decision, Observed

logger = logging.getLogger(__name__)

MOST_NOTE_BYTES = 1024
MOST_INSTANCE = 128
REFUSALS = (400, 403, 422)
"""What the API server answers to a Job that policy, quota or validation forbids: asking again changes nothing."""


class JobRefused(Exception):
    """The cluster does not allow the Job; the text is the API server's sentence."""


async def apply(api: ApiServer, observed: Observed, decision: Decision, settings: Settings, progress_ca: str) -> None:
    """Brings the API server to what was decided; writes nothing where nothing differs.

    Raises:
        JobRefused: a Job is not allowed; the status is not written.
        ApiError: the API server refused; what came before stands, and the next reconcile goes on from it.
    """
    namespace = observed.key.namespace
    if decision.hold:
        observed = await _hold(api, observed, True)
    for name in decision.delete:
        await _ignoring(404, api.delete(jobs_path(namespace, name)))
    for name, suspend in decision.suspend:
        mark = {"annotations": {names.SUSPENDED: "true" if suspend else None}}
        await _ignoring(404, api.merge(jobs_path(namespace, name), {"metadata": mark, "spec": {"suspend": suspend}}))
    for request in decision.create:
        await _create(api, namespace, manifests.job(request, settings, progress_ca))
    if decision.status and decision.status != observed.status:
        await write_status(api, observed, decision.status, settings)
    for name in decision.expire:
        ttl = {"spec": {"ttlSecondsAfterFinished": settings.ttl_seconds}}
        await _ignoring(404, api.merge(jobs_path(namespace, name), ttl))
    if decision.farewell:
        metrics.TRANSITIONS.labels(Reason.PURGE_FAILED).inc()
        logger.warning("%s: %s", observed.key, decision.farewell)
        run = observed.before.run
        await _event(api, observed, settings, _Told("Warning", Reason.PURGE_FAILED, decision.farewell, run))
    if decision.hold is False:
        await _ignoring(404, _hold(api, observed, False))


async def _hold(api: ApiServer, observed: Observed, held: bool) -> Observed:
    """Sets or takes away our finalizer, and nobody else's."""
    body = _head(observed)
    body["metadata"]["finalizers"] = [names.FINALIZER] if held else []
    changed = await api.apply(tweetmodel_path(observed.key.namespace, observed.key.name), body, names.FINALIZER_MANAGER)
    return replace(observed, resource_version=changed["metadata"]["resourceVersion"])


def _head(observed: Observed) -> JsonObject:
    """What an apply begins with: with the version, so that what another has written since is not overwritten."""
    key = observed.key
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "uid": observed.uid,
            "resourceVersion": observed.resource_version,
        },
    }


async def _ignoring(code: int, request: Awaitable[object]) -> None:
    """Awaits a request that another process may have got ahead of: what it asks for is then already so."""
    try:
        await request
    except ApiError as error:
        if error.code != code:
            raise


async def _create(api: ApiServer, namespace: str, job: JsonObject) -> None:
    try:
        await _ignoring(409, api.create(jobs_path(namespace), job))
    except ApiError as error:
        if error.code in REFUSALS or UNANSWERED in str(error):  # the latter with code 500
            raise JobRefused(str(error)) from error
        raise


async def write_status(api: ApiServer, observed: Observed, status: TweetModelStatus, settings: Settings) -> None:
    """Writes the whole status, then tells of a change of Ready's reason by an event."""
    key = observed.key
    body = _head(observed) | {"status": status.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
    await api.apply(tweetmodel_path(key.namespace, key.name) + "/status", body, names.OPERATOR)
    metrics.runs_ended(observed.status, status)
    await _tell(api, observed, status, settings)


async def _tell(api: ApiServer, observed: Observed, status: TweetModelStatus, settings: Settings) -> None:
    """An event on a change of Ready's reason, and when a person must act, for `kubectl describe` and `events`.

    What was told of a Job and a generation already is not told again as long as that event is kept. None for a stage
    that begins or goes on as it should: its Job's own events say so.
    """
    before = observed.status
    old, ready = before.condition("Ready") if before else None, status.condition("Ready")
    assert ready
    same = old is not None and (old.reason, old.observed_generation) == (ready.reason, ready.observed_generation)
    stalled = status.is_true("Stalled")
    if same and not (stalled and before and not before.is_true("Stalled")):
        return
    if not same:
        metrics.TRANSITIONS.labels(ready.reason).inc()
    logger.info("%s: %s: %s", observed.key, ready.reason, ready.message)
    if ready.reason in UNDER_WAY.values() and (old is None or old.status != "False"):
        return
    job = status.attempt.job if status.attempt else ""
    told = _Told("Warning" if stalled else "Normal", ready.reason, ready.message, status.run, job)
    await _event(api, observed, settings, told)


class _Told(NamedTuple):
    """What an event says of a TweetModel."""

    kind: Literal["Normal", "Warning"]
    reason: str
    note: str
    run: str | None
    job: str = ""


async def _event(api: ApiServer, observed: Observed, settings: Settings, told: _Told) -> None:
    """Tells of a Job and a generation what was not told of them before: the same event has the same name."""
    key = observed.key
    now = datetime.now(UTC)
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "namespace": key.namespace,
            "name": f"{key.name}.{short_hash(observed.uid, observed.generation, told.job, told.kind, told.reason)}",
            **({"annotations": {names.RUN: told.run}} if told.run else {}),
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": told.kind,
        "reason": told.reason,
        "action": "Reconcile",
        "note": told.note.encode()[:MOST_NOTE_BYTES].decode(errors="ignore"),
        "reportingController": f"{GROUP}/operator",
        "reportingInstance": settings.instance[:MOST_INSTANCE],
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": observed.uid,
        },
    }
    try:
        await _ignoring(409, api.create(f"/apis/events.k8s.io/v1/namespaces/{key.namespace}/events", event))
    except ApiError as error:  # an event is a courtesy: the status already says it
        logger.warning("%s: the event %s was not written: %s", key, told.reason, error)
