"""Diagnoses of Jobs and pods: outcome, reason, need for action, time of the next check, and message."""

from typing import Any, NamedTuple

import pytest

from makers import (
    KEY,
    NOW,
    JobMaker,
    collected_status,
    condition,
    decided,
    failure,
    job,
    message,
    model,
    observed,
    spec,
    status_after,
    success,
    time,
)
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_operator.decide.diagnosis import (
    JobContext,
    check_node,
    diagnose_finished,
    diagnose_job,
    has_missing_pod,
)
from tweetmodel_operator.decide.steps import StepState, active

LATER = "2026-11-23T13:00:00Z"
SOON = "2026-11-23T12:00:20Z"
"""Twenty seconds after NOW."""
POD_AGE_5 = "2026-11-23T11:00:05Z"
"""Five seconds after the creation of the first pod."""
TEMPORARY = failure(Reason.STORAGE_UNREACHABLE, "No answer.")
COLLECTING = REASONS[Reason.COLLECTING].meaning


class Diagnosis(NamedTuple):
    """A Job and its expected state."""

    made: JobMaker
    outcome: str
    reason: Reason
    words: str
    """Part of the message."""
    requires_action: bool = False
    requeue_after: float | None = None
    now: str = NOW


def without_pods(**facts: Any) -> JobMaker:
    return job().without_pods(since=NOW).with_facts(**facts)


DIAGNOSES = {
    # Finished Jobs
    "complete": Diagnosis(job().complete(success()), "Succeeded", Reason.SUCCEEDED, "2,633 posts kept."),
    "failed-with-report": Diagnosis(
        job().pod_ended(77, failure(Reason.ACCESS_DENIED)).failed(), "Failed", Reason.ACCESS_DENIED, "It failed", True
    ),
    "failed-without-report": Diagnosis(
        job().pod_ended(1).failed(), "Failed", Reason.INTERNAL_ERROR, "exited with code 1 and without a report", True
    ),
    "failed-without-pods": Diagnosis(
        job().failed("BackoffLimitExceeded"), "Failed", Reason.INTERNAL_ERROR, "failed (the Job failed). Read", True
    ),
    "failed-out-of-memory": Diagnosis(
        job().pod_ended(137, None, "OOMKilled").failed(), "Failed", Reason.OUT_OF_MEMORY, "exceeded the memory", True
    ),
    "failed-on-full-node": Diagnosis(
        job().evicted("The node was low on resource: memory.").failed(), "Failed", Reason.OUT_OF_MEMORY, "low on", True
    ),
    "deadline": Diagnosis(
        job().running().failed("DeadlineExceeded"), "Failed", Reason.DEADLINE_EXCEEDED, "Train for fewer epochs", True
    ),
    "last-failed-pod-counts": Diagnosis(
        job().pod_ended(75, TEMPORARY).pod_ended(77, failure(Reason.ACCESS_DENIED)).failed(),
        *("Failed", Reason.ACCESS_DENIED, "It failed", True),
    ),
    # Suspended Jobs
    "suspended-by-operator": Diagnosis(
        job().suspended(by_operator=True), "Active", Reason.SUSPENDED, "is suspended. spec.suspend is true."
    ),
    "suspended-elsewhere": Diagnosis(job().suspended(), "Active", Reason.QUEUED, "until there is quota."),
    "queued-with-mark": Diagnosis(
        job().queued().suspended(by_operator=True), "Active", Reason.QUEUED, "If there is no Workload"
    ),
    "queued": Diagnosis(job().queued().suspended(), "Active", Reason.QUEUED, "If there is no Workload"),
    # Jobs without pods
    "not-started": Diagnosis(job(), "Active", Reason.COLLECTING, COLLECTING, now=LATER),
    "counted-pod": Diagnosis(job().without_pods(since=None), "Active", Reason.COLLECTING, COLLECTING, now=LATER),
    "no-pod-yet": Diagnosis(without_pods(), "Active", Reason.COLLECTING, COLLECTING, requeue_after=5),
    "no-pod": Diagnosis(without_pods(), "Active", Reason.POD_REFUSED, "kubectl describe job", False, 20, SOON),
    "forbidden-pod": Diagnosis(
        without_pods(pod_creation_error='pods "x" is forbidden: no priority class'),
        *("Active", Reason.POD_REFUSED, "no priority class", True, 20, SOON),
    ),
    "pod-beyond-quota": Diagnosis(
        without_pods(pod_creation_error='pods "x" is forbidden: exceeded quota: gpus'),
        *("Active", Reason.POD_REFUSED, "exceeded quota: gpus", False, 20, SOON),
    ),
    "overloaded-api-server": Diagnosis(
        without_pods(pod_creation_error="etcdserver: leader changed"),
        *("Active", Reason.POD_REFUSED, "leader changed", False, 20, SOON),
    ),
    "back-off-after-progress": Diagnosis(
        without_pods().progress_reported(),
        *("Active", Reason.PENDING, "creates another pod after a back-off", False, 580, SOON),
    ),
    "back-off-after-failure": Diagnosis(
        without_pods(ended_pods=1), "Active", Reason.PENDING, "after a back-off", False, 580, SOON
    ),
    "back-off-after-eviction": Diagnosis(
        job().without_pods(since="2026-11-23T12:30:00Z", started=NOW),
        *("Active", Reason.PENDING, "after a back-off", False, 590, "2026-11-23T12:30:10Z"),
    ),
    "no-pod-after-back-off": Diagnosis(
        without_pods(ended_pods=1), "Active", Reason.POD_REFUSED, "kubectl describe job", False, 3600, LATER
    ),
    "no-pod-long-after-eviction": Diagnosis(
        job().without_pods(since="2026-11-23T12:30:00Z", started=NOW),
        *("Active", Reason.POD_REFUSED, "kubectl describe job", False, 1800, LATER),
    ),
    # Pods before their start
    "unschedulable": Diagnosis(
        job().unschedulable("0/1 nodes are available."), "Active", Reason.UNSCHEDULABLE, "0/1 nodes are available."
    ),
    "ErrImagePull": Diagnosis(
        job().waiting("ErrImagePull", "timeout"), "Active", Reason.IMAGE_PULL_FAILED, "timeout. Check the chart's"
    ),
    **{
        reason: Diagnosis(job().waiting(reason, "no"), "Active", Reason.IMAGE_PULL_FAILED, "no. Check", True)
        for reason in ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
    },
    **{
        reason: Diagnosis(job().waiting(reason, "no"), "Active", Reason.POD_REFUSED, "no. Change the rejected", True)
        for reason in ("CreateContainerError", "RunContainerError")
    },
    "no-secret": Diagnosis(
        job().waiting("CreateContainerConfigError", 'secret "s3" not found'),
        *("Active", Reason.SECRET_INVALID, 'secret "s3" not found. Create the Secret with `kubectl create', True),
    ),
    "no-config-map": Diagnosis(
        job().waiting("CreateContainerConfigError", 'configmap "proxy" not found'),
        *("Active", Reason.POD_REFUSED, 'configmap "proxy" not found', True),
    ),
    "secret-not-synced": Diagnosis(
        job().waiting("CreateContainerConfigError", "failed to sync secret cache: timed out"),
        *("Active", Reason.COLLECTING, COLLECTING, False, 55, POD_AGE_5),
    ),
    "config-map-not-synced": Diagnosis(
        job().waiting("CreateContainerConfigError", "failed to sync configmap cache: timed out"),
        *("Active", Reason.COLLECTING, COLLECTING, False, 55, POD_AGE_5),
    ),
    "secret-not-synced-for-long": Diagnosis(
        job().waiting("CreateContainerConfigError", "failed to sync secret cache: timed out"),
        *("Active", Reason.PENDING, "has not read the Secrets of pod"),
    ),
    "no-scheduler": Diagnosis(job().pending(), "Active", Reason.PENDING, "No scheduler has assigned pod"),
    "no-sandbox": Diagnosis(
        job().waiting("ContainerCreating", sandbox_ready=False), "Active", Reason.PENDING, "has not set up network"
    ),
    "slow-pull": Diagnosis(job().waiting("ContainerCreating"), "Active", Reason.PENDING, "still pulling the image"),
    "starting": Diagnosis(
        job().waiting("ContainerCreating"), "Active", Reason.COLLECTING, COLLECTING, False, 55, POD_AGE_5
    ),
    # Running pods and retries
    "running": Diagnosis(job().running(), "Active", Reason.COLLECTING, COLLECTING),
    "ended-with-success": Diagnosis(job().pod_ended(0, success()), "Active", Reason.COLLECTING, COLLECTING),
    "about-to-fail": Diagnosis(job().pod_ended(66, failure(Reason.SOURCE_MISSING)), "Active", Reason.COLLECTING, ""),
    "retried": Diagnosis(
        job().pod_ended(75, TEMPORARY), "Active", Reason.STORAGE_UNREACHABLE, "No answer. The Job retries."
    ),
    "interrupted": Diagnosis(
        job().pod_ended(143, failure(Reason.INTERRUPTED)),
        "Active",
        Reason.COLLECTING,
        "The next pod resumes from there.",
    ),
    "evicted": Diagnosis(
        job().evicted("low on resource: ephemeral-storage."),
        *("Active", Reason.DISK_FULL, "low on resource: ephemeral-storage. Choose a smaller base model"),
    ),
    "preempted": Diagnosis(
        job().evicted("Preempted in order to admit critical pod"),
        *("Active", Reason.COLLECTING, "terminated pod"),
    ),
    "rejected-by-node": Diagnosis(
        job().evicted("Allocate failed: no healthy device"), "Active", Reason.POD_REFUSED, "no healthy device."
    ),
    "retry-after-failure": Diagnosis(
        job().pod_ended(75, TEMPORARY).running(NOW),
        *("Active", Reason.STORAGE_UNREACHABLE, "No answer.", False, 580, SOON),
    ),
    "recovered-by-progress": Diagnosis(
        job().pod_ended(75, TEMPORARY).running(NOW).progress_reported(SOON),
        *("Active", Reason.COLLECTING, COLLECTING, False, None, SOON),
    ),
    "recovered-by-time": Diagnosis(
        job().pod_ended(75, TEMPORARY).running(NOW), "Active", Reason.COLLECTING, COLLECTING, now=LATER
    ),
    "resumed": Diagnosis(
        job().pod_ended(143, failure(Reason.INTERRUPTED)).running(NOW), "Active", Reason.COLLECTING, COLLECTING
    ),
    "slow-start-after-failure": Diagnosis(
        job().pod_ended(75, TEMPORARY).pending(),
        *("Active", Reason.STORAGE_UNREACHABLE, "The Job retries. No scheduler has assigned pod", False, 600),
    ),
    # Nodes
    "node-unreachable": Diagnosis(
        job().node_unreachable(), "Active", Reason.NODE_LOST, "Node n1 is unreachable and pod"
    ),
    "pod-deleted": Diagnosis(
        job().pod_deleted(NOW, node_unreachable=False), "Active", Reason.COLLECTING, COLLECTING, False, 30
    ),
    "pod-deleted-on-lost-node": Diagnosis(job().pod_deleted(NOW), "Active", Reason.NODE_LOST, "unreachable", False, 30),
    "pod-overdue": Diagnosis(
        job().pod_deleted(NOW, node_unreachable=False),
        "Active",
        Reason.NODE_LOST,
        "delete its Node object",
        True,
        now=LATER,
    ),
}


def diagnosed(made: JobMaker, now: str = NOW, of: Any = None) -> StepState:
    state = diagnose_job(JobContext(made.obj(), of or spec(), KEY.namespace, time(now)))
    assert state
    return state


@pytest.mark.parametrize("diagnosis", DIAGNOSES.values(), ids=DIAGNOSES)
def test_a_job_is_diagnosed(diagnosis: Diagnosis) -> None:
    state = diagnosed(diagnosis.made, diagnosis.now)
    assert (state.outcome, state.reason) == (diagnosis.outcome, diagnosis.reason)
    assert diagnosis.words in state.message
    assert state.requires_action is diagnosis.requires_action
    assert state.requeue_after == diagnosis.requeue_after


def test_a_complete_job_without_a_report_has_no_diagnosis() -> None:
    assert diagnose_finished(job().complete(None).obj()) is None
    assert diagnose_finished(job().complete(failure(Reason.ACCESS_DENIED)).obj()) is None


def test_a_failed_job_keeps_the_model_of_its_report() -> None:
    report = failure(Reason.HUB_DENIED).model_copy(update={"model": model("a" * 16)})
    state = diagnose_finished(job("train").pod_ended(77, report).failed().obj())
    assert state
    assert state.model == model("a" * 16)


@pytest.mark.parametrize(
    ("made", "is_missing"),
    [
        (without_pods(), True),
        (without_pods().suspended(), False),
        (without_pods().deleting(), False),
        (without_pods().failed(), False),
        (job(), False),
        (job().running(), False),
    ],
    ids=["started", "suspended", "deleting", "failed", "not-started", "running"],
)
def test_only_an_active_started_job_can_miss_its_pod(made: JobMaker, is_missing: bool) -> None:
    assert has_missing_pod(made.obj(), time(SOON)) is is_missing
    assert not has_missing_pod(made.obj(), time(NOW))


# Advice


CREATE_SECRET = "kubectl create secret generic"
HUB_SECRET = {"huggingFace": {"secretRef": {"name": "hub"}}}
TRACKER = {"reportTo": {"mlflow": {"trackingURI": "http://mlflow:5000", "secretRef": {"name": "mlflow"}}}}
X_API = {"sources": [{"handle": "ada", "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "5"}}]}


@pytest.mark.parametrize(
    ("step", "fields", "secret", "literals"),
    [
        ("collect", {}, "s3", "--from-literal=accessKeyID=… --from-literal=secretAccessKey=…"),
        ("collect", X_API, "x", "--from-literal=bearerToken=…"),
        ("train", {"publish": HUB_SECRET}, "hub", "--from-literal=token=…"),
        ("train", {"baseModel": {"hub": {"name": "a/b", "secretRef": {"name": "hf"}}}}, "hf", "--from-literal=token=…"),
        ("train", {"reportTo": {"wandb": {"secretRef": {"name": "wandb"}}}}, "wandb", "--from-literal=apiKey=…"),
    ],
    ids=["storage", "x-api", "publish", "base-model", "tracker"],
)
def test_a_missing_secret_is_explained_with_the_command_and_exactly_its_keys(
    step: str, fields: dict[str, Any], secret: str, literals: str
) -> None:
    of = spec(**fields)
    waiting = job(step, of).waiting("CreateContainerConfigError", f'secret "{secret}" not found')
    command = f"`{CREATE_SECRET} {secret} -n default {literals}`"
    assert diagnosed(waiting, of=of).message == (
        f'{REASONS[Reason.SECRET_INVALID].meaning} secret "{secret}" not found. Create the Secret with {command}; '
        "the pod then starts by itself."
    )


@pytest.mark.parametrize("name", ["mlflow", "unknown"], ids=["optional-keys-only", "unknown-secret"])
def test_a_missing_secret_without_known_keys_is_explained_in_general(name: str) -> None:
    of = spec(**TRACKER)
    waiting = job("train", of).waiting("CreateContainerConfigError", f'secret "{name}" not found')
    state = diagnosed(waiting, of=of)
    assert state.message.endswith(REASONS[Reason.SECRET_INVALID].advice)
    assert CREATE_SECRET not in state.message


@pytest.mark.parametrize("prefix", ["", "default/"], ids=["name", "namespace-and-name"])
def test_a_missing_key_of_a_secret_is_named_alone(prefix: str) -> None:
    waiting = job().waiting("CreateContainerConfigError", f"couldn't find key accessKeyID in Secret {prefix}s3")
    state = diagnosed(waiting)
    assert state.message.endswith("Add the key accessKeyID to the Secret s3; the pod then starts by itself.")
    assert "secretAccessKey" not in state.message


def test_a_pod_out_of_memory_names_its_limit_and_the_settings_to_change() -> None:
    killed = {"code": 137, "report": None, "reason": "OOMKilled"}
    training = diagnosed(job("train").pod_ended(**killed, memory="12Gi")).message
    assert "exceeded its memory limit of 12Gi. Raise spec.resources.limits.memory" in training
    assert "lower training.blockSize" in training
    collecting = diagnosed(job().pod_ended(**killed, memory="2Gi")).message
    assert "its memory limit of 2Gi. Raise the chart's collect.resources.limits.memory." in collecting
    assert "training." not in collecting
    assert "exceeded the memory of its node" in diagnosed(job().pod_ended(**killed)).message


def test_an_unschedulable_pod_names_the_settings_to_compare_with_the_nodes() -> None:
    full = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    assert full in diagnosed(job().unschedulable(full)).message
    assert "the chart's collect.resources" in diagnosed(job().unschedulable(full)).message
    assert "spec.gpus" in diagnosed(job("train").unschedulable(full)).message


# Over time


def test_a_rejected_pod_is_reported_within_seconds() -> None:
    young = decided(observed(without_pods()))
    assert condition(young) == ("Unknown", "Collecting")
    assert young.requeue_after == 5
    old = decided(observed(without_pods(), status=young.status), "2026-11-23T12:00:05Z")
    assert condition(old) == ("Unknown", "PodRefused")
    assert condition(old, "Stalled")[0] == "False", "a quota may have room later"
    assert "kubectl describe job" in message(old)
    later = decided(observed(without_pods(), status=old.status), LATER)
    assert (later.status, later.requeue_after) == (old.status, 3600), "checked again after another hour"


def test_a_failure_is_shown_until_the_next_pod_has_got_further() -> None:
    ended = job().pod_ended(75, TEMPORARY)
    shown = status_after(observed(ended))
    again = ended.running(NOW)
    retrying = decided(observed(again, status=shown), "2026-11-23T12:01:40Z")
    assert (retrying.status, retrying.requeue_after) == (shown, 500)
    recovered = decided(observed(again, status=shown), LATER)
    assert condition(recovered) == ("Unknown", "Collecting")


def test_a_permanent_failure_is_shown_once_the_job_has_failed() -> None:
    before = decided(observed(job().running()))
    ended = decided(observed(job().pod_ended(66, failure(Reason.SOURCE_MISSING)), status=before.status))
    assert ended.status == before.status, "otherwise the status would promise a retry, by another write"


def test_an_unreachable_node_is_reported_at_once_and_awaited() -> None:
    unreachable = job("train").node_unreachable()
    decision = decided(observed(unreachable, status=collected_status()))
    assert condition(decision) == ("Unknown", "NodeLost")
    assert condition(decision, "Stalled")[0] == "False", "the node may return"
    name = unreachable.obj().name
    assert message(decision).startswith(f"Node n1 is unreachable and pod {name}-0 may still be running")
    assert "delete its Node object" in message(decision)
    back = decided(observed(job("train").running(), status=decision.status))
    assert condition(back) == ("Unknown", "Training")


def test_a_pod_that_does_not_terminate_after_its_deadline_requires_action() -> None:
    """Neither the Job (podReplacementPolicy Failed) nor the operator starts another pod before its end."""
    deleted = job("train").pod_deleted(deadline="2026-11-23T12:02:00Z", node_unreachable=False)
    within = decided(observed(deleted, status=collected_status()))
    assert condition(within) == ("Unknown", "Training")
    assert within.requeue_after == 150
    lost = decided(observed(deleted, status=within.status), "2026-11-23T12:02:30Z")
    assert condition(lost, "Stalled") == ("True", "NodeLost")
    assert not lost.create
    assert not lost.delete
    later = decided(observed(deleted, status=lost.status), LATER)
    assert (later.status, later.requeue_after) == (lost.status, None)
    replaced = decided(observed(deleted.running(), status=lost.status), LATER)
    assert condition(replaced) == ("Unknown", "Training")


def test_a_lost_node_is_reported_while_its_job_is_deleted() -> None:
    lost = job("train").pod_deleted(deadline=NOW).deleting()
    decision = decided(observed(lost, of=spec(gpus=0), status=collected_status()), LATER)
    assert condition(decision, "Stalled") == ("True", "NodeLost")


def test_a_responsive_node_leaves_the_state_of_a_job_unchanged() -> None:
    state = active("collect")
    for made in (job(), job().running()):
        assert check_node(made.obj(), time(LATER), state) is state
