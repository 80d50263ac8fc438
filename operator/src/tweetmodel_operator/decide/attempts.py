"""Reconciles a step with its Jobs: reads the state of the last attempt, and decides about another attempt.

Attempts are numbered per collection or run, over all steps with the same id. A Job of a finished attempt may vanish
(TTL, a person), and its pods before it; the status keeps the failure and distinguishes a deleted Job from a Job not
yet created. A complete Job without a report is repeated: the pod finds the results in S3 and repeats the report.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from tweetmodel_api.fields import MAX_MESSAGE_LENGTH
from tweetmodel_api.reasons import REASONS, ExitCode, Reason
from tweetmodel_api.retry import retry_command
from tweetmodel_api.status import StepStatus, TweetModelStatus
from tweetmodel_operator import names
from tweetmodel_operator.decide.diagnosis import JobContext, check_node, diagnose_job
from tweetmodel_operator.decide.messages import sentences
from tweetmodel_operator.decide.steps import Hold, Step, StepResult, StepState, active
from tweetmodel_operator.observed import Observed, ObservedJob
from tweetmodel_operator.times import parse_time

MAX_LOST_REPORTS = 5

TRANSIENT_REASONS = {r for r, info in REASONS.items() if info.exit_code in (ExitCode.TEMPORARY, ExitCode.INTERRUPTED)}
"""Reasons of failures that may pass without a change of the spec: outages and interruptions."""
STARTUP_BLOCKERS = {
    Reason.PENDING,
    Reason.UNSCHEDULABLE,
    Reason.IMAGE_PULL_FAILED,
    Reason.SECRET_INVALID,
    Reason.POD_REFUSED,
    Reason.NODE_LOST,
}
"""Reasons that can keep a Job from starting until its deadline."""


def reconcile_step(step: Step, observed: Observed, hold: Hold | None, now: datetime) -> StepResult:
    """Return the state of a step and its next writes.

    Args:
        step: the step, which is not complete.
        observed: the TweetModel and its Jobs.
        hold: why no Job may run; None if Jobs may run.
        now: the time.
    """
    jobs = [job for job in observed.jobs if job.step_id == step.id]
    newest = max(jobs, key=lambda job: job.attempt, default=None)
    last = _last_attempt(step, observed.status)
    if last:
        newest_number = newest.attempt if newest else 0
        if last.status.outcome == "Failed" and newest_number <= last.status.attempt:
            if last.status.pod_template_hash == step.pod_template_hash and not _is_due_again(step, last):
                return StepResult(step, _recorded_failure(last.status), status=last.status)
            return _start_attempt(step, observed, hold, last.status.attempt + 1)
        if newest_number < last.status.attempt:
            return _start_attempt(step, observed, hold, last.status.attempt + 1)
    if newest is None:
        return _start_attempt(step, observed, hold, 1)
    return _reconcile_job(step, _with_desired_suspend(newest, hold), observed, hold, now)


@dataclass(frozen=True)
class _LastAttempt:
    status: StepStatus
    ended_at: datetime | None = None
    """End of the run with the attempt; None for a step in status.steps."""


def _last_attempt(step: Step, status: TweetModelStatus) -> _LastAttempt | None:
    """Return the last recorded attempt with the id of the step: of status.steps, else of a failed run."""
    recorded = [entry for entry in status.steps if entry.id == step.id and entry.outcome != "Superseded"]
    if recorded:
        return _LastAttempt(max(recorded, key=lambda entry: entry.attempt))
    run = next((run for run in status.runs if run.id == step.id), None)
    if run is None or run.failure is None:
        return None
    return _LastAttempt(run.failure, parse_time(run.completion_time))


def _is_due_again(step: Step, last: _LastAttempt) -> bool:
    """Return whether a later due time of the schedule retries a failure by an outage."""
    return _is_outage_before_due_time(step, last.status.reason, last.ended_at)


def _is_outage_before_due_time(step: Step, reason: str | None, ended_at: datetime | None) -> bool:
    if reason not in TRANSIENT_REASONS or ended_at is None or step.due_time is None:
        return False
    return ended_at < step.due_time


def _with_desired_suspend(job: ObservedJob, hold: Hold | None) -> ObservedJob:
    """Return the Job as it will be after the suspension or resumption that the hold requires."""
    if job.is_finished:
        return job
    if hold and not (job.is_suspended or job.is_queued):
        return replace(job, is_suspended=True, has_suspend_mark=True)
    if not hold and job.has_suspend_mark:
        return replace(job, is_suspended=False, has_suspend_mark=False)
    return job


def must_delete(job: ObservedJob, hold: Hold | None) -> bool:
    """Return whether a hold requires the deletion of a Job, since a suspension is not enough.

    Kueue would keep the quota of a suspended Job reserved, another controller would resume the Job, and a forbidden
    Job must not stay.
    """
    if hold is None or job.is_finished:
        return False
    return hold.deletes_jobs or job.is_managed_elsewhere


def _reconcile_job(step: Step, job: ObservedJob, observed: Observed, hold: Hold | None, now: datetime) -> StepResult:
    if job.is_deleting and not job.is_finished:
        return _await_deletion(step, job, hold, now)
    if hold and must_delete(job, hold):
        state = _hold_state(hold, f"Job {job.name} is being deleted")
        return StepResult(step, state, _step_status(step, job, state), delete=(job.name,))
    diagnosis = diagnose_job(_context(job, observed, now))
    lost_reports = 0 if diagnosis else _count_lost_reports(job, observed, now)
    if diagnosis is None and lost_reports < MAX_LOST_REPORTS:
        return _start_attempt(step, observed, hold, job.attempt + 1)
    state = diagnosis or _reports_lost(lost_reports)
    if state.outcome == "Failed" and _is_outage_before_due_time(step, state.reason, job.ended_at):
        return _start_attempt(step, observed, hold, job.attempt + 1)
    if job.pod_template_hash != step.pod_template_hash and not _is_satisfied(step, state):
        return _replace_job(step, job, observed, hold)
    state = _with_retry_command(_merge_previous_message(state, job, observed), observed)
    return StepResult(step, state, _step_status(step, job, state))


def _context(job: ObservedJob, observed: Observed, now: datetime) -> JobContext:
    assert observed.spec is not None  # a TweetModel without a readable spec has no steps
    return JobContext(job, observed.spec, observed.key.namespace, now)


def _await_deletion(step: Step, job: ObservedJob, hold: Hold | None, now: datetime) -> StepResult:
    if hold:
        state = _hold_state(hold, f"Job {job.name} is being deleted")
    else:
        message = f"Job {job.name} is being deleted: the next attempt starts once its pods have terminated."
        state = StepState("Active", Reason.PENDING, message)
    state = check_node(job, now, state)
    return StepResult(step, state, _step_status(step, job, state))


def _is_satisfied(step: Step, state: StepState) -> bool:
    """Return whether a Job with an outdated pod template already satisfies the step."""
    return state.succeeded and step.is_satisfied_by(state.model)


def _replace_job(step: Step, job: ObservedJob, observed: Observed, hold: Hold | None) -> StepResult:
    if job.is_finished:
        return _start_attempt(step, observed, hold, job.attempt + 1)
    message = f"Job {job.name} is being replaced (fields of the spec have changed): no action is needed."
    state = StepState("Active", Reason.PENDING, message)
    return StepResult(step, state, _step_status(step, job, state), delete=(job.name,))


def fail_step(result: StepResult, observed: Observed, message: str) -> StepResult:
    """Return the failure of a step whose Job succeeded."""
    assert result.status is not None  # the step had a Job
    state = StepState("Failed", Reason.INTERNAL_ERROR, message, requires_action=True)
    state = _with_retry_command(state, observed)
    return StepResult(result.step, state, result.status.model_copy(update=_failure(state)))


def _count_lost_reports(last: ObservedJob, observed: Observed, now: datetime) -> int:
    """Return the number of complete Jobs without a report, with the same step and pod template as the last Job."""
    purpose = (last.step, last.step_id, last.pod_template_hash)
    complete = (
        job for job in observed.jobs if job.is_complete and (job.step, job.step_id, job.pod_template_hash) == purpose
    )
    return sum(diagnose_job(_context(job, observed, now)) is None for job in complete)


def _reports_lost(count: int) -> StepState:
    message = (
        f"{count} Jobs completed, but their reports were lost (something deletes finished pods at once): "
        "exclude the pods of the operator from the clean-up."
    )
    return StepState("Failed", Reason.INTERNAL_ERROR, message, requires_action=True)


def _merge_previous_message(state: StepState, job: ObservedJob, observed: Observed) -> StepState:
    """Return the state with facts from the recorded status.

    ErrImagePull and ImagePullBackOff alternate: the first message stays, and so does the need for action. If a Job
    reached its deadline while it waited, the message names the cause of the wait.
    """
    ready = observed.status.condition("Ready")
    if ready is None:
        return state
    if state.reason is Reason.IMAGE_PULL_FAILED and ready.reason == state.reason:
        requires_action = state.requires_action or observed.status.is_true("Stalled")
        return replace(state, message=ready.message, requires_action=requires_action)
    has_worked = job.progress_reported_at is not None or any(pod.started_at for pod in job.pods)
    if state.reason is Reason.DEADLINE_EXCEEDED and ready.reason in STARTUP_BLOCKERS and not has_worked:
        meaning = REASONS[state.reason].meaning
        return replace(state, message=sentences(meaning, "No container started in time", ready.message))
    return state


def _with_retry_command(state: StepState, observed: Observed) -> StepState:
    """Return the state of a failure with the command for a retry, if a retry can succeed."""
    if state.outcome != "Failed" or observed.is_deleting or not REASONS[state.reason].retry_can_succeed:
        return state
    command = retry_command(observed.key.namespace, observed.key.name)
    hint = f" To retry after a fix, run `{command}`."
    if command in state.message:
        return state
    return replace(state, message=state.message[: MAX_MESSAGE_LENGTH - len(hint)] + hint)


def _start_attempt(step: Step, observed: Observed, hold: Hold | None, number: int) -> StepResult:
    if hold:
        return StepResult(step, _hold_state(hold, "No Job was created"))
    job = names.job_name(observed.key.name, observed.uid, step.name, step.id, number)
    status = StepStatus(
        name=step.name,
        id=step.id,
        attempt=number,
        pod_template_hash=step.pod_template_hash,
        job=job,
        outcome="Active",
    )
    return StepResult(step, active(step.name), status, create_attempt=number)


def _hold_state(hold: Hold, consequence: str) -> StepState:
    return StepState("Active", hold.reason, sentences(hold.message, consequence, REASONS[hold.reason].advice))


def _step_status(step: Step, job: ObservedJob, state: StepState) -> StepStatus:
    status = StepStatus(
        name=job.step,
        id=step.id,
        attempt=job.attempt,
        pod_template_hash=job.pod_template_hash,
        job=job.name,
        outcome=state.outcome,
    )
    return status.model_copy(update=_failure(state)) if state.outcome == "Failed" else status


def _failure(state: StepState) -> dict[str, object]:
    return {"outcome": "Failed", "reason": state.reason, "message": state.message[:MAX_MESSAGE_LENGTH]}


def _recorded_failure(status: StepStatus) -> StepState:
    """Return the failure recorded in the status; its Job and pods may no longer exist."""
    try:
        reason = Reason(status.reason or "")
    except ValueError:  # written by a later version
        reason = Reason.INTERNAL_ERROR
    return StepState("Failed", reason, status.message or REASONS[reason].meaning, requires_action=True)
