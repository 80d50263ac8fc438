"""API server -> `Observed`: the TweetModel and, by label, its Jobs and pods.

No raw object goes further than this module and `view.py`. The order of the reads matters: of a Job that is complete,
the pods that are read after it show their reports.
"""

import logging
import re
from typing import Any

from pydantic import ValidationError

from tweetmodel_api import KIND
from tweetmodel_api.defaults import FIELDS
from tweetmodel_api.plan import DatasetReference
from tweetmodel_api.report import decode
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import MAX_RETRY_LENGTH, NOT_OBSERVED, Progress, TweetModelStatus
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, ApiServer, JsonObject, jobs_path, pods_path, tweetmodel_path
from tweetmodel_operator.state import Key, Observed, ObservedJob, ObservedPod

logger = logging.getLogger(__name__)


async def read(api: ApiServer, key: Key) -> tuple[JsonObject, JsonObject, JsonObject] | None:
    """A TweetModel and the lists of its Jobs and pods; None where it does not exist any more.

    Raises:
        ApiError: the API server refused for another reason than that it is gone.
    """
    selector = f"{names.SELECTOR},{names.NAME}={key.name}"
    try:
        tweetmodel = await api.get(tweetmodel_path(key.namespace, key.name))
        jobs = await api.get(jobs_path(key.namespace), labelSelector=selector)
        pods = await api.get(pods_path(key.namespace), labelSelector=selector)
    except ApiError as error:
        if error.code == 404:
            return None
        raise
    return tweetmodel, jobs, pods


def assemble(
    key: Key,
    tweetmodel: JsonObject,
    jobs: list[JsonObject],
    pods: list[JsonObject],
    posted: dict[str, Progress],
    gpu_resource: str,
) -> Observed:
    """The frozen picture of raw objects; Jobs of an earlier TweetModel of the same name are left out.

    Args:
        key: which TweetModel.
        tweetmodel: itself.
        jobs: its Jobs.
        pods: its pods.
        posted: what pods posted last, by the name of their Job.
        gpu_resource: the extended resource that GPUs are.
    """
    metadata = tweetmodel["metadata"]
    spec, spec_error = _spec(tweetmodel.get("spec", {}))
    status = _status(tweetmodel.get("status"))
    attempt = status.attempt if status else None
    followed = status.observed_retry if status else None
    progress = posted.get(attempt.job) if attempt else None
    latest = progress or (status.progress if status else None)
    reported = {attempt.job: latest.last_updated_time or ""} if attempt and latest else {}
    return Observed(
        key=key,
        uid=metadata["uid"],
        generation=metadata["generation"],
        resource_version=metadata.get("resourceVersion", ""),
        deleted=metadata.get("deletionTimestamp", ""),
        held=names.FINALIZER in metadata.get("finalizers", []),
        retry=metadata.get("annotations", {}).get(names.RETRY, "")[:MAX_RETRY_LENGTH] or followed or "",
        spec=spec,
        absent=tuple(name for name in FIELDS if name not in tweetmodel.get("spec", {})),
        spec_error=spec_error,
        status=status,
        jobs=tuple(
            sorted(
                (_job(job, pods, reported, gpu_resource) for job in jobs if _is_of(job, metadata["uid"])),
                key=lambda job: (job.step, job.id, job.attempt),
            )
        ),
        progress=progress,
    )


def _is_of(job: JsonObject, uid: str) -> bool:
    """Whether a Job is this TweetModel's: owned by it, or its purge, which outlives it and so has no owner."""
    return _owner(job, KIND) == uid or job["metadata"]["labels"].get(names.STEP_ID) == names.purge_id(uid)


async def refusal(api: ApiServer, namespace: str, job: ObservedJob) -> str:
    """Why the Job controller can make no pod for a Job, which it tells by events alone; empty where none says so.

    A courtesy: where events can't be read, there is less to tell.
    """
    chosen = f"involvedObject.kind=Job,involvedObject.name={job.name},reason=FailedCreate"
    try:
        events = await api.get(f"/api/v1/namespaces/{namespace}/events", fieldSelector=chosen)
    except ApiError as error:
        logger.warning("events of Job %s/%s can't be read: %s", namespace, job.name, error)
        return ""
    latest = max(events["items"], key=_last_seen, default=None)
    if latest is None or _last_seen(latest) < job.idle_since:
        return ""
    told = re.sub(r"^(\(combined from similar events\): )?(Error creating: )?", "", latest.get("message", ""))
    # Each try names another pod; of a long name Kubernetes takes 58 characters with the dash.
    return re.sub(rf"\b{re.escape(job.name[:57])}[\w-]*", job.name, told)


def _last_seen(event: JsonObject) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or ""


async def borrowed(api: ApiServer, observed: Observed) -> dict[str, DatasetReference | str]:
    """The data sets of the TweetModels that sources name, or why one has none.

    Raises:
        ApiError: the API server refused.
    """
    sources = observed.spec.sources if observed.spec else ()
    lenders = [source.tweet_model.name for source in sources if source.tweet_model]
    return {name: await _dataset(api, Key(observed.key.namespace, name)) for name in lenders}


async def _dataset(api: ApiServer, key: Key) -> DatasetReference | str:
    try:
        raw = await api.get(tweetmodel_path(key.namespace, key.name))
    except ApiError as error:
        if error.code == 404:
            return "does not exist in this namespace"
        raise
    status = _status(raw.get("status"))
    if status and status.dataset:
        return DatasetReference(uri=status.dataset.uri, digest=status.dataset.digest)
    return "has none and waits for a person itself" if status and status.is_true("Stalled") else "has none yet"


def _spec(raw: JsonObject) -> tuple[TweetModelSpec | None, str]:
    try:
        return TweetModelSpec.model_validate(raw), ""
    except ValidationError as error:
        first = error.errors()[0]
        if (first["type"], first["loc"]) == ("missing", ("storage",)):
            return None, "spec.storage is missing, and the administrator has set no default for it"
        return None, f"spec.{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _status(raw: JsonObject | None) -> TweetModelStatus | None:
    if not raw or raw.get("observedGeneration") == NOT_OBSERVED:
        return None
    try:
        return TweetModelStatus.model_validate(raw)
    except ValidationError:  # written by another version: it is made anew from the Jobs and their reports
        return None


def _owner(raw: JsonObject, kind: str) -> str:
    owners = raw["metadata"].get("ownerReferences", [])
    return next((str(o["uid"]) for o in owners if o.get("controller") and o["kind"] == kind), "")


def _job(raw: JsonObject, pods: list[JsonObject], reported: dict[str, str], gpu_resource: str) -> ObservedJob:
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", []) if c["status"] == "True"}
    failed = conditions.get("Failed", {})
    labels, annotations = metadata["labels"], metadata.get("annotations", {})
    mine = [_pod(pod) for pod in pods if _owner(pod, "Job") == metadata["uid"]]
    return ObservedJob(
        name=metadata["name"],
        step=labels[names.STEP],
        id=labels[names.STEP_ID],
        attempt=int(labels[names.ATTEMPT]),
        inputs=annotations.get(names.POD_TEMPLATE_HASH, ""),
        created=metadata["creationTimestamp"],
        reported=reported.get(metadata["name"], ""),
        started=status.get("startTime", ""),
        ended=(failed or conditions.get("Complete", {})).get("lastTransitionTime", ""),
        idle_since=_idle_since(raw),
        ended_pods=status.get("succeeded", 0) + status.get("failed", 0),
        complete="Complete" in conditions,
        failed_reason=failed.get("reason", "Failed") if failed else "",
        failed_message=failed.get("message", ""),
        suspended=spec.get("suspend", False),
        suspended_by_us=names.SUSPENDED in annotations,
        queued=names.QUEUE in labels,
        deleted=metadata.get("deletionTimestamp", ""),
        has_ttl="ttlSecondsAfterFinished" in spec,
        gpus=_whole(_limits(spec.get("template", {}).get("spec", {})).get(gpu_resource, "")),
        pods=tuple(sorted(mine, key=lambda pod: pod.created)),
    )


def _idle_since(job: JsonObject) -> str:
    if not is_idle(job):
        return ""
    written = [entry["time"] for entry in job["metadata"].get("managedFields", []) if is_of_status(entry)]
    latest: str = max([job["status"]["startTime"], *written])
    return latest


def is_idle(job: JsonObject) -> bool:
    """Whether the Job controller says that no pod of a Job it has begun with is there.

    It says so in the very pass in which it has tried to make one (kubernetes pkg/controller/job, syncJob): such a Job
    was refused its pod, or pauses after one that is gone.
    """
    status = job.get("status", {})
    held = any(c["type"] == "Suspended" and c["status"] == "True" for c in status.get("conditions", []))  # or was
    return "startTime" in status and not (held or status.get("active") or status.get("terminating"))


def is_of_status(entry: JsonObject) -> bool:
    """Whether an entry of managedFields tells when the status was written."""
    return entry.get("subresource") == "status" and "time" in entry


def _pod(raw: JsonObject) -> ObservedPod:
    metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    container: JsonObject = next((c for c in status.get("containerStatuses", []) if c["name"] == names.CONTAINER), {})
    state: dict[str, Any] = container.get("state", {})
    ended, waiting = state.get("terminated", {}), state.get("waiting", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    scheduled: JsonObject = conditions.get("PodScheduled", {})
    over = bool(ended) or status.get("phase") in ("Succeeded", "Failed")
    return ObservedPod(
        name=metadata["name"],
        created=metadata["creationTimestamp"],
        started=(ended or state.get("running", {})).get("startedAt", ""),
        running="running" in state,
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else "",
        exit_code=ended.get("exitCode"),
        exit_reason=ended.get("reason", ""),
        failure=status.get("message", "") if status.get("phase") == "Failed" else "",
        scheduled=scheduled.get("lastTransitionTime", "") if scheduled.get("status") == "True" else "",
        unprepared=conditions.get("PodReadyToStartContainers", {}).get("status") == "False",
        memory_limit=_limits(spec).get("memory", ""),
        node=spec.get("nodeName", ""),
        unheard=not over and "running" in state and _is_unheard(conditions.get("Ready", {})),
        due="" if over else metadata.get("deletionTimestamp", ""),
        report=decode(ended.get("message", "")) if ended else None,
    )


def _is_unheard(ready: JsonObject) -> bool:
    """Whether the control plane has taken Ready away, 50 s after a node was heard of last.

    It writes the status alone (kubernetes pkg/controller/util/node, MarkPodsNotReady); a kubelet that says False says
    why, and one that answers again writes its own.
    """
    return ready.get("status") == "False" and not ready.get("reason")


def _limits(spec: JsonObject) -> JsonObject:
    containers = spec.get("containers", [])
    limits: JsonObject = next(
        (c["resources"].get("limits", {}) for c in containers if c["name"] == names.CONTAINER), {}
    )
    return limits


def _whole(quantity: str) -> int:
    """Of an extended resource, which has no parts."""
    return int(quantity) if quantity.isdigit() else 0
