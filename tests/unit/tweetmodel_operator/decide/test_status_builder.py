"""Builders of the status: conditions, steps, progress, summary and history."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.timeline import DAILY, MIDNIGHT, MONDAY, PUBLISHED, Timeline, pin_worse_run
from makers import (
    DIGEST,
    NOW,
    collected_status,
    condition,
    decided,
    failure,
    finished_status,
    job,
    message,
    model,
    observed,
    run_entry,
    spec,
    status_after,
    success,
    time,
)
from tweetmodel_api.fields import MAX_MESSAGE_LENGTH
from tweetmodel_api.identities import run_id
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.status import Metric, Progress, Summary, TweetModelStatus
from tweetmodel_operator.decide import status_builder
from tweetmodel_operator.decide.steps import StepState
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import PolicyResult

LATER = "2026-11-23T13:00:00Z"
TYPES = ("Ready", "Reconciling", "Stalled", "DataReady", "Trained")
RUN = run_id(spec(), DIGEST)


def statuses(of: TweetModelStatus) -> dict[str, str]:
    return {found.type: found.status for found in of.conditions}


def reasons(of: TweetModelStatus) -> dict[str, str]:
    return {found.type: found.reason for found in of.conditions}


# Conditions


CONDITIONS = {
    "collecting": (observed(), ("Unknown", "True", "False", "Unknown", "Unknown")),
    "training": (
        observed(job("train").running(), status=collected_status()),
        ("Unknown", "True", "False", "True", "Unknown"),
    ),
    "ready": (observed(status=finished_status()), ("True", "False", "False", "True", "True")),
    "collection-failed": (
        observed(job().pod_ended(65, failure(Reason.NOT_ENOUGH_TWEETS)).failed()),
        ("False", "False", "True", "False", "Unknown"),
    ),
    "training-failed": (
        observed(job("train").pod_ended(78, failure(Reason.DIVERGED)).failed(), status=collected_status()),
        ("False", "False", "True", "True", "False"),
    ),
    "suspended": (
        observed(of=spec(suspend=True), status=collected_status()),
        ("False", "False", "False", "True", "Unknown"),
    ),
    "blocked": (
        observed(job().waiting("ImagePullBackOff", "no")),
        ("False", "False", "True", "Unknown", "Unknown"),
    ),
    "sampling": (
        observed(of=spec(generation={"temperature": "0.5"}), status=finished_status()),
        ("Unknown", "True", "False", "True", "True"),
    ),
}


@pytest.mark.parametrize(("now_observed", "expected"), CONDITIONS.values(), ids=CONDITIONS)
def test_conditions_follow_kstatus(now_observed: Any, expected: tuple[str, ...]) -> None:
    assert statuses(status_after(now_observed)) == dict(zip(TYPES, expected, strict=True))


def test_reconciling_and_stalled_have_a_message_only_while_they_are_true() -> None:
    active = status_after(observed())
    assert active.condition("Reconciling").message == REASONS[Reason.COLLECTING].meaning
    assert active.condition("Stalled").message == ""
    failed = status_after(observed(job().pod_ended(65, failure(Reason.NOT_ENOUGH_TWEETS)).failed()))
    assert failed.condition("Reconciling").message == ""
    assert failed.condition("Stalled").message == failure(Reason.NOT_ENOUGH_TWEETS).message


def test_the_transition_time_of_a_condition_is_that_of_its_last_change() -> None:
    first = decided(observed())
    retried = job().pod_ended(75, failure(Reason.STORAGE_UNREACHABLE, "No answer."))
    second = decided(observed(retried, status=first.status), LATER)
    assert "No answer." in message(second)
    assert second.status
    assert {found.last_transition_time for found in second.status.conditions} == {NOW}


def test_a_changed_condition_has_the_time_of_the_change() -> None:
    collected = status_after(observed(job().complete(success(dataset=collected_status().dataset))), LATER)
    earlier = status_after(observed())
    after = status_after(observed(job().complete(success(dataset=collected.dataset)), status=earlier), LATER)
    assert after.condition("DataReady").last_transition_time == LATER
    assert after.condition("Ready").last_transition_time == NOW


def test_conditions_refer_to_the_observed_generation() -> None:
    after = status_after(observed(status=finished_status(), generation=7))
    assert after.observed_generation == 7
    assert {found.observed_generation for found in after.conditions} == {7}


def test_a_collection_without_enough_posts_stalls_before_any_training() -> None:
    report = failure(Reason.NOT_ENOUGH_TWEETS, "@ada has 5,120 characters and needs 6,000: add a source.")
    decision = decided(observed(job().pod_ended(65, report).failed()))
    assert decision.create == ()
    assert condition(decision) == ("False", "NotEnoughTweets")
    assert condition(decision, "Stalled") == ("True", "NotEnoughTweets")
    assert condition(decision, "DataReady") == ("False", "NotEnoughTweets")
    assert "5,120" in message(decision)


def test_training_starts_after_the_collection() -> None:
    decision = decided(observed())
    assert condition(decision, "Trained") == ("Unknown", "Pending")
    assert message(decision, "Trained") == "Training has not started (the data set is not ready yet)."


def test_trained_stays_true_while_the_model_is_published() -> None:
    timeline = Timeline()
    timeline.finish_first_run()
    timeline.change_spec(**PUBLISHED)
    timeline.reconcile(MONDAY)
    assert (timeline.recorded.is_true("Trained"), timeline.is_ready) == (True, False)
    timeline.fail(MONDAY, Reason.HUB_DENIED)
    assert (timeline.recorded.is_true("Trained"), timeline.recorded.is_true("Stalled")) == (True, True)


def test_a_temporary_failure_is_shown_during_the_retry() -> None:
    decision = decided(observed(job().pod_ended(75, failure(Reason.STORAGE_UNREACHABLE, "No answer."))))
    assert condition(decision) == ("Unknown", "StorageUnreachable")
    assert condition(decision, "Stalled")[0] == "False"
    assert "The Job retries." in message(decision)


def test_a_long_message_is_cut_before_the_next_due_time() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.reconcile(MIDNIGHT)
    timeline.fail(MIDNIGHT, Reason.NOT_ENOUGH_TWEETS, message="x" * MAX_MESSAGE_LENGTH)
    assert len(timeline.message()) == MAX_MESSAGE_LENGTH
    assert timeline.message().endswith(f"x The next collection is due at {MONDAY}.")


# Steps


def test_the_status_contains_the_last_attempt_of_each_planned_step() -> None:
    after = collected_status()
    assert [(step.name, step.attempt, step.outcome) for step in after.steps] == [
        ("collect", 1, "Succeeded"),
        ("train", 1, "Active"),
    ]
    assert [(step.name, step.outcome) for step in finished_status().steps] == [
        ("collect", "Succeeded"),
        ("train", "Succeeded"),
    ]


def test_a_failed_step_contains_reason_and_message() -> None:
    (step,) = status_after(observed(job().pod_ended(65, failure(Reason.NOT_ENOUGH_TWEETS)).failed())).steps
    assert (step.outcome, step.reason) == ("Failed", "NotEnoughTweets")
    assert step.message == failure(Reason.NOT_ENOUGH_TWEETS).message


def test_steps_of_a_previous_spec_are_dropped() -> None:
    other = spec(sources=[{"handle": "bob", "archive": {"uri": "s3://bucket/bob.zip"}}])
    assert [step.name for step in status_after(observed(of=other, status=finished_status())).steps] == ["collect"]


# Runs


def test_the_status_names_the_run_of_the_spec() -> None:
    assert status_after(observed()).run is None
    assert collected_status().run == RUN


def test_new_sources_supersede_the_active_run() -> None:
    other = spec(sources=[{"handle": "bob", "archive": {"uri": "s3://bucket/bob.zip"}}])
    before = status_after(observed(status=collected_status()))
    after = status_after(observed(job("train").running(), of=other, status=before))
    assert [run.outcome for run in after.runs] == ["Superseded"]


def test_the_current_run_is_promoted_once_the_better_model_is_missing() -> None:
    timeline, worse, _ = pin_worse_run()
    timeline.change_spec(schedule=DAILY)
    timeline.reconcile(MONDAY)
    timeline.fail(MONDAY, Reason.RUN_MISSING)
    timeline.reconcile(MONDAY)
    assert (timeline.runs[0].id, timeline.runs[0].outcome) == (worse.id, "Succeeded")


# Progress and summary


def progress_at(second: int, percentage: int | None = None) -> Progress:
    at = f"2026-11-23T12:00:{second:02d}Z"
    return Progress(progress_percentage=second if percentage is None else percentage, last_updated_time=at)


def test_progress_is_shown_in_the_summary_until_the_job_changes() -> None:
    reported = Progress(
        progress_percentage=45,
        estimated_remaining_seconds=83,
        metrics=(Metric(name="loss", value="3.21"),),
        last_updated_time=NOW,
    )
    after = status_after(observed(job("train").running(), status=collected_status(), progress=reported))
    assert after.summary
    assert (after.summary.progress, after.summary.eta, after.summary.loss) == ("45%", "1m23s", "3.21")
    next_run = status_after(observed(of=spec(training={"epochs": 9}), status=after))
    assert next_run.progress is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m0s"), (3599, "59m59s"), (3600, "1h0m"), (90061, "25h1m")]
)
def test_the_remaining_time_is_shown_in_two_units(seconds: int, text: str) -> None:
    reported = Progress(estimated_remaining_seconds=seconds, last_updated_time=NOW)
    after = status_after(observed(job("train").running(), status=collected_status(), progress=reported))
    assert after.summary
    assert (after.summary.eta, after.summary.progress) == (text, None)


def test_the_summary_of_a_finished_run_shows_its_evaluation() -> None:
    assert finished_status().summary == Summary(
        handles="ada", progress="100%", loss="2.5", perplexity="12.2", tweets=2633
    )


def test_the_summary_names_all_accounts() -> None:
    sources = [{"handle": name, "s3": {"uri": f"s3://bucket/{name}"}} for name in ("ada", "bob")]
    summary = status_after(observed(of=spec(sources=sources))).summary
    assert summary == Summary(handles="ada, bob")


def test_a_suspended_tweetmodel_shows_no_progress() -> None:
    before = collected_status().model_copy(update={"progress": progress_at(0, 40)})
    suspended = job("train").suspended(by_operator=True)
    assert status_after(observed(suspended, of=spec(suspend=True), status=before)).progress is None


def test_a_hundred_percent_does_not_make_a_tweetmodel_ready() -> None:
    reported = progress_at(0, 100)
    decision = decided(observed(job("train").running(), status=collected_status(), progress=reported))
    assert condition(decision) == ("Unknown", "Training")


def test_a_change_of_progress_alone_is_written_every_ten_seconds() -> None:
    def decision_at(second: int, reported: int, before: TweetModelStatus | None) -> Decision:
        now_observed = observed(job("train").running(), status=before, progress=progress_at(reported))
        return decided(now_observed, f"2026-11-23T12:00:{second:02d}Z")

    def percentage(decision: Decision) -> int | None:
        assert decision.status
        assert decision.status.progress
        return decision.status.progress.progress_percentage

    shown = decision_at(11, 10, collected_status()).status
    withheld = decision_at(13, 12, shown)
    assert withheld.status == shown
    assert withheld.requeue_after == 7
    written = decision_at(20, 12, shown)
    assert percentage(written) == 12, "although no later progress was reported"
    assert percentage(decision_at(5, 5, written.status)) == 5, "the clock was set back"


def test_another_change_is_written_at_once_with_the_progress() -> None:
    before = collected_status().model_copy(update={"progress": progress_at(10)})
    after = before.model_copy(update={"progress": progress_at(12), "observed_generation": 2})
    assert status_builder.throttle_progress(before, after, 10, time("2026-11-23T12:00:13Z")) == (after, None)


# Problems that prevent all work


def test_an_unreadable_spec_stalls_and_names_the_field() -> None:
    decision = decided(replace(observed(), spec=None, spec_error="spec.training.epochs: too many"))
    assert condition(decision, "Stalled") == ("True", "InvalidSpec")
    assert message(decision) == "spec.training.epochs: too many."


def test_a_violation_stalls_and_keeps_the_results() -> None:
    violation = "spec.podTemplate.image x is not one of the images that this cluster allows"
    decision = decided(observed(status=finished_status()), policy=PolicyResult(violation))
    assert condition(decision, "Stalled") == ("True", "NotAllowed")
    assert message(decision).startswith(f"{violation}. Remove the field")
    assert decision.status
    assert decision.status.model == model(RUN)


@pytest.mark.parametrize(
    ("cause", "is_stalled"),
    [("exceeded quota: jobs", "False"), ("denied the request", "True")],
    ids=["quota", "policy"],
)
def test_a_rejected_job_stalls_unless_the_rejection_is_transient(cause: str, is_stalled: str) -> None:
    rejected = status_builder.rejected_status(collected_status(), observed(), cause, time(NOW))
    assert rejected.condition("Stalled").status == is_stalled
    assert rejected.condition("Ready").message == f"{cause}. {REASONS[Reason.POD_REFUSED].advice}"
    assert rejected.condition("DataReady") == collected_status().condition("DataReady")


def test_a_purge_replaces_steps_and_progress() -> None:
    before = finished_status().model_copy(update={"progress": progress_at(10)})
    state = StepState("Active", Reason.PURGING, "The Jobs are stopped.")
    purging = status_builder.purging_status(observed(status=before), state, time(NOW))
    assert (purging.steps, purging.progress) == ((), None)
    assert reasons(purging)["Ready"] == "Purging"
    assert (purging.model, purging.runs) == (before.model, before.runs)


def test_the_status_of_a_known_run_needs_no_job() -> None:
    known = run_entry()
    before = finished_status().model_copy(update={"conditions": (), "runs": (known,)})
    after = status_after(observed(status=before))
    assert after.is_true("Ready")
    assert message(decided(observed(status=before))) == "Perplexity on held-out posts went from 1998.2 to 12.2."
