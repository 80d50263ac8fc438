"""Decides the next writes for a TweetModel."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import ScheduleStatus, TweetModelStatus
from tweetmodel_operator.decide import deletion, schedule, status_builder
from tweetmodel_operator.decide.attempts import fail_step, must_delete, reconcile_step
from tweetmodel_operator.decide.diagnosis import check_node
from tweetmodel_operator.decide.job_request import request_job
from tweetmodel_operator.decide.messages import sentences
from tweetmodel_operator.decide.outcomes import with_job_outcomes
from tweetmodel_operator.decide.planning import PlanInputs, plan_steps
from tweetmodel_operator.decide.record import record_result
from tweetmodel_operator.decide.selection import pin_error
from tweetmodel_operator.decide.steps import Hold, Step, StepResult, StepsResult, StepState, hold_for
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import Observed, ObservedJob, PolicyResult, Upstreams
from tweetmodel_operator.times import parse_time

REJECTED_JOB_RETRY_SECONDS = 60.0
"""Time until the next attempt to create a rejected Job, or to apply defaults to an invalid spec."""
UPSTREAM_POLL_SECONDS = 15.0
"""Seconds until an upstream TweetModel without a data set is read again."""


@dataclass(frozen=True)
class Inputs:
    """All inputs of a decision."""

    observed: Observed
    policy: PolicyResult
    upstreams: Upstreams
    now: datetime
    progress_interval_seconds: int
    """Minimum seconds between two status writes that change only the progress."""


def decide(inputs: Inputs) -> Decision:
    """Return the next writes for a TweetModel."""
    return with_job_outcomes(_decide(inputs), inputs.observed, inputs.now)


def _decide(inputs: Inputs) -> Decision:
    observed, now = inputs.observed, inputs.now
    if observed.is_deleting:
        return deletion.decide_deletion(observed, inputs.policy, now)
    if observed.spec is None:
        stalled = status_builder.stalled_status(
            observed.status, observed, Reason.INVALID_SPEC, observed.spec_error, now
        )
        requeue_after = REJECTED_JOB_RETRY_SECONDS if observed.defaultable_fields else None
        return Decision(status=stalled, requeue_after=requeue_after)
    spec = observed.spec
    error = schedule.find_error(spec.schedule, now) or pin_error(spec, observed.status)
    if error:
        return _decide_invalid(inputs, spec, error)
    return _decide_valid(inputs, spec)


def _decide_invalid(inputs: Inputs, spec: TweetModelSpec, error: str) -> Decision:
    """Return the decision about a spec with an error: the error neither creates nor stops a Job.

    Unrelated fields still take effect: a suspension, the finalizer, the policy.
    """
    observed = inputs.observed
    hold = hold_for(spec, inputs.policy)
    if inputs.policy.violation:
        stalled = _not_allowed_status(observed.status, inputs)
    else:
        stalled = status_builder.stalled_status(observed.status, observed, Reason.INVALID_SPEC, error, inputs.now)
    delete = tuple(job.name for job in observed.jobs if must_delete(job, hold) and not job.is_deleting)
    return Decision(
        delete=delete,
        suspend=_suspensions(hold, observed.jobs, delete),
        status=stalled,
        set_finalizer=deletion.finalizer_change(observed, spec),
    )


def _not_allowed_status(decided: TweetModelStatus, inputs: Inputs) -> TweetModelStatus:
    message = sentences(inputs.policy.violation, REASONS[Reason.NOT_ALLOWED].advice)
    return status_builder.stalled_status(decided, inputs.observed, Reason.NOT_ALLOWED, message, inputs.now)


def _decide_valid(inputs: Inputs, spec: TweetModelSpec) -> Decision:
    observed, now = inputs.observed, inputs.now
    hold = hold_for(spec, inputs.policy)
    schedule_status = schedule.advance(spec, observed.status, bool(hold), now)
    steps = _reconcile_steps(inputs, spec, hold, schedule_status)
    new_status = status_builder.build_status(observed, steps, schedule_status, hold, now)
    if inputs.policy.violation:
        new_status = _not_allowed_status(new_status, inputs)
    new_status, progress_due = status_builder.throttle_progress(
        observed.status, new_status, inputs.progress_interval_seconds, now
    )
    delete = (*_superseded_jobs(observed, steps), *(name for result in steps.results for name in result.delete))
    set_ttl = _expirable_jobs(observed) if new_status == observed.recorded_status else ()
    creations = [result for result in steps.results if result.create_attempt is not None]
    wake_ups = [progress_due, schedule.seconds_until_due(spec, new_status, bool(hold), now)]
    wake_ups += [result.state.requeue_after for result in steps.results]
    return Decision(
        delete=delete,
        suspend=_suspensions(hold, observed.jobs, delete),
        create=tuple(request_job(observed, spec, result, inputs.upstreams) for result in creations),
        status=new_status,
        requeue_after=min((seconds for seconds in wake_ups if seconds is not None), default=None),
        set_finalizer=deletion.finalizer_change(observed, spec),
        set_ttl=set_ttl,
    )


def _reconcile_steps(
    inputs: Inputs, spec: TweetModelSpec, hold: Hold | None, schedule_status: ScheduleStatus | None
) -> StepsResult:
    """Reconcile the first incomplete step and plan again, until a step stays incomplete or all are complete."""
    observed, now = inputs.observed, inputs.now
    due_time = parse_time(schedule_status.last_time) if schedule_status else None
    plan_inputs = PlanInputs(observed.key, observed.retry, due_time)
    current, results = observed.status, []
    steps = plan_steps(spec, current, plan_inputs)
    while not steps[-1].is_complete:
        before = current
        current, result = record_result(before, _reconcile(steps[-1], inputs, hold), spec, now)
        replanned = plan_steps(spec, current, plan_inputs)
        if result.state.succeeded and _is_same_step(result.step, replanned[-1]):
            failed = fail_step(result, observed, _explain_missing_result(result.step))
            current, result = record_result(before, failed, spec, now)
        elif result.state.outcome == "Failed" and _has_only_to_publish(result.step, replanned[-1]):
            current, result = _record_failed_publication(current, result, replanned[-1])
            steps = replanned
        results.append(result)
        if not result.state.succeeded:
            break
        steps = replanned
    return StepsResult(current, steps, tuple(results))


def _is_same_step(step: Step, planned: Step) -> bool:
    return not planned.is_complete and (step.name, step.id) == (planned.name, planned.id)


def _has_only_to_publish(failed: Step, planned: Step) -> bool:
    """Return whether a step failed after the model or the samples were finished, so that only publishing remains."""
    is_publish = planned.name == "publish" and planned.id == failed.id
    return failed.name != "publish" and is_publish and not planned.is_complete


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
    message = f"Job {earlier[0].name} is being deleted: the next collection starts once its pods have terminated."
    state = StepState("Active", Reason.PENDING, message)
    return StepResult(collect.step, check_node(earlier[0], now, state))


def _await_upstreams(collect: StepResult, inputs: Inputs) -> StepResult:
    """Return the result of the collect step, without a Job while an upstream TweetModel has no data set."""
    if collect.create_attempt is None:
        return collect
    missing = [f"{name}, which {problem}" for name, problem in inputs.upstreams.items() if isinstance(problem, str)]
    if not missing:
        return collect
    message = f"The posts are not collected yet (waiting for the data set of TweetModel {'; and of '.join(missing)})."
    if inputs.observed.spec and inputs.observed.spec.cleaning.erase:
        message += (
            " New entries of cleaning.erase take effect after the next collection, or once the source is removed."
        )
    state = StepState("Active", Reason.PENDING, message, requeue_after=UPSTREAM_POLL_SECONDS)
    return StepResult(collect.step, state)


def decide_rejected_job(inputs: Inputs, decision: Decision, message: str) -> Decision:
    """Return the decision after the cluster rejected a Job of `decision`: the status shows why, and a retry follows."""
    observed = inputs.observed
    if observed.is_deleting:
        return with_job_outcomes(deletion.decide_rejected_purge(observed, message, inputs.now), observed, inputs.now)
    decided = (decision.status or observed.status).model_copy(update={"steps": observed.status.steps})
    new_status = status_builder.rejected_status(decided, observed, message, inputs.now)
    ended = tuple(outcome for outcome in decision.job_outcomes if outcome.job.name in decision.delete)
    return Decision(status=new_status, requeue_after=REJECTED_JOB_RETRY_SECONDS, job_outcomes=ended)


def _superseded_jobs(observed: Observed, steps: StepsResult) -> tuple[str, ...]:
    """Return active Jobs that no reconciled step needs; their checkpoints stay in storage."""
    needed = {result.step.id for result in steps.results}
    return tuple(job.name for job in observed.jobs if job.is_active and job.step_id not in needed)


def _suspensions(
    hold: Hold | None, jobs: Iterable[ObservedJob], deleted: tuple[str, ...]
) -> tuple[tuple[str, bool], ...]:
    """Return the Jobs to suspend or resume. Jobs that another controller suspends are not changed."""
    remaining = [job for job in jobs if job.is_active and job.name not in deleted]
    if hold:
        return tuple((job.name, True) for job in remaining if not (job.is_suspended or job.is_queued))
    return tuple((job.name, False) for job in remaining if job.is_suspended and job.has_suspend_mark)


def _expirable_jobs(observed: Observed) -> tuple[str, ...]:
    """Return finished Jobs without a TTL; the recorded status must already contain their outcome."""
    return tuple(job.name for job in observed.jobs if job.is_finished and not (job.has_ttl or job.is_deleting))
