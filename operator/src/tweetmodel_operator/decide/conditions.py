"""Writing the status: the whole of it, from what was pursued and what stood there before.

Conditions are as kstatus (sigs.k8s.io/cli-utils) reads them: Reconciling while work goes on, Stalled when
a person must act, Ready when the model of this spec is there. Times come from before where nothing changed,
so the same state gives the same status and no write.
"""

from dataclasses import replace
from typing import Literal

from tweetmodel_api.fields import MAX_MESSAGE_LENGTH
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.status import (
    MAX_SAMPLE_LENGTH,
    MAX_SAMPLES,
    Attempt,
    Condition,
    ConditionType,
    Dataset,
    Progress,
    ScheduleStatus,
    Summary,
    TweetModelStatus,
)
from tweetmodel_operator.decide import runs
from tweetmodel_operator.decide.schedule import is_held_up
from tweetmodel_operator.decide.stages import Pursuit, Verdict, may_pass
from tweetmodel_operator.state import Observed, seconds_between

Truth = Literal["True", "False", "Unknown"]


def status(
    observed: Observed,
    pursuits: tuple[Pursuit, ...],
    dataset: Dataset | None,
    schedule: ScheduleStatus | None,
    now: str,
) -> TweetModelStatus:
    """The whole status after the stages were pursued; the last pursuit is the present one."""
    assert observed.spec is not None  # decide comes here only with a spec it can read
    before = observed.before
    present = pursuits[-1]
    train = present if present.goal.step == "train" else None
    report = train.verdict.report if train and train.verdict.succeeded and not train.verdict.outdone else None
    model = report.model if report and report.model else runs.present_model(before, train)
    samples = report.samples if report else before.samples if model else ()
    attempt = present.attempt or (before.attempt if before.attempt and before.attempt.outcome != "Active" else None)
    same_job = bool(before.attempt and attempt and before.attempt.job == attempt.job)
    working = present.verdict.outcome == "Active"
    under_way = working and same_job and not observed.suspended
    progress = (observed.progress or before.progress) if under_way else None
    after = before.model_copy(
        update={
            "observed_generation": observed.generation,
            "observed_retry": observed.retry or None,
            "collection": pursuits[0].goal.id if dataset else None,
            "dataset": dataset,
            "run": train.goal.id if train else None,
            "attempt": attempt,
            "progress": progress,
            "model": model,
            "samples": tuple(s[:MAX_SAMPLE_LENGTH] for s in samples[:MAX_SAMPLES]),
            "schedule": schedule,
            "runs": runs.record(before.runs, train, observed.spec, dataset, model, now),
        }
    )
    again = schedule.next_time if schedule and not working and not is_held_up(observed.spec, after) else None
    told = f" It looks for new posts at {again}." if again else ""
    after = after.model_copy(update={"conditions": _conditions(before, observed.generation, pursuits, told, now)})
    return after.model_copy(update={"summary": _summary(observed, after, present.verdict)})


def purging(observed: Observed, verdict: Verdict, now: str, attempt: Attempt | None = None) -> TweetModelStatus:
    """The status of a TweetModel that waits to be gone."""
    before = observed.before
    overall = _overall(before, observed.generation, verdict, now)
    update = {"observed_generation": observed.generation, "attempt": attempt, "progress": None}
    return before.model_copy(update=update | {"conditions": _with_stages_of(before, overall)})


def refused(decided: TweetModelStatus, observed: Observed, message: str, now: str) -> TweetModelStatus:
    """The status `decided`, where the cluster does not allow the Job."""
    return stalled(decided, observed, Reason.POD_REFUSED, message, now, needs_person=not may_pass(message))


def stalled(
    decided: TweetModelStatus,
    observed: Observed,
    reason: Reason,
    message: str,
    now: str,
    needs_person: bool = True,
) -> TweetModelStatus:
    """The status `decided`, where something stands in the way of all: what can't be read, is not allowed or refused."""
    verdict = Verdict("Failed", reason, f"{message.rstrip('.')}. {REASONS[reason].advice}", needs_person=needs_person)
    overall = _overall(observed.before, observed.generation, verdict, now)
    told = _with_stages_of(decided, overall)
    update = {"observed_generation": observed.generation, "progress": None, "conditions": told}
    summary = decided.summary and decided.summary.model_copy(update={"progress": None, "eta": None})
    return decided.model_copy(update=update | {"summary": summary})


def throttle(
    before: TweetModelStatus, after: TweetModelStatus, interval: int, now: str
) -> tuple[TweetModelStatus, float | None]:
    """Holds back a change of progress alone until what is shown is `interval` seconds old.

    Returns:
        The status to have, and the seconds after which the rest is due.
    """
    old, new = before.progress, after.progress
    if not (old and new and old.last_updated_time) or old == new:
        return after, None
    if after.model_copy(update={"progress": old, "summary": before.summary}) != before:
        return after, None  # something else changed: progress rides along
    age = seconds_between(old.last_updated_time, now)
    return (before, interval - age) if 0 <= age < interval else (after, None)  # the clock may have been put back


def sentence_of_dataset(status: TweetModelStatus) -> str:
    """What there is to say of the data set that stands: what was said last, if that was of it."""
    said = next((c.message for c in status.conditions if c.type == "DataReady" and c.status == "True"), "")
    data = status.dataset
    if said or not data:
        return said
    return f"{data.kept:,} of {data.downloaded:,} posts kept, {data.characters:,} characters."


def sentence_of_model(status: TweetModelStatus, run: str) -> str:
    """What there is to say of the model that stands, which is this run's: what was said last, if that was of it."""
    said = next((c.message for c in status.conditions if c.type == "Trained" and c.status == "True"), "")
    if (said and status.run == run) or not status.model:
        return said
    scores = status.model.evaluation
    return f"Perplexity on held-out posts went from {scores.perplexity_before} to {scores.perplexity}."


def _conditions(
    before: TweetModelStatus, generation: int, pursuits: tuple[Pursuit, ...], besides: str, now: str
) -> tuple[Condition, ...]:
    collect = pursuits[0].verdict
    train = pursuits[1].verdict if len(pursuits) > 1 else None
    waiting = Verdict("Active", Reason.PENDING, "Training waits for its data set.")
    present = pursuits[-1].verdict
    overall = replace(present, message=present.message[: MAX_MESSAGE_LENGTH - len(besides)] + besides)
    return (
        *_overall(before, generation, overall, now, done=bool(train and train.succeeded)),
        _condition(before, generation, "DataReady", _truth(collect), collect, now),
        _condition(before, generation, "Trained", _truth(train or waiting), train or waiting, now),
    )


def _overall(
    before: TweetModelStatus, generation: int, verdict: Verdict, now: str, done: bool = False
) -> tuple[Condition, ...]:
    stalled = verdict.needs_person
    suspended = verdict.reason is Reason.SUSPENDED
    ready: Truth = "True" if done else "False" if stalled or suspended else "Unknown"
    working = not (done or stalled or suspended)
    return (
        _condition(before, generation, "Ready", ready, verdict, now),
        _condition(before, generation, "Reconciling", "True" if working else "False", verdict, now, brief=not working),
        _condition(before, generation, "Stalled", "True" if stalled else "False", verdict, now, brief=not stalled),
    )


def _with_stages_of(status: TweetModelStatus, overall: tuple[Condition, ...]) -> tuple[Condition, ...]:
    kinds = {condition.type for condition in overall}
    return (*overall, *(condition for condition in status.conditions if condition.type not in kinds))


def _truth(verdict: Verdict) -> Truth:
    truths: dict[str, Truth] = {"Succeeded": "True", "Failed": "False", "Active": "Unknown"}
    return truths[verdict.outcome]


def _condition(
    before: TweetModelStatus,
    generation: int,
    kind: ConditionType,
    truth: Truth,
    verdict: Verdict,
    now: str,
    brief: bool = False,
) -> Condition:
    old = before.condition(kind)
    message = "" if brief else verdict.message[:MAX_MESSAGE_LENGTH]
    if old and (old.status, old.reason, old.message, old.observed_generation) == (
        truth,
        verdict.reason,
        message,
        generation,
    ):
        return old
    return Condition(
        type=kind,
        status=truth,
        reason=verdict.reason,
        message=message,
        last_transition_time=old.last_transition_time if old and old.status == truth else now,
        observed_generation=generation,
    )


def _summary(observed: Observed, after: TweetModelStatus, verdict: Verdict) -> Summary:
    assert observed.spec is not None
    progress, model = after.progress, after.model if verdict.succeeded else None
    metrics = {metric.name: metric.value for metric in progress.metrics} if progress else {}
    percentage = 100 if verdict.succeeded else progress.progress_percentage if progress else None
    return Summary(
        handles=", ".join(source.handle for source in observed.spec.sources),
        progress=f"{percentage}%" if percentage is not None else None,
        eta=_duration(progress),
        loss=model.evaluation.loss if model else metrics.get("loss"),
        perplexity=model.evaluation.perplexity if model else metrics.get("perplexity"),
        tweets=after.dataset.kept if after.dataset else None,
    )


def _duration(progress: Progress | None) -> str | None:
    seconds = progress.estimated_remaining_seconds if progress else None
    if seconds is None:
        return None
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{seconds % 60}s" if minutes else f"{seconds}s"
