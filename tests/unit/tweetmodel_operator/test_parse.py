"""Parsing of raw Jobs and pods."""

from datetime import datetime
from typing import Any

import pytest

from makers import UID, failure, time
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import encode
from tweetmodel_operator import names
from tweetmodel_operator.metrics import requested_gpus
from tweetmodel_operator.observed import ObservedPod
from tweetmodel_operator.parse import parse_job, parse_pod


def raw_job(owner: str = UID, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "ada-collect-1",
            "uid": "job-uid",
            "creationTimestamp": "2026-11-23T12:00:00Z",
            "labels": names.job_labels("ada", "collect", "a" * 16, 1),
            "annotations": {names.POD_TEMPLATE_HASH: "b" * 16},
            "ownerReferences": [{"kind": "TweetModel", "uid": owner, "controller": True}],
        },
        "spec": {},
        "status": status,
    }


def raw_pod(name: str = "pod", created: str = "2026-11-23T12:00:01Z", **status: Any) -> dict[str, Any]:
    owner = {"kind": "Job", "uid": "job-uid", "controller": True}
    return {"metadata": {"name": name, "creationTimestamp": created, "ownerReferences": [owner]}, "status": status}


def container(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": names.CONTAINER, "state": state}]}


def test_a_job_with_kueues_label_is_queued() -> None:
    queued = raw_job()
    queued["metadata"]["labels"][names.QUEUE] = "gpus"
    assert not parse_job(raw_job()).is_queued
    assert parse_job(queued).is_queued


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        ({"limits": {"amd.com/gpu": "2", "nvidia.com/gpu": "1", "cpu": "4"}}, 2),
        ({"limits": {"cpu": "4"}}, 0),
        ({}, 0),
    ],
)
def test_the_gpus_of_a_job_are_those_of_its_container(resources: dict[str, Any], gpus: int) -> None:
    raw = raw_job()
    sidecar = {"name": "proxy", "resources": {"limits": {"amd.com/gpu": "8"}}}
    trainer = {"name": names.CONTAINER, "resources": resources}
    raw["spec"] = {"template": {"spec": {"containers": [sidecar, trainer]}}}
    assert requested_gpus(parse_job(raw), "amd.com/gpu") == gpus


def test_the_report_is_read_from_the_termination_message() -> None:
    report = failure(Reason.ACCESS_DENIED)
    pod = parse_pod(raw_pod(**container(terminated={"exitCode": 77, "reason": "Error", "message": encode(report)})))
    assert (pod.exit_code, pod.report) == (77, report)


def test_another_termination_message_is_not_a_report() -> None:
    pod = parse_pod(raw_pod(**container(terminated={"exitCode": 137, "reason": "OOMKilled", "message": "Killed"})))
    assert (pod.exit_reason, pod.report) == ("OOMKilled", None)


def test_the_memory_limit_is_that_of_the_container() -> None:
    raw = raw_pod(**container(terminated={"exitCode": 137, "reason": "OOMKilled"}))
    assert parse_pod(raw).memory_limit is None
    raw["spec"] = {"containers": [{"name": names.CONTAINER, "resources": {"limits": {"memory": "12Gi"}}}]}
    assert parse_pod(raw).memory_limit == "12Gi"


def test_a_started_job_without_pods_has_no_pods_since_the_last_status_write() -> None:
    def no_pods_since(**status: Any) -> datetime | None:
        raw = raw_job(**status)
        raw["metadata"]["managedFields"] = [
            {"manager": "tweetmodel-operator", "time": "2026-11-23T13:00:00Z"},
            {"manager": "kube-controller-manager", "subresource": "status", "time": "2026-11-23T12:30:00Z"},
        ]
        return parse_job(raw).no_pods_since

    started = {"startTime": "2026-11-23T12:00:00Z"}
    assert no_pods_since() is None
    assert no_pods_since(**started, active=1) is None
    assert no_pods_since(**started, terminating=1) is None
    assert no_pods_since(**started, conditions=[{"type": "Suspended", "status": "True"}]) is None, "it resumes later"
    assert no_pods_since(**started, terminating=0) == time("2026-11-23T12:30:00Z")


def pod_on_node(ready: dict[str, str], phase: str = "Running", **state: Any) -> ObservedPod:
    raw = raw_pod(phase=phase, conditions=[{"type": "Ready", **ready}], **container(**state))
    raw["spec"] = {"nodeName": "n1", "containers": []}
    raw["metadata"]["deletionTimestamp"] = "2026-11-23T12:02:00Z"
    return parse_pod(raw)


def test_a_running_pod_that_only_the_control_plane_calls_unready_is_unreachable() -> None:
    lost = pod_on_node({"status": "False"}, running={})
    assert (lost.node, lost.node_unreachable, lost.deletion_deadline) == ("n1", True, time("2026-11-23T12:02:00Z"))
    assert not pod_on_node({"status": "True"}, running={}).node_unreachable
    assert not pod_on_node({"status": "False", "reason": "ContainersNotReady"}, running={}).node_unreachable
    assert not pod_on_node({"status": "False"}, waiting={"reason": "ContainerCreating"}).node_unreachable


def test_a_terminated_pod_has_no_deletion_deadline() -> None:
    ended = pod_on_node({"status": "False", "reason": "PodFailed"}, terminated={"exitCode": 143})
    given_up = pod_on_node({"status": "False"}, phase="Failed", running={})  # by the control plane: the node is gone
    assert [(pod.node_unreachable, pod.deletion_deadline) for pod in (ended, given_up)] == [(False, None)] * 2


def test_the_failure_of_a_job_is_read_from_its_conditions() -> None:
    conditions = [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "code 65"}]
    job = parse_job(raw_job(conditions=conditions))
    assert (job.failure_reason, job.is_complete, job.is_finished) == ("PodFailurePolicy", False, True)
