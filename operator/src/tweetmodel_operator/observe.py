"""Observes a TweetModel with its Jobs and pods: by live reads, or from the cache.

The order of live reads matters: pods are read after the Jobs, so the pods of a complete Job contain its report.
CHILD_KINDS defines the order.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError

from tweetmodel_api.plan import DatasetReference
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import MAX_RETRY_LENGTH, NOT_OBSERVED, Progress, TweetModelStatus
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, ApiServer, tweetmodel_path
from tweetmodel_operator.cache import CachedTweetModel, LiveRead, Snapshot
from tweetmodel_operator.children import CHILD_KINDS
from tweetmodel_operator.observed import Freshness, Key, Observed, ObservedJob, ObservedPod, Upstreams
from tweetmodel_operator.parse import JsonObject, resource_version
from tweetmodel_operator.times import parse_time

logger = logging.getLogger(__name__)


async def read(api: ApiServer, key: Key) -> LiveRead | None:
    """Read a TweetModel, then its children in the order of CHILD_KINDS; return None if the TweetModel was deleted.

    Raises:
        ApiError: the API server rejected a request, or is unreachable.
    """
    selector = f"{names.SELECTOR},{names.NAME_LABEL}={key.name}"
    try:
        tweetmodel = await api.get(tweetmodel_path(key.namespace, key.name))
        lists = {child: await api.get(child.path(key.namespace), labelSelector=selector) for child in CHILD_KINDS}
    except ApiError as error:
        if error.code == 404:
            return None
        raise
    return LiveRead(
        CachedTweetModel.parse(tweetmodel),
        children={child.kind: child.parse_all(found["items"]) for child, found in lists.items()},
        versions={child.kind: resource_version(found) for child, found in lists.items()},
    )


def assemble(key: Key, snapshot: Snapshot, progress_by_job: Mapping[str, Progress], freshness: Freshness) -> Observed:
    """Return the observation of a TweetModel; Jobs of an earlier TweetModel of the same name are left out.

    Args:
        key: key of the TweetModel.
        snapshot: the TweetModel with its Jobs and pods.
        progress_by_job: last progress of pods, by name of the Job.
        freshness: freshness of the snapshot.
    """
    cached = snapshot.tweetmodel
    spec, spec_error = _parse_spec(cached)
    status = _parse_status(cached.status)
    observed = Observed(
        key=key,
        uid=cached.uid,
        generation=cached.generation,
        resource_version=str(cached.resource_version or ""),
        deleted_at=parse_time(cached.deletion_timestamp),
        has_finalizer=cached.has_finalizer,
        other_finalizers=cached.other_finalizers,
        retry=cached.retry[:MAX_RETRY_LENGTH] or (status and status.observed_retry) or "",
        spec=spec,
        omitted_fields=cached.omitted_fields,
        spec_error=spec_error,
        recorded_status=status,
        freshness=freshness,
    )
    active = observed.active_step()
    progress = progress_by_job.get(active.job) if active else None
    jobs = [job for job in snapshot.jobs if _belongs_to(job, cached.uid)]
    jobs.sort(key=lambda job: (job.step_id, job.attempt))
    latest = progress or observed.status.progress
    reported = {active.job: parse_time(latest.last_updated_time)} if active and latest else {}
    return replace(
        observed,
        progress=progress,
        jobs=tuple(_with_pods(job, snapshot.pods, reported.get(job.name)) for job in jobs),
    )


def _belongs_to(job: ObservedJob, uid: str) -> bool:
    """Return whether a Job belongs to the TweetModel: owned by the TweetModel, or the purge without an owner."""
    return job.owner_uid == uid or job.step_id == names.purge_id(uid)


def _with_pods(job: ObservedJob, pods: list[ObservedPod], progress_reported_at: datetime | None) -> ObservedJob:
    own = sorted((pod for pod in pods if pod.job_uid == job.uid), key=lambda pod: pod.created_at)
    return replace(job, pods=tuple(own), progress_reported_at=progress_reported_at)


async def pod_creation_error(api: ApiServer, namespace: str, job: ObservedJob) -> str | None:
    """Return why the Job controller can't create a pod, according to its events, or None.

    The error only improves a message, so a failure to read events is logged and otherwise ignored.
    """
    selector = f"involvedObject.kind=Job,involvedObject.name={job.name},reason=FailedCreate"
    try:
        events = await api.get(f"/api/v1/namespaces/{namespace}/events", fieldSelector=selector)
    except ApiError as error:
        logger.warning("can't read the events of Job %s/%s: %s", namespace, job.name, error)
        return None
    times = [(time, event) for event in events["items"] if (time := _event_time(event))]
    if not times:
        return None
    latest_time, latest = max(times, key=lambda item: item[0])
    if job.no_pods_since and latest_time < job.no_pods_since:
        return None
    message = re.sub(r"^(\(combined from similar events\): )?(Error creating: )?", "", latest.get("message", ""))
    # Each attempt has another pod name, whose prefix is the name of the Job, cut to 58 characters with the dash.
    return re.sub(rf"\b{re.escape(job.name[:57])}[\w-]*", job.name, message)


def _event_time(event: JsonObject) -> datetime | None:
    series: JsonObject = event.get("series") or {}
    return parse_time(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"))


async def upstream_datasets(api: ApiServer, observed: Observed) -> Upstreams:
    """Return the data sets of the source TweetModels, or the reason for an unavailable data set.

    Raises:
        ApiError: the API server rejected a request, or is unreachable.
    """
    sources = observed.spec.sources if observed.spec else ()
    upstreams = [source.tweet_model.name for source in sources if source.tweet_model]
    return {name: await _upstream_dataset(api, Key(observed.key.namespace, name)) for name in upstreams}


async def _upstream_dataset(api: ApiServer, key: Key) -> DatasetReference | str:
    try:
        raw = await api.get(tweetmodel_path(key.namespace, key.name))
    except ApiError as error:
        if error.code == 404:
            return "does not exist in this namespace"
        raise
    status = _parse_status(json.dumps(raw.get("status", {})))
    if status and status.dataset:
        return DatasetReference(uri=status.dataset.uri, digest=status.dataset.digest)
    if status and status.is_true("Stalled"):
        return "has no data set and is stalled"
    return "has no data set yet"


def _parse_spec(cached: CachedTweetModel) -> tuple[TweetModelSpec | None, str]:
    try:
        return TweetModelSpec.model_validate_json(cached.spec), ""
    except ValidationError as error:
        first = error.errors()[0]
    if (first["type"], first["loc"]) == ("missing", ("storage",)):
        remedy = "set spec.storage, or ask the administrator for a default"
        return None, f"spec.storage is missing (there is no default): {remedy}"
    return None, f"spec.{'.'.join(map(str, first['loc']))} is invalid ({first['msg']}): correct the field"


def _parse_status(text: str) -> TweetModelStatus | None:
    try:
        status = TweetModelStatus.model_validate_json(text, extra="ignore")  # a later version may have more fields
    except ValidationError:  # absent, or not readable: the status is rebuilt from the Jobs and their reports
        return None
    return None if status.observed_generation == NOT_OBSERVED else status
