"""Raw objects as the API server, the Job controller, the scheduler and the kubelet write them.

Unit tests, the fault suite and the benchmark build their Jobs and pods here. `makers.JobMaker` builds the same states
as observations; a test compares the two.
"""

from typing import Any

from makers import KEY, NODE, NOW, UID, spec
from tweetmodel_api import API_VERSION, KIND
from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report, encode
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_operator import names
from tweetmodel_operator.children import JOB
from tweetmodel_operator.parse import JsonObject

HOUR_AGO = "2026-11-23T11:00:00Z"
"""One hour before NOW."""

NO_SANDBOX = {"type": "PodReadyToStartContainers", "status": "False"}
"""Condition of the kubelet while network and volumes of the pod are not ready."""
NODE_UNREACHABLE = {"type": "Ready", "status": "False"}
"""Condition of the control plane that has lost contact to the node; a kubelet would add a reason."""


def tweetmodel(of: TweetModelSpec | None = None, **metadata: Any) -> JsonObject:
    """Return a TweetModel as a user applies it."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": KEY.name, "namespace": KEY.namespace, "uid": UID, "generation": 1, **metadata},
        "spec": (of or spec()).to_json_object(),
    }


def job(
    name: str = "ada-collect-1",
    step: str = "collect",
    *,
    owner: str = UID,
    version: int = 0,
    spec: JsonObject | None = None,
    **status: Any,
) -> JsonObject:
    """Return a Job of the TweetModel `ada` with the parts for the operator, without a pod template."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": KEY.namespace,
            "uid": f"uid-of-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": NOW,
            "labels": names.job_labels(KEY.name, step, "a" * 16, 1),
            "annotations": {names.POD_TEMPLATE_HASH_ANNOTATION: "b" * 16},
            "ownerReferences": [{"kind": KIND, "uid": owner, "controller": True}],
        },
        "spec": spec or {},
        "status": status,
    }


def pod(job: JsonObject, number: int = 0, created_at: str = HOUR_AGO) -> JsonObject:
    """Return a pod as the Job controller creates it."""
    metadata, template = job["metadata"], job["spec"].get("template", {"metadata": {}, "spec": {}})
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{number}",
            "namespace": metadata["namespace"],
            "creationTimestamp": created_at,
            "labels": metadata["labels"] | template["metadata"].get("labels", {}),
            "annotations": template["metadata"].get("annotations", {}),
            "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    }


def job_path(name: str) -> str:
    """Return the path of a Job of the TweetModel `ada`."""
    return JOB.path(KEY.namespace, name)


def plan_of(job_or_pod: JsonObject) -> Plan:
    """Return the plan of a Job or a pod."""
    template = job_or_pod["spec"].get("template", job_or_pod)
    return Plan.model_validate_json(template["metadata"]["annotations"][names.PLAN_ANNOTATION])


def on_node(pod: JsonObject, node: str = NODE) -> JsonObject:
    """Return a pod with a node, assigned by the scheduler at the creation of the pod."""
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": pod["metadata"]["creationTimestamp"]}
    status = pod["status"] | {"conditions": [scheduled, *pod["status"].get("conditions", [])]}
    return pod | {"spec": pod["spec"] | {"nodeName": node}, "status": status}


# Status of a pod


def pod_status(phase: str, state: JsonObject | None = None, *conditions: JsonObject) -> JsonObject:
    """Return the status of a pod whose trainer container has a state."""
    status: JsonObject = {"phase": phase}
    if conditions:
        status["conditions"] = list(conditions)
    if state:
        container = {"name": names.CONTAINER, "image": "none", "imageID": "", "ready": False, "restartCount": 0}
        status["containerStatuses"] = [container | {"state": state}]
    return status


def unschedulable(message: str) -> JsonObject:
    """Return the status of a pod for which no node has room."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod_status("Pending", None, condition)


def waiting(reason: str, message: str = "", *conditions: JsonObject) -> JsonObject:
    """Return the status of a pod whose container has not started yet."""
    return pod_status("Pending", {"waiting": {"reason": reason, "message": message}}, *conditions)


def running(since: str = NOW, *conditions: JsonObject) -> JsonObject:
    """Return the status of a running pod."""
    return pod_status("Running", {"running": {"startedAt": since}}, *conditions)


def terminated(
    code: int = 0,
    report: Report | None = None,
    *,
    reason: str = "",
    message: str = "",
    started_at: str = NOW,
    at: str = NOW,
) -> JsonObject:
    """Return the status of a pod whose container has terminated.

    Args:
        code: exit code.
        report: report of the trainer.
        reason: reason of the kubelet, such as OOMKilled.
        message: termination message without a report.
        started_at: start of the container.
        at: end of the container.
    """
    state = {
        "exitCode": code,
        "reason": reason or ("Error" if code else "Completed"),
        "message": encode(report) if report else message,
        "startedAt": started_at,
        "finishedAt": at,
        "containerID": "",
    }
    return pod_status("Failed" if code else "Succeeded", {"terminated": state})


def evicted(reason: str, message: str) -> JsonObject:
    """Return the status of a pod evicted or rejected by the kubelet."""
    return pod_status("Failed") | {"reason": reason, "message": message}


# Status of a Job


def job_started(at: str = HOUR_AGO, active: int = 0) -> JsonObject:
    """Return the status of a started Job with a number of active pods."""
    return {"startTime": at, "active": active} if active else {"startTime": at}


def job_complete(at: str = NOW, *, started_at: str = HOUR_AGO) -> JsonObject:
    """Return the status of a complete Job."""
    conditions = _job_conditions(("SuccessCriteriaMet", "Complete"), "CompletionsReached", "Reached the target", at)
    return {"startTime": started_at, "completionTime": at, "succeeded": 1, "conditions": conditions}


def job_failed(
    reason: str = "PodFailurePolicy",
    message: str = "the Job failed",
    *,
    at: str = NOW,
    started_at: str = HOUR_AGO,
    pods: int = 1,
) -> JsonObject:
    """Return the status of a failed Job, with the number of failed pods."""
    conditions = _job_conditions(("FailureTarget", "Failed"), reason, message, at)
    return {"startTime": started_at, "failed": pods, "conditions": conditions}


def _job_conditions(types: tuple[str, ...], reason: str, message: str, at: str) -> list[JsonObject]:
    times = {"lastTransitionTime": at, "lastProbeTime": at}
    return [{"type": kind, "status": "True", "reason": reason, "message": message} | times for kind in types]
