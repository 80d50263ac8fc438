"""Diagnoses a Job: turns the facts about the Job and its pods into a state with a reason and a message.

Success requires the Complete condition of the Job *and* the report of a pod: phases of pods are unreliable after a
restart of the kubelet or an eviction. The rules for a pod are an ordered table; the first match applies.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from tweetmodel_api.reasons import PERMANENT_EXIT_CODES, REASONS, Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.steps import STEP_KINDS, StepName, remedy
from tweetmodel_operator.decide.messages import explain, sentences
from tweetmodel_operator.decide.steps import StepState, active
from tweetmodel_operator.observed import ObservedJob, ObservedPod, SuspendOwner
from tweetmodel_operator.pod_credentials import credentials_for_pod
from tweetmodel_operator.rejections import is_final_rejection
from tweetmodel_operator.times import seconds_between

MISSING_POD_SECONDS = 5.0
"""Seconds without a pod until the status reports a rejection. Quotas and policies reject pods, not Jobs, and the
Job controller retries after 1, 2, 4 … s, so a busy API server gets two more chances."""
MAX_BACK_OFF_SECONDS = 600.0
"""Maximum back-off of the Job controller after failed or evicted pods, in seconds."""
SLOW_START_SECONDS = 60.0
"""Seconds for scheduling, and as many for starting, until the status reports the cause of a delay."""
RECOVERED_SECONDS = 600.0
"""Seconds of running after which a pod without progress reports has recovered from the previous pod's failure."""
NODE_LOST_SECONDS = 30.0
"""Time after the deletion deadline until a node counts as lost: a responsive kubelet kills the pod by then."""

WAITING_REASONS: dict[str, Reason] = {
    "ErrImagePull": Reason.IMAGE_PULL_FAILED,
    "ImagePullBackOff": Reason.IMAGE_PULL_FAILED,
    "InvalidImageName": Reason.IMAGE_PULL_FAILED,
    "ErrImageNeverPull": Reason.IMAGE_PULL_FAILED,
    "CreateContainerConfigError": Reason.SECRET_INVALID,
    "CreateContainerError": Reason.POD_REFUSED,
    "RunContainerError": Reason.POD_REFUSED,
}
"""Waiting reasons of the kubelet for a container that has not started, with the reason in the status."""
TRANSIENT_WAITING_REASONS = {"ErrImagePull"}
"""Keys of WAITING_REASONS that a short outage of the registry can cause."""


@dataclass(frozen=True)
class JobContext:
    """A Job, and the facts for the diagnosis."""

    job: ObservedJob
    spec: TweetModelSpec
    namespace: str
    now: datetime


def diagnose_job(context: JobContext) -> StepState | None:
    """Return the state of a Job's step, or None for a complete Job without a report."""
    job = context.job
    if job.is_finished:
        return diagnose_finished(job)
    if job.is_suspended:
        return _diagnose_suspended(job)
    if not job.pods:
        return diagnose_missing_pod(job, context.now)
    return check_node(job, context.now, _diagnose_pod(context, job.pods[-1]))


def diagnose_finished(job: ObservedJob) -> StepState | None:
    """Return the state of a finished Job's step, or None for a complete Job without a report."""
    if not job.is_complete:
        return _diagnose_failed(job)
    for pod in reversed(job.pods):
        if pod.report and pod.report.outcome == "Succeeded":
            return StepState("Succeeded", Reason.SUCCEEDED, pod.report.message, pod.report)
    return None


def _diagnose_suspended(job: ObservedJob) -> StepState:
    owner = job.suspend_owner
    reason = Reason.SUSPENDED if owner is SuspendOwner.OPERATOR else Reason.QUEUED
    info = REASONS[reason]
    advice = "" if owner is SuspendOwner.OTHER else info.advice
    return StepState("Active", reason, sentences(f"Job {job.name} is suspended", info.meaning, advice))


def _diagnose_failed(job: ObservedJob) -> StepState:
    # A train step that failed in its publication still has a finished model.
    report = next((pod.report for pod in reversed(job.pods) if pod.report and pod.report.model), None)
    failed_pod = next((pod for pod in reversed(job.pods) if pod.exit_code or pod.node_failure), None)
    if job.failure_reason == "DeadlineExceeded":
        reason = Reason.DEADLINE_EXCEEDED
        message = sentences(job.failure_message, remedy(reason, job.step))
    elif failed_pod is None:
        reason = Reason.INTERNAL_ERROR
        message = sentences(f"Job {job.name} failed ({job.failure_message.rstrip('.')})", remedy(reason, job.step))
    else:
        reason, message = explain_pod_failure(failed_pod, job.step)
    return StepState("Failed", reason, message, report, requires_action=True)


def has_missing_pod(job: ObservedJob, now: datetime) -> bool:
    """Return whether an active Job should have a pod by now and has none."""
    if job.is_suspended or not job.is_active or job.pods or job.no_pods_since is None:
        return False
    return seconds_between(job.no_pods_since, now) >= MISSING_POD_SECONDS


def diagnose_missing_pod(job: ObservedJob, now: datetime) -> StepState:
    """Return the state of a Job without a pod: about to create one, in back-off, or rejected.

    No watch event reports the next attempt of the Job controller, so the state is checked again after as long as the
    Job has had no pod.
    """
    if job.no_pods_since is None:
        return active(job.step)
    idle_seconds = seconds_between(job.no_pods_since, now)
    if not has_missing_pod(job, now):
        return replace(active(job.step), requeue_after=MISSING_POD_SECONDS - idle_seconds)
    if job.pod_creation_error:
        message = explain(Reason.POD_REFUSED, job.step, job.pod_creation_error)
        is_final = is_final_rejection(job.pod_creation_error)
        return StepState("Active", Reason.POD_REFUSED, message, requires_action=is_final, requeue_after=idle_seconds)
    if job.had_pods and idle_seconds < MAX_BACK_OFF_SECONDS:
        message = (
            f"The pod of Job {job.name} no longer exists: Kubernetes creates another pod after a back-off. "
            f"No action is needed; `kubectl describe job {job.name}` shows the events."
        )
        return StepState("Active", Reason.PENDING, message, requeue_after=MAX_BACK_OFF_SECONDS - idle_seconds)
    advice = f"Run `kubectl describe job {job.name}` to see the cause"
    message = explain(Reason.POD_REFUSED, job.step, advice=advice)
    return StepState("Active", Reason.POD_REFUSED, message, requeue_after=idle_seconds)


def check_node(job: ObservedJob, now: datetime, state: StepState) -> StepState:
    """Return the state of an active Job, or NodeLost if the node of its pod does not respond.

    Kubernetes deletes a pod five minutes after the last contact to its node. The pod object remains until the node
    confirms the end, and podReplacementPolicy Failed keeps the Job waiting until then (see KEP-6757 of Kueue).
    """
    pod = job.pods[-1] if job.pods else None
    if pod is None or not (pod.node_unreachable or pod.deletion_deadline):
        return state
    remaining = None
    if pod.deletion_deadline:
        remaining = NODE_LOST_SECONDS - seconds_between(pod.deletion_deadline, now)
    is_overdue = remaining is not None and remaining <= 0
    if pod.node_unreachable or is_overdue:
        message = sentences(
            f"Node {pod.node} is unreachable and pod {pod.name} may still be running, so no replacement is started "
            "until the pod has terminated",
            remedy(Reason.NODE_LOST, job.step),
        )
        state = StepState("Active", Reason.NODE_LOST, message, requires_action=is_overdue)
    if is_overdue or remaining is None:
        return state
    return replace(state, requeue_after=min(remaining, state.requeue_after or remaining))


PodRule = Callable[[JobContext, ObservedPod], StepState | None]


def _diagnose_pod(context: JobContext, pod: ObservedPod) -> StepState:
    states = (rule(context, pod) for rule in POD_RULES)
    state = next(filter(None, states), None)
    return state or active(context.job.step)


def _diagnose_unschedulable(context: JobContext, pod: ObservedPod) -> StepState | None:
    if not pod.unschedulable_message:
        return None
    message = explain(Reason.UNSCHEDULABLE, context.job.step, pod.unschedulable_message)
    return StepState("Active", Reason.UNSCHEDULABLE, message)


def _diagnose_waiting(context: JobContext, pod: ObservedPod) -> StepState | None:
    reason = WAITING_REASONS.get(pod.waiting_reason or "")
    if reason is None or _is_secret_read_pending(pod):
        return None
    if reason is Reason.SECRET_INVALID:
        return _diagnose_config_error(context, pod)
    message = explain(reason, context.job.step, pod.waiting_message)
    return StepState("Active", reason, message, requires_action=pod.waiting_reason not in TRANSIENT_WAITING_REASONS)


def _diagnose_config_error(context: JobContext, pod: ObservedPod) -> StepState:
    """Return the state of a pod with a missing Secret in the environment, or a missing ConfigMap of trainer.env."""
    if "secret" not in pod.waiting_message.lower():
        message = explain(Reason.POD_REFUSED, context.job.step, pod.waiting_message)
        return StepState("Active", Reason.POD_REFUSED, message, requires_action=True)
    advice = _secret_advice(context, pod)
    message = explain(Reason.SECRET_INVALID, context.job.step, pod.waiting_message, advice)
    return StepState("Active", Reason.SECRET_INVALID, message, requires_action=True)


def _secret_advice(context: JobContext, pod: ObservedPod) -> str:
    """Return the command for the missing Secret or key; empty if the message of the kubelet names neither."""
    missing_key = re.search(r"couldn't find key (\S+) in Secret (?:\S+/)?(\S+)", pod.waiting_message)
    if missing_key:
        return f"Add the key {missing_key[1]} to the Secret {missing_key[2]}; the pod then starts by itself."
    missing_secret = re.search(r'secrets? "([^"]+)" (?:not found|is forbidden)', pod.waiting_message)
    keys = _keys_of(context, missing_secret[1]) if missing_secret else []
    if not missing_secret or not keys:
        return ""
    literals = " ".join(f"--from-literal={key}=…" for key in keys)
    command = f"kubectl create secret generic {missing_secret[1]} -n {context.namespace} {literals}"
    return f"Create the Secret with `{command}`; the pod then starts by itself."


def _keys_of(context: JobContext, secret: str) -> list[str]:
    credentials = credentials_for_pod(context.job.step, context.spec, publish=True, loads_base_model=True)
    return list(dict.fromkeys(c.key for c, name in credentials if name == secret and not c.optional))


def _diagnose_retry(context: JobContext, pod: ObservedPod) -> StepState | None:
    """Return the state of a failed pod during the retries of the Job."""
    return _retry_state(pod, context.job.step)


def _retry_state(pod: ObservedPod, step: StepName) -> StepState | None:
    if pod.exit_code == 0 or not (pod.exit_code or pod.node_failure):
        return None
    if pod.exit_code in PERMANENT_EXIT_CODES:
        return None  # the Job is about to fail
    reason, message = explain_pod_failure(pod, step)
    if reason is Reason.INTERRUPTED:
        return StepState("Active", STEP_KINDS[step].active_reason, f"{message} The next pod resumes from there.")
    return StepState("Active", reason, f"{message} The Job retries.")


def _diagnose_earlier_failure(context: JobContext, pod: ObservedPod) -> StepState | None:
    """Return the failure of the previous pod, until this pod reports progress or has run for RECOVERED_SECONDS."""
    job, now = context.job, context.now
    earlier = _retry_state(job.pods[-2], job.step) if len(job.pods) > 1 else None
    if earlier is None or earlier.reason is STEP_KINDS[job.step].active_reason:
        return None
    remaining = RECOVERED_SECONDS
    if pod.started_at:
        remaining -= seconds_between(pod.started_at, now)
        if job.progress_reported_at and job.progress_reported_at > pod.started_at:
            return None
    if remaining <= 0:
        return None
    start = _diagnose_slow_start(context, pod)
    if start is None:
        return replace(earlier, requeue_after=remaining)
    delay = f" {start.message}" if start.reason is Reason.PENDING else ""
    return replace(
        earlier, message=earlier.message + delay, requeue_after=min(remaining, start.requeue_after or remaining)
    )


def _diagnose_slow_start(context: JobContext, pod: ObservedPod) -> StepState | None:
    """Return the state of a pod that has not started. Only a slow start changes the message, and costs a write."""
    if pod.is_running or pod.exit_code is not None:
        return None
    step = context.job.step
    remaining = SLOW_START_SECONDS - seconds_between(pod.scheduled_at or pod.created_at, context.now)
    if remaining > 0:
        return replace(active(step), requeue_after=remaining)
    message = f"{_start_delay(pod)} `kubectl describe pod {pod.name}` shows the events."
    return StepState("Active", Reason.PENDING, message)


def _start_delay(pod: ObservedPod) -> str:
    if not pod.node:
        return f"No scheduler has assigned pod {pod.name} to a node yet."
    if not pod.sandbox_ready:
        return f"Node {pod.node} has not set up network, volumes and runtime class of pod {pod.name} yet."
    if _is_secret_read_pending(pod):
        return f"Node {pod.node} has not read the Secrets of pod {pod.name} yet ({pod.waiting_message})."
    return f"Node {pod.node} is still pulling the image of pod {pod.name}."


POD_RULES: tuple[PodRule, ...] = (
    _diagnose_unschedulable,
    _diagnose_waiting,
    _diagnose_retry,
    _diagnose_earlier_failure,
    _diagnose_slow_start,
)
"""Ordered rules; a pod without a match makes progress."""


def _is_secret_read_pending(pod: ObservedPod) -> bool:
    """Return whether the kubelet timed out when it read a Secret or ConfigMap, and retries.

    The message of the kubelet about a missing object or key is different (kubernetes/kubernetes#117972).
    """
    return pod.waiting_message.startswith("failed to sync ")


def explain_pod_failure(pod: ObservedPod, step: StepName) -> tuple[Reason, str]:
    """Return reason and message for a pod after a failure or a rejection by its node."""
    if pod.report:
        return pod.report.reason, pod.report.message
    if pod.node_failure:
        reason = _reason_of_node_failure(pod.node_failure)
        advice = "" if reason is Reason.INTERRUPTED else remedy(reason, step)
        return reason, sentences(f"Node {pod.node} terminated pod {pod.name}: {pod.node_failure}", advice)
    if pod.exit_reason == "OOMKilled":
        limit = f"its memory limit of {pod.memory_limit}" if pod.memory_limit else "the memory of its node"
        reason = Reason.OUT_OF_MEMORY
        return reason, sentences(f"Pod {pod.name} exceeded {limit}", remedy(reason, step))
    reason = Reason.INTERNAL_ERROR
    what = f"Pod {pod.name} exited with code {pod.exit_code} and without a report"
    return reason, sentences(what, remedy(reason, step))


def _reason_of_node_failure(message: str) -> Reason:
    """Return the reason for the kubelet's message about an evicted, rejected or preempted pod."""
    words = message.lower()
    if "memory" in words:
        return Reason.OUT_OF_MEMORY
    if "ephemeral" in words or "disk" in words:
        return Reason.DISK_FULL
    if "shutdown" in words or "preempt" in words:
        return Reason.INTERRUPTED
    return Reason.POD_REFUSED
