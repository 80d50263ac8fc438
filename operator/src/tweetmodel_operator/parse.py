"""Parses objects of the API server into observations. Other modules receive no raw objects."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tweetmodel_api import KIND
from tweetmodel_api.report import decode
from tweetmodel_api.steps import STEP_NAMES
from tweetmodel_operator import names
from tweetmodel_operator.observed import ObservedJob, ObservedPod
from tweetmodel_operator.times import parse_time

JsonObject = dict[str, Any]


def owner_uid(raw: JsonObject, kind: str) -> str | None:
    """Return the UID of the controller of an object if the controller is of this kind."""
    for owner in raw["metadata"].get("ownerReferences", []):
        if owner.get("controller") and owner["kind"] == kind:
            return str(owner["uid"])
    return None


def resource_version(raw: JsonObject) -> int:
    """Return the resource version of an object or a list as a number, 0 if absent."""
    return int(raw["metadata"].get("resourceVersion") or 0)


def parse_job(raw: JsonObject) -> ObservedJob | None:
    """Return the facts about a Job, or None for a Job without the operator's labels.

    `observe.assemble` adds the pods. Users may create or change Jobs with the label by which the operator lists Jobs,
    so the other labels may be missing.
    """
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    step, attempt = labels.get(names.STEP_LABEL), labels.get(names.ATTEMPT_LABEL, "")
    if step not in STEP_NAMES or names.STEP_ID_LABEL not in labels or not attempt.isdecimal():
        return None
    conditions = {c["type"]: c for c in status.get("conditions", []) if c["status"] == "True"}
    failed = conditions.get("Failed")
    end = failed or conditions.get("Complete") or {}
    return ObservedJob(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        owner_uid=owner_uid(raw, KIND),
        step=step,
        step_id=labels[names.STEP_ID_LABEL],
        attempt=int(attempt),
        pod_template_hash=annotations.get(names.POD_TEMPLATE_HASH_ANNOTATION, ""),
        created_at=_time(metadata["creationTimestamp"]),
        started_at=parse_time(status.get("startTime")),
        ended_at=parse_time(end.get("lastTransitionTime")),
        no_pods_since=_no_pods_since(raw),
        ended_pods=status.get("succeeded", 0) + status.get("failed", 0),
        is_complete="Complete" in conditions,
        failure_reason=failed.get("reason", "Failed") if failed else None,
        failure_message=failed.get("message", "") if failed else "",
        is_suspended=spec.get("suspend", False),
        has_suspend_mark=names.SUSPENDED_ANNOTATION in annotations,
        is_queued=names.QUEUE_LABEL in labels,
        deleted_at=parse_time(metadata.get("deletionTimestamp")),
        has_ttl="ttlSecondsAfterFinished" in spec,
        limits=_limits(spec.get("template", {}).get("spec", {})),
        resource_version=resource_version(raw),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _no_pods_since(job: JsonObject) -> datetime | None:
    """Return since when the Job controller counts no pods of a started Job. The Job controller writes the count in the
    same pass as the attempt to create a pod (kubernetes pkg/controller/job, syncJob). A started Job without pods
    therefore had the pod rejected, or waits for the back-off after the last pod. managedFields contain the time of
    that write.
    """
    status = job.get("status", {})
    if "startTime" not in status or status.get("active") or status.get("terminating"):
        return None
    if any(c["type"] == "Suspended" and c["status"] == "True" for c in status.get("conditions", [])):
        return None
    writes = [entry["time"] for entry in job["metadata"].get("managedFields", []) if _is_status_write(entry)]
    return max(map(_time, [status["startTime"], *writes]))


def _is_status_write(entry: JsonObject) -> bool:
    return entry.get("subresource") == "status" and "time" in entry


def parse_pod(raw: JsonObject) -> ObservedPod:
    """Return the facts about a pod."""
    metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    state = _container_state(status)
    terminated, waiting, running = (state.get(name, {}) for name in ("terminated", "waiting", "running"))
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    scheduled: JsonObject = conditions.get("PodScheduled", {})
    has_terminated = bool(terminated) or status.get("phase") in ("Succeeded", "Failed")
    return ObservedPod(
        name=metadata["name"],
        created_at=_time(metadata["creationTimestamp"]),
        job_uid=owner_uid(raw, "Job") or "",
        started_at=parse_time((terminated or running).get("startedAt")),
        is_running="running" in state,
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message", ""),
        unschedulable_message=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else None,
        exit_code=terminated.get("exitCode"),
        exit_reason=terminated.get("reason"),
        memory_limit=_limits(spec).get("memory"),
        node_failure=status.get("message") if status.get("phase") == "Failed" else None,
        scheduled_at=parse_time(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
        node=spec.get("nodeName"),
        sandbox_ready=conditions.get("PodReadyToStartContainers", {}).get("status") != "False",
        node_unreachable=not has_terminated and "running" in state and _lost_ready(conditions.get("Ready", {})),
        deletion_deadline=None if has_terminated else parse_time(metadata.get("deletionTimestamp")),
        report=decode(terminated.get("message", "")) if terminated else None,
        resource_version=resource_version(raw),
    )


def _container_state(status: JsonObject) -> JsonObject:
    for container in status.get("containerStatuses", []):
        if container["name"] == names.CONTAINER:
            state: JsonObject = container.get("state", {})
            return state
    return {}


def _lost_ready(ready: JsonObject) -> bool:
    """Return whether the control plane set Ready to False, 50 s after the last contact to the node.

    The control plane writes the status only (kubernetes pkg/controller/util/node, MarkPodsNotReady), whereas a kubelet
    adds a reason, and overwrites the condition once it responds again.
    """
    return ready.get("status") == "False" and not ready.get("reason")


def _limits(pod_spec: JsonObject) -> Mapping[str, str]:
    for container in pod_spec.get("containers", []):
        if container["name"] == names.CONTAINER:
            limits: JsonObject = container.get("resources", {}).get("limits", {})
            return limits
    return {}
