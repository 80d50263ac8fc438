"""Builds the status: one builder for each section.

Conditions follow kstatus (sigs.k8s.io/cli-utils): Reconciling while work is in progress, Stalled when a person must
act, Ready when the model of this spec exists. Times of unchanged conditions are kept, so that the same state gives the
same status and no write.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from tweetmodel_api.fields import MAX_MESSAGE_LENGTH
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.status import (
    Condition,
    ConditionType,
    Progress,
    ScheduleStatus,
    StepStatus,
    Summary,
    TweetModelStatus,
)
from tweetmodel_operator.decide.history import RunHistory
from tweetmodel_operator.decide.messages import sentences
from tweetmodel_operator.decide.schedule import is_delayed
from tweetmodel_operator.decide.steps import Hold, Step, StepsResult, StepState
from tweetmodel_operator.observed import Observed
from tweetmodel_operator.rejections import is_transient_rejection
from tweetmodel_operator.times import format_time, parse_time, seconds_between

ConditionStatus = Literal["True", "False", "Unknown"]

_STATUS_OF_OUTCOME: dict[str, ConditionStatus] = {"Succeeded": "True", "Failed": "False", "Active": "Unknown"}


def build_status(
    observed: Observed, plan: StepsResult, schedule: ScheduleStatus | None, hold: Hold | None, now: datetime
) -> TweetModelStatus:
    """Return the complete status after the steps were reconciled.

    Args:
        observed: the TweetModel.
        plan: the steps and their results.
        schedule: status of the schedule.
        hold: why no Job may run, or None.
        now: the time.
    """
    steps = _build_steps(observed.status, plan)
    status = plan.recorded.model_copy(
        update={
            "observed_generation": observed.generation,
            "observed_retry": observed.retry or None,
            "run": plan.run,
            "steps": steps,
            "progress": _build_progress(observed, plan, steps, hold),
            "schedule": schedule,
            "runs": _build_runs(observed, plan, now).runs,
        }
    )
    suffix = _schedule_suffix(observed, status, plan, hold)
    status = status.model_copy(update={"conditions": _build_conditions(observed, plan, suffix, now)})
    return status.model_copy(update={"summary": _build_summary(observed, status, plan.overall_state)})


def _build_steps(before: TweetModelStatus, plan: StepsResult) -> tuple[StepStatus, ...]:
    """Return the last attempt of each planned step: from this reconcile, else the recorded attempt."""
    recorded = {entry.name: entry for entry in before.steps}
    kept = [_update_entry(recorded[step.name], step) for step in plan.steps if step.name in recorded]
    entries = {entry.name: entry for entry in kept}
    entries |= {result.status.name: result.status for result in plan.results if result.status}
    return tuple(entries.values())


def _update_entry(recorded: StepStatus, step: Step) -> StepStatus:
    """Return the recorded attempt, which is superseded if the planned step does not depend on it anymore."""
    is_relevant = recorded.outcome == "Succeeded" or not step.is_complete
    if recorded.id == step.id and is_relevant:
        return recorded
    return recorded.model_copy(update={"outcome": "Superseded", "reason": None, "message": None})


def _build_progress(
    observed: Observed, plan: StepsResult, steps: tuple[StepStatus, ...], hold: Hold | None
) -> Progress | None:
    """Return the progress of the active step; None for a new Job, or during a hold."""
    before = observed.active_step()
    active = next((step for step in steps if step.outcome == "Active"), None)
    if hold or before is None or active is None or before.job != active.job:
        return None
    return observed.progress or observed.status.progress


def _build_runs(observed: Observed, plan: StepsResult, now: datetime) -> RunHistory:
    history = RunHistory(plan.recorded.runs).superseded(plan.run, now)
    model = plan.recorded.model
    current = history.current(model)
    is_pinned = observed.spec is not None and observed.spec.pinned_run is not None
    if plan.is_complete and current and current.outcome == "NotImproved" and not is_pinned:
        history = history.with_best(current.id)  # the better model was deleted from storage
    return history.truncated(model)


def _schedule_suffix(observed: Observed, status: TweetModelStatus, plan: StepsResult, hold: Hold | None) -> str:
    """Return a sentence about the next due time of an idle TweetModel."""
    assert observed.spec is not None  # a status is built for a readable spec only
    if plan.overall_state.outcome == "Active" or status.schedule is None or status.schedule.next_time is None:
        return ""
    if is_delayed(observed.spec, status, bool(hold)):
        return ""
    return f" The next collection is due at {status.schedule.next_time}."


def _build_conditions(observed: Observed, plan: StepsResult, suffix: str, now: datetime) -> tuple[Condition, ...]:
    overall = plan.overall_state
    overall = replace(overall, message=overall.message[: MAX_MESSAGE_LENGTH - len(suffix)] + suffix)
    writer = _ConditionWriter(observed.status, observed.generation, format_time(now))
    return (
        *writer.overall(overall, "True" if plan.is_complete else None),
        writer.write("DataReady", _STATUS_OF_OUTCOME[plan.collect_state.outcome], plan.collect_state),
        writer.write("Trained", _STATUS_OF_OUTCOME[plan.train_state.outcome], plan.train_state),
    )


@dataclass(frozen=True)
class _ConditionWriter:
    before: TweetModelStatus
    generation: int
    now: str

    def overall(self, state: StepState, ready: ConditionStatus | None = None) -> tuple[Condition, ...]:
        """Return Ready, Reconciling and Stalled.

        Args:
            state: the state of the TweetModel.
            ready: status of Ready; by default False if the TweetModel is stalled or suspended, else Unknown.
        """
        is_waiting = state.requires_action or state.reason is Reason.SUSPENDED
        if ready is None:
            ready = "False" if is_waiting else "Unknown"
        return (
            self.write("Ready", ready, state),
            self._write_flag("Reconciling", ready != "True" and not is_waiting, state),
            self._write_flag("Stalled", state.requires_action, state),
        )

    def _write_flag(self, kind: ConditionType, is_true: bool, state: StepState) -> Condition:
        """Return a condition that has a message only while it is True."""
        if is_true:
            return self.write(kind, "True", state)
        return self.write(kind, "False", replace(state, message=""))

    def write(self, kind: ConditionType, status: ConditionStatus, state: StepState) -> Condition:
        """Return a condition, with the time of its last transition."""
        old = self.before.condition(kind)
        transition_time = self.now
        if old and old.status == status:
            transition_time = old.last_transition_time
        return Condition(
            type=kind,
            status=status,
            reason=state.reason,
            message=state.message[:MAX_MESSAGE_LENGTH],
            last_transition_time=transition_time,
            observed_generation=self.generation,
        )


def _build_summary(observed: Observed, status: TweetModelStatus, state: StepState) -> Summary:
    assert observed.spec is not None  # a status is built for a readable spec only
    summary = Summary(
        handles=", ".join(source.handle for source in observed.spec.sources),
        tweets=status.dataset and status.dataset.kept,
    )
    if state.succeeded:
        return summary.model_copy(update={"progress": "100%"} | _final_metrics(status))
    if status.progress:
        return summary.model_copy(update=_live_columns(status.progress))
    return summary


def _final_metrics(status: TweetModelStatus) -> dict[str, object]:
    if status.model is None:
        return {}
    evaluation = status.model.evaluation
    return {"loss": evaluation.loss, "perplexity": evaluation.perplexity}


def _live_columns(progress: Progress) -> dict[str, object]:
    metrics = {metric.name: metric.value for metric in progress.metrics}
    columns: dict[str, object] = {
        "eta": _format_duration(progress.estimated_remaining_seconds),
        "loss": metrics.get("loss"),
        "perplexity": metrics.get("perplexity"),
    }
    if progress.progress_percentage is not None:
        columns["progress"] = f"{progress.progress_percentage}%"
    return columns


def _format_duration(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours:
        return f"{hours}h{minutes}m"
    if minutes:
        return f"{minutes}m{seconds % 60}s"
    return f"{seconds}s"


def purging_status(
    observed: Observed,
    state: StepState,
    now: datetime,
    steps: Iterable[StepStatus] = (),
    ready: ConditionStatus | None = None,
) -> TweetModelStatus:
    """Return the status of a TweetModel in deletion."""
    overall = _ConditionWriter(observed.status, observed.generation, format_time(now)).overall(state, ready)
    changes = {
        "observed_generation": observed.generation,
        "steps": tuple(steps),
        "progress": None,
        "conditions": _with_step_conditions(observed.status, overall),
    }
    return observed.status.model_copy(update=changes)


def rejected_status(decided: TweetModelStatus, observed: Observed, message: str, now: datetime) -> TweetModelStatus:
    """Return the status `decided` after the cluster rejected a Job."""
    requires_action = not is_transient_rejection(message)
    message = sentences(message, REASONS[Reason.POD_REFUSED].advice)
    return stalled_status(decided, observed, Reason.POD_REFUSED, message, now, requires_action=requires_action)


def stalled_status(
    decided: TweetModelStatus,
    observed: Observed,
    reason: Reason,
    message: str,
    now: datetime,
    requires_action: bool = True,
) -> TweetModelStatus:
    """Return the status `decided` with a blocking problem: an invalid, forbidden or rejected spec.

    Args:
        decided: the status without the problem.
        observed: the TweetModel.
        reason: reason of Ready.
        message: the problem and its remedy.
        now: the time.
        requires_action: True if a person must act.
    """
    state = StepState("Failed", reason, sentences(message), requires_action=requires_action)
    overall = _ConditionWriter(observed.status, observed.generation, format_time(now)).overall(state)
    summary = decided.summary and decided.summary.model_copy(update={"progress": None, "eta": None})
    changes = {
        "observed_generation": observed.generation,
        "progress": None,
        "conditions": _with_step_conditions(decided, overall),
        "summary": summary,
    }
    return decided.model_copy(update=changes)


def _with_step_conditions(status: TweetModelStatus, overall: tuple[Condition, ...]) -> tuple[Condition, ...]:
    types = {condition.type for condition in overall}
    return (*overall, *(condition for condition in status.conditions if condition.type not in types))


def throttle_progress(
    before: TweetModelStatus, after: TweetModelStatus, interval: int, now: datetime
) -> tuple[TweetModelStatus, float | None]:
    """Delay a status write that would change only the progress until the recorded progress is `interval` seconds old.

    Returns:
        The status to write, and the seconds until the delayed progress is written; None without a delay.
    """
    old, new = before.progress, after.progress
    if old is None or new is None or old == new:
        return after, None
    shown_at = parse_time(old.last_updated_time)
    if shown_at is None or after.model_copy(update={"progress": old, "summary": before.summary}) != before:
        return after, None
    age = seconds_between(shown_at, now)
    if 0 <= age < interval:  # a negative age means that the clock was set back
        return before, interval - age
    return after, None
