"""Decides the next writes for a TweetModel: pure functions over frozen values, without clock, network and environment.

`decide` plans the steps of the spec (`plan_steps`), reconciles the first incomplete step with the Jobs (`attempts`,
`diagnosis`), records the result (`record`, `history`) and plans again until a step is incomplete or all are complete.
Then it writes the status (`status`), and suspends or deletes unneeded Jobs. `schedule` decides about due times,
`deletion` about the deletion of a TweetModel.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import ScheduleStatus, TweetModelStatus
from tweetmodel_operator.decide import deletion, schedule, status
from tweetmodel_operator.decide.attempts import fail_step, must_delete, reconcile_step
from tweetmodel_operator.decide.diagnosis import check_node, has_missing_pod
from tweetmodel_operator.decide.outcomes import with_job_outcomes
from tweetmodel_operator.decide.plan_steps import Request, plan_steps
from tweetmodel_operator.decide.record import record_result
from tweetmodel_operator.decide.requests import request_job
from tweetmodel_operator.decide.selection import pin_error
from tweetmodel_operator.decide.steps import Hold, Step, StepResult, StepState, hold_for
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import Observed, ObservedJob, PolicyResult, Upstreams
from tweetmodel_operator.times import parse_time

__all__ = ["Inputs", "decide", "has_missing_pod", "rejected"]

REJECTED_SECONDS = 60.0
"""Time until the next attempt to create a rejected Job, or to apply defaults to an invalid spec."""
UPSTREAM_SECONDS = 15.0
"""Time until the next look at an upstream TweetModel without a data set."""


@dataclass(frozen=True)
class Inputs:
    """All inputs of a decision."""

    observed: Observed
    policy: PolicyResult
    upstreams: Upstreams
    now: datetime
    progress_interval: int
    """Seconds; a change of progress alone is written once the shown progress is this old."""


def decide(inputs: Inputs) -> Decision:
    """Return the next writes for a TweetModel."""
    return with_job_outcomes(_decide(inputs), inputs.observed, inputs.now)


def _decide(inputs: Inputs) -> Decision:
    observed, now = inputs.observed, inputs.now
    if observed.is_deleting:
        return deletion.decide(observed, inputs.policy, now)
    if observed.spec is None:
        stalled = status.stalled(observed.status, observed, Reason.INVALID_SPEC, observed.spec_error, now)
        requeue_after = REJECTED_SECONDS if observed.defaultable_fields else None
        return Decision(status=stalled, requeue_after=requeue_after)
    spec = observed.spec
    error = schedule.find_error(spec.schedule, now) or pin_error(spec, observed.status)
    if error:
        return _decide_invalid(inputs, spec, error)
    return _decide_valid(inputs, spec)


def _decide_invalid(inputs: Inputs, spec: TweetModelSpec, error: str) -> Decision:
    """Return the decision about a spec with an error: no Job is created or lost because of the error.

    Unrelated fields still take effect: a suspension, the finalizer, the policy.
    """
    observed, violation = inputs.observed, inputs.policy.violation
    hold = hold_for(spec, inputs.policy)
    reason, message = (Reason.NOT_ALLOWED, violation) if violation else (Reason.INVALID_SPEC, error)
    delete = tuple(job.name for job in observed.jobs if must_delete(job, hold) and not job.is_deleting)
    return Decision(
        delete=delete,
        suspend=_suspensions(hold, observed.jobs, delete),
        status=status.stalled(observed.status, observed, reason, message, inputs.now),
        set_finalizer=deletion.finalizer_change(observed, spec),
    )


def _decide_valid(inputs: Inputs, spec: TweetModelSpec) -> Decision:
    observed, now = inputs.observed, inputs.now
    hold = hold_for(spec, inputs.policy)
    schedule_status = schedule.advance(spec, observed.status, bool(hold), now)
    outcome = _run_plan(inputs, spec, hold, schedule_status)
    new_status = status.build(observed, outcome.progress, schedule_status, hold, now)
    if inputs.policy.violation:
        new_status = status.stalled(new_status, observed, Reason.NOT_ALLOWED, inputs.policy.violation, now)
    new_status, progress_due = status.throttle_progress(observed.status, new_status, inputs.progress_interval, now)
    delete = (*_superseded_jobs(observed, outcome.active_ids), *outcome.deletions)
    set_ttl = _expirable_jobs(observed) if new_status == observed.recorded_status else ()
    wake_ups = [progress_due, schedule.seconds_until_due(spec, new_status, bool(hold), now), *outcome.wake_ups]
    return Decision(
        delete=delete,
        suspend=_suspensions(hold, observed.jobs, delete),
        create=tuple(request_job(observed, spec, result, inputs.upstreams) for result in outcome.creations),
        status=new_status,
        requeue_after=min((seconds for seconds in wake_ups if seconds is not None), default=None),
        set_finalizer=deletion.finalizer_change(observed, spec),
        set_ttl=set_ttl,
    )


@dataclass(frozen=True)
class _PlanOutcome:
    progress: status.PlanProgress
    results: tuple[StepResult, ...]

    @property
    def active_ids(self) -> set[str]:
        """Ids of the steps with Jobs to keep."""
        return {result.step.id for result in self.results}

    @property
    def deletions(self) -> tuple[str, ...]:
        return tuple(name for result in self.results for name in result.delete)

    @property
    def creations(self) -> list[StepResult]:
        return [result for result in self.results if result.create_attempt is not None]

    @property
    def wake_ups(self) -> list[float | None]:
        return [result.state.requeue_after for result in self.results]


def _run_plan(
    inputs: Inputs, spec: TweetModelSpec, hold: Hold | None, schedule_status: ScheduleStatus | None
) -> _PlanOutcome:
    """Reconcile the first incomplete step and plan again, until a step stays incomplete or all are complete."""
    observed, now = inputs.observed, inputs.now
    due_time = parse_time(schedule_status.last_time) if schedule_status else None
    request = Request(observed.key, observed.retry, due_time)
    current, results = observed.status, []
    steps = plan_steps(spec, current, request)
    while not steps[-1].is_complete:
        before = current
        current, result = record_result(before, _reconcile(steps[-1], inputs, hold), spec, now)
        replanned = plan_steps(spec, current, request)
        if result.state.is_complete and _is_same_step(result.step, replanned[-1]):
            failed = fail_step(result, observed, _explain_missing_result(result.step))
            current, result = record_result(before, failed, spec, now)
        elif result.state.outcome == "Failed" and _has_only_to_publish(result.step, replanned[-1]):
            current, result = _record_failed_publication(current, result, replanned[-1])
            steps = replanned
        results.append(result)
        if not result.state.is_complete:
            break
        steps = replanned
    progress = status.PlanProgress(current, steps, tuple(results))
    return _PlanOutcome(progress, tuple(results))


def _is_same_step(step: Step, planned: Step) -> bool:
    return not planned.is_complete and (step.name, step.id) == (planned.name, planned.id)


def _has_only_to_publish(failed: Step, planned: Step) -> bool:
    """Return whether a step failed after the model or the samples were finished, so that only publishing remains."""
    return failed.name != "publish" and planned.name == "publish" and planned.id == failed.id


def _explain_missing_result(step: Step) -> str:
    return (
        f"The report of the {step.name} step lacks its result (the trainer image may be of another version). "
        "Check spec.podTemplate.image and the chart's trainer.image."
    )


def _record_failed_publication(
    current: TweetModelStatus, result: StepResult, publish: Step
) -> tuple[TweetModelStatus, StepResult]:
    """Return status and result after a Job finished its model and failed to publish the model.

    The failed attempt counts for the publish step: the publication is retried on request only.
    """
    assert result.status is not None  # a failed step had a Job
    changes = {"name": "publish", "pod_template_hash": publish.pod_template_hash}
    failure = result.status.model_copy(update=changes)
    runs = tuple(
        run.model_copy(update={"failure": failure}) if run.id == publish.id and run.failure else run
        for run in current.runs
    )
    return current.model_copy(update={"runs": runs}), replace(result, status=failure)


def _reconcile(step: Step, inputs: Inputs, hold: Hold | None) -> StepResult:
    result = reconcile_step(step, inputs.observed, hold, inputs.now)
    if step.name == "collect" and result.create_attempt is not None:
        return _await_upstreams(_await_earlier_collection(result, inputs), inputs)
    return result


def _await_earlier_collection(collect: StepResult, inputs: Inputs) -> StepResult:
    """Return the result of the collect step, without a Job while an earlier collection still writes to the folder."""
    observed, now = inputs.observed, inputs.now
    earlier = [job for job in observed.jobs if job.step == "collect" and not job.is_finished]
    if not earlier:
        return collect
    message = f"Job {earlier[0].name} of an earlier collection is being deleted: the next one starts afterwards."
    state = StepState("Active", Reason.PENDING, message)
    return StepResult(collect.step, check_node(earlier[0], now, state))


def _await_upstreams(collect: StepResult, inputs: Inputs) -> StepResult:
    """Return the result of the collect step, without a Job while an upstream TweetModel has no data set."""
    if collect.create_attempt is None:
        return collect
    missing = [f"{name}, which {problem}" for name, problem in inputs.upstreams.items() if isinstance(problem, str)]
    if not missing:
        return collect
    message = f"Collecting waits for the data set of TweetModel {'; and of '.join(missing)}."
    if inputs.observed.spec and inputs.observed.spec.cleaning.erase:
        message += " New entries of cleaning.erase take effect afterwards, or once the source is removed."
    state = StepState("Active", Reason.PENDING, message, requeue_after=UPSTREAM_SECONDS)
    return StepResult(collect.step, state)


def rejected(inputs: Inputs, decision: Decision, message: str) -> Decision:
    """Return the decision after the cluster rejected a Job of `decision`: the status shows why, and a retry follows."""
    observed = inputs.observed
    if observed.is_deleting:
        return with_job_outcomes(deletion.rejected(observed, message, inputs.now), observed, inputs.now)
    decided = (decision.status or observed.status).model_copy(update={"steps": observed.status.steps})
    new_status = status.rejected(decided, observed, message, inputs.now)
    ended = tuple(outcome for outcome in decision.job_outcomes if outcome.job.name in decision.delete)
    return Decision(status=new_status, requeue_after=REJECTED_SECONDS, job_outcomes=ended)


def _superseded_jobs(observed: Observed, active_ids: set[str]) -> tuple[str, ...]:
    """Return active Jobs without a planned step; their checkpoints stay in storage."""
    return tuple(job.name for job in observed.jobs if job.is_active and job.step_id not in active_ids)


def _suspensions(
    hold: Hold | None, jobs: Iterable[ObservedJob], deleted: tuple[str, ...]
) -> tuple[tuple[str, bool], ...]:
    """Return suspensions required by the hold; Jobs of another controller are left alone."""
    remaining = [job for job in jobs if job.is_active and job.name not in deleted]
    if hold:
        return tuple((job.name, True) for job in remaining if not (job.is_suspended or job.is_queued))
    return tuple((job.name, False) for job in remaining if job.is_suspended and job.has_suspend_mark)


def _expirable_jobs(observed: Observed) -> tuple[str, ...]:
    """Return finished Jobs without a TTL; the recorded status must already contain their outcome."""
    return tuple(job.name for job in observed.jobs if job.is_finished and not (job.has_ttl or job.is_deleting))
