"""Applies a decision: deletions, suspensions, creations, then the status, then events, then TTLs.

A finalizer is added before all other writes and removed after them.

The order provides guarantees: the status is written after the Jobs in it, events only after the status, and a Job gets
a TTL only in a later reconcile, with the outcome in the status.
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
from tweetmodel_api.steps import ACTIVE_REASONS
from tweetmodel_operator import metrics, names
from tweetmodel_operator.api_server import ApiError, ApiServer, tweetmodel_path
from tweetmodel_operator.children import JOB
from tweetmodel_operator.decision import ChildRequest, Decision
from tweetmodel_operator.manifests import BUILDERS
from tweetmodel_operator.observed import Observed
from tweetmodel_operator.parse import JsonObject
from tweetmodel_operator.rejections import is_rejection
from tweetmodel_operator.settings import Settings

logger = logging.getLogger(__name__)

MAX_NOTE_BYTES = 1024
MAX_INSTANCE_LENGTH = 128


class JobRejected(Exception):
    """The cluster rejects a Job; the text is the message of the API server."""

    def __init__(self, message: str, observed: Observed) -> None:
        super().__init__(message)
        self.observed = observed
        """The TweetModel after the writes before the rejection."""


async def apply_decision(
    api: ApiServer, observed: Observed, decision: Decision, settings: Settings, progress_ca: str
) -> None:
    """Write the decision to the API server; without differences nothing is written.

    Raises:
        JobRejected: the cluster rejects a Job; the status is not written.
        ApiError: the API server rejected a request, or is unreachable; the next reconcile makes the remaining writes.
    """
    namespace = observed.key.namespace
    if decision.set_finalizer:
        observed = await _set_finalizer(api, observed, True)
    for name in decision.delete:
        await _await_ignoring(404, api.delete(JOB.path(namespace, name)))
    for name, suspend in decision.suspend:
        await _await_ignoring(404, api.merge(JOB.path(namespace, name), _suspend_patch(suspend)))
    for request in decision.create:
        await _create(api, observed, request, settings, progress_ca)
    if decision.status and decision.status != observed.recorded_status:
        observed = await write_status(api, observed, decision.status, settings)
    for name in decision.set_ttl:
        ttl = {"spec": {"ttlSecondsAfterFinished": settings.ttl_seconds}}
        await _await_ignoring(404, api.merge(JOB.path(namespace, name), ttl))
    if decision.orphan_warning:
        await _warn_about_orphan(api, observed, decision.orphan_warning, settings)
    if decision.set_finalizer is False:
        await _await_ignoring(404, _set_finalizer(api, observed, False))


def _suspend_patch(suspend: bool) -> JsonObject:
    annotations = {names.SUSPENDED_ANNOTATION: "true" if suspend else None}
    return {"metadata": {"annotations": annotations}, "spec": {"suspend": suspend}}


async def _set_finalizer(api: ApiServer, observed: Observed, is_set: bool) -> Observed:
    """Add or remove the operator's finalizer, without a change of other finalizers.

    A merge patch also removes a finalizer from another writer, such as a restored backup; server-side apply would
    remove only a finalizer that the operator owns.
    """
    finalizers = [*observed.other_finalizers, names.FINALIZER] if is_set else [*observed.other_finalizers]
    body = {"metadata": _precondition(observed) | {"finalizers": finalizers}}
    changed = await api.merge(tweetmodel_path(observed.key.namespace, observed.key.name), body)
    return _at_version_of(changed, observed)


def _precondition(observed: Observed) -> JsonObject:
    """Return the metadata that turns a write over a later write of another client into a conflict."""
    return {"uid": observed.uid, "resourceVersion": observed.resource_version}


def _at_version_of(written: JsonObject, observed: Observed) -> Observed:
    return replace(observed, resource_version=written["metadata"]["resourceVersion"])


async def _await_ignoring(code: int, request: Awaitable[object]) -> None:
    """Await a request, and ignore an ApiError with this code, since another process has already made the write."""
    try:
        await request
    except ApiError as error:
        if error.code != code:
            raise


async def _create(
    api: ApiServer, observed: Observed, request: ChildRequest, settings: Settings, progress_ca: str
) -> None:
    """Create a child object; an existing object of the same name counts as success."""
    builder = BUILDERS[type(request)]
    path, body = builder.child.path(observed.key.namespace), builder.build(request, settings, progress_ca)
    try:
        await _await_ignoring(409, api.create(path, body))
    except ApiError as error:
        if is_rejection(error.code, str(error)):
            raise JobRejected(str(error), observed) from error
        raise


async def write_status(api: ApiServer, observed: Observed, status: TweetModelStatus, settings: Settings) -> Observed:
    """Write the complete status, then emit an event if the reason of Ready has changed.

    Returns:
        The TweetModel with its new resource version.
    """
    key = observed.key
    body = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": key.name, "namespace": key.namespace} | _precondition(observed),
        "status": status.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
    written = await api.apply(tweetmodel_path(key.namespace, key.name) + "/status", body, names.FIELD_MANAGER)
    metrics.count_ended_runs(observed.recorded_status, status)
    await _emit_transition(api, observed, status, settings)
    return _at_version_of(written, observed)


async def _emit_transition(api: ApiServer, observed: Observed, status: TweetModelStatus, settings: Settings) -> None:
    """Emit an event if the reason of Ready changes, or if a person must act, for `kubectl describe` and `events`.

    The start and the progress of a step emit no event, since the events of the Job show them.
    """
    before = observed.recorded_status
    old, ready = before.condition("Ready") if before else None, status.condition("Ready")
    assert ready is not None  # every status has the condition Ready
    is_stalled = status.is_true("Stalled")
    was_stalled = before is not None and before.is_true("Stalled")
    is_same = old is not None and (old.reason, old.observed_generation) == (ready.reason, ready.observed_generation)
    if is_same and (was_stalled or not is_stalled):
        return
    if old is None or old.reason != ready.reason:
        metrics.TRANSITIONS.labels(ready.reason).inc()
    logger.info("%s: %s: %s", observed.key, ready.reason, ready.message)
    was_not_ready = old is not None and old.status == "False"
    if ready.reason in ACTIVE_REASONS and not was_not_ready:
        return
    job = status.steps[-1].job if status.steps else ""
    event = _Event("Warning" if is_stalled else "Normal", ready.reason, ready.message, status.run, job)
    await _emit(api, observed, settings, event)


async def _warn_about_orphan(api: ApiServer, observed: Observed, warning: str, settings: Settings) -> None:
    metrics.TRANSITIONS.labels(Reason.PURGE_FAILED).inc()
    logger.warning("%s: %s", observed.key, warning)
    await _emit(api, observed, settings, _Event("Warning", Reason.PURGE_FAILED, warning, observed.status.run))


class _Event(NamedTuple):
    """An event about a TweetModel."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    run: str | None
    job: str = ""


async def _emit(api: ApiServer, observed: Observed, settings: Settings, event: _Event) -> None:
    """Emit an event once for each Job, generation and reason: the same event has the same name."""
    key = observed.key
    unique = short_hash(observed.uid, observed.generation, event.job, event.type, event.reason)
    metadata: JsonObject = {"namespace": key.namespace, "name": f"{key.name}.{unique}"}
    if event.run:
        metadata["annotations"] = {names.RUN_ANNOTATION: event.run}
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": metadata,
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": event.type,
        "reason": event.reason,
        "action": "Reconcile",
        "note": event.note.encode()[:MAX_NOTE_BYTES].decode(errors="ignore"),
        "reportingController": f"{GROUP}/operator",
        "reportingInstance": settings.instance[:MAX_INSTANCE_LENGTH],
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": observed.uid,
        },
    }
    try:
        await _await_ignoring(409, api.create(f"/apis/events.k8s.io/v1/namespaces/{key.namespace}/events", body))
    except ApiError as error:  # the status contains the same message
        logger.warning("%s: can't write the event %s: %s", key, event.reason, error)
