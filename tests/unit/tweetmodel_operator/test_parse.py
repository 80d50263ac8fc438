"""Parsing of raw Jobs and pods."""

from datetime import datetime
from typing import Any

import pytest

from fakes import objects
from makers import NOW, UID, failure, time
from tweetmodel_api.reasons import Reason
from tweetmodel_operator import names
from tweetmodel_operator.metrics import requested_gpus
from tweetmodel_operator.observed import ObservedPod
from tweetmodel_operator.parse import owner_uid, parse_job, parse_pod, resource_version


def raw_pod(status: dict[str, Any] | None = None) -> dict[str, Any]:
    return objects.pod(objects.job()) | {"status": status or {}}


# Jobs


def test_a_job_with_kueues_label_is_queued() -> None:
    queued = objects.job()
    queued["metadata"]["labels"][names.QUEUE_LABEL] = "gpus"
    assert not parse_job(objects.job()).is_queued
    assert parse_job(queued).is_queued


def test_the_owner_of_a_job_is_the_controlling_tweetmodel() -> None:
    raw = objects.job()
    assert parse_job(raw).owner_uid == UID
    raw["metadata"]["ownerReferences"][0]["controller"] = False
    assert parse_job(raw).owner_uid is None
    assert owner_uid(raw_pod(), "Job") == raw["metadata"]["uid"]
    assert owner_uid(raw_pod(), "ReplicaSet") is None


def test_the_suspension_of_the_operator_is_marked_by_an_annotation() -> None:
    raw = objects.job(spec={"suspend": True})
    assert (parse_job(raw).is_suspended, parse_job(raw).has_suspend_mark) == (True, False)
    raw["metadata"]["annotations"][names.SUSPENDED_ANNOTATION] = "true"
    assert parse_job(raw).has_suspend_mark


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        ({"limits": {"amd.com/gpu": "2", "nvidia.com/gpu": "1", "cpu": "4"}}, 2),
        ({"limits": {"cpu": "4"}}, 0),
        ({}, 0),
    ],
    ids=["gpus", "no-gpus", "no-limits"],
)
def test_the_gpus_of_a_job_are_those_of_its_trainer_container(resources: dict[str, Any], gpus: int) -> None:
    sidecar = {"name": "proxy", "resources": {"limits": {"amd.com/gpu": "8"}}}
    trainer = {"name": names.CONTAINER, "resources": resources}
    raw = objects.job(spec={"template": {"spec": {"containers": [sidecar, trainer]}}})
    assert requested_gpus(parse_job(raw), "amd.com/gpu") == gpus


def test_a_started_job_without_pods_has_no_pods_since_the_last_status_write() -> None:
    def no_pods_since(**status: Any) -> datetime | None:
        raw = objects.job(**status)
        raw["metadata"]["managedFields"] = [
            {"manager": "tweetmodel-operator", "time": "2026-11-23T13:00:00Z"},
            {"manager": "kube-controller-manager", "subresource": "status", "time": "2026-11-23T12:30:00Z"},
        ]
        return parse_job(raw).no_pods_since

    started = objects.job_started(NOW)
    assert no_pods_since() is None
    assert no_pods_since(**started, active=1) is None
    assert no_pods_since(**started, terminating=1) is None
    suspended = {"type": "Suspended", "status": "True"}
    assert no_pods_since(**started, conditions=[suspended]) is None, "the Job resumes later"
    assert no_pods_since(**started, terminating=0) == time("2026-11-23T12:30:00Z")


def test_the_failure_of_a_job_is_read_from_its_conditions() -> None:
    job = parse_job(objects.job(**objects.job_failed("PodFailurePolicy", "code 65")))
    assert (job.failure_reason, job.is_complete, job.is_finished) == ("PodFailurePolicy", False, True)
    assert (job.failure_message, job.ended_at) == ("code 65", time(NOW))


def test_a_condition_that_is_not_true_does_not_count() -> None:
    conditions = [{"type": "Complete", "status": "False"}, {"type": "Failed", "status": "Unknown"}]
    assert not parse_job(objects.job(conditions=conditions)).is_finished


# Pods


def test_the_report_is_read_from_the_termination_message() -> None:
    report = failure(Reason.ACCESS_DENIED)
    pod = parse_pod(raw_pod(objects.terminated(77, report)))
    assert (pod.exit_code, pod.report) == (77, report)


def test_another_termination_message_is_not_a_report() -> None:
    pod = parse_pod(raw_pod(objects.terminated(137, reason="OOMKilled", message="Killed")))
    assert (pod.exit_reason, pod.report) == ("OOMKilled", None)


def test_the_memory_limit_is_that_of_the_trainer_container() -> None:
    raw = raw_pod(objects.terminated(137, reason="OOMKilled"))
    assert parse_pod(raw).memory_limit is None
    raw["spec"] = {"containers": [{"name": names.CONTAINER, "resources": {"limits": {"memory": "12Gi"}}}]}
    assert parse_pod(raw).memory_limit == "12Gi"


def deleted_pod(ready: dict[str, str], phase: str = "Running", **state: Any) -> ObservedPod:
    """Return a deleted pod on the node n1 with a condition Ready."""
    raw = raw_pod(objects.pod_status(phase, state, {"type": "Ready", **ready}))
    raw["spec"] = {"nodeName": "n1", "containers": []}
    raw["metadata"]["deletionTimestamp"] = "2026-11-23T12:02:00Z"
    return parse_pod(raw)


RUNNING = {"startedAt": NOW}


def test_a_running_pod_is_unreachable_if_only_the_control_plane_calls_it_unready() -> None:
    lost = deleted_pod({"status": "False"}, running=RUNNING)
    assert (lost.node, lost.node_unreachable, lost.deletion_deadline) == ("n1", True, time("2026-11-23T12:02:00Z"))
    assert not deleted_pod({"status": "True"}, running=RUNNING).node_unreachable
    assert not deleted_pod({"status": "False", "reason": "ContainersNotReady"}, running=RUNNING).node_unreachable
    assert not deleted_pod({"status": "False"}, waiting={"reason": "ContainerCreating"}).node_unreachable


def test_a_terminated_pod_has_no_deletion_deadline() -> None:
    ended = deleted_pod({"status": "False", "reason": "PodFailed"}, terminated={"exitCode": 143})
    lost_with_node = deleted_pod({"status": "False"}, phase="Failed", running=RUNNING)
    assert [(pod.node_unreachable, pod.deletion_deadline) for pod in (ended, lost_with_node)] == [(False, None)] * 2


def test_other_containers_of_a_pod_are_ignored() -> None:
    status = objects.terminated(137, reason="OOMKilled")
    status["containerStatuses"][0]["name"] = "proxy"
    assert parse_pod(raw_pod(status)).exit_code is None


@pytest.mark.parametrize(("text", "version"), [("7", 7), ("", 0), (None, 0)], ids=["number", "empty", "absent"])
def test_a_resource_version_is_a_number(text: str | None, version: int) -> None:
    assert resource_version({"metadata": {} if text is None else {"resourceVersion": text}}) == version
