"""Recording of results in the status: data set, current model, samples and history."""

import pytest

from fakes.timeline import (
    DAILY,
    MIDNIGHT,
    MONDAY,
    PUBLISHED,
    TUESDAY,
    Timeline,
)
from makers import DIGEST, NOW, dataset, failure, job, model, run_entry, spec, status_with, success, time
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report
from tweetmodel_api.status import MAX_SAMPLE_LENGTH, ModelReference, StepStatus, TrainedModel, TweetModelStatus
from tweetmodel_operator.decide.record import record_result
from tweetmodel_operator.decide.steps import Outcome, Step, StepResult, StepState

WARM = {"training": {"warmStart": True}}


def run_step(**changes: object) -> Step:
    """Return the train step of the run for `spec()`."""
    made = job("train").obj()
    return Step("train", made.step_id, made.pod_template_hash, **changes)


def recorded(
    step: Step,
    report: Report | None,
    before: TweetModelStatus,
    outcome: Outcome = "Succeeded",
    reason: Reason = Reason.SUCCEEDED,
) -> tuple[TweetModelStatus, StepResult]:
    """Record the end of a step."""
    status = StepStatus(
        name=step.name,
        id=step.id,
        attempt=1,
        pod_template_hash=step.pod_template_hash,
        job="ada-train-1",
        outcome=outcome,
        reason=reason if outcome == "Failed" else None,
    )
    result = StepResult(step, StepState(outcome, reason, "The message.", report), status)
    return record_result(before, result, spec(), time(NOW))


def lossy(run: str, loss: str, loss_before: str = "7.6") -> TrainedModel:
    evaluation = model(run).evaluation.model_copy(update={"loss": loss, "loss_before": loss_before})
    return model(run).model_copy(update={"evaluation": evaluation})


# Data sets


def test_a_data_set_is_recorded_with_its_collection() -> None:
    step = Step("collect", "c" * 16, "d" * 16)
    status, _ = recorded(step, success(dataset=dataset()), TweetModelStatus(observed_generation=1))
    assert (status.collection, status.dataset) == (step.id, dataset())


def test_an_unfinished_collection_removes_the_previous_data_set() -> None:
    status, _ = recorded(Step("collect", "c" * 16, "d" * 16), None, status_with(), "Active", Reason.COLLECTING)
    assert (status.collection, status.dataset) == (None, None)


def test_a_data_set_marks_the_runs_that_were_trained_on_erased_posts() -> None:
    run = run_entry()
    report = success(dataset=dataset(digest="b" * 64, erased_from=[DIGEST[:16]]))
    status, _ = recorded(Step("collect", "c" * 16, "d" * 16), report, status_with(run, current=run))
    assert status.runs[0].contains_erased_posts


def test_an_erased_post_marks_its_run_and_prevents_a_warm_start() -> None:
    timeline = Timeline(**WARM)
    timeline.finish_first_run()
    timeline.change_spec(**WARM, cleaning={"erase": ["17"]})
    timeline.reconcile(MIDNIGHT)
    decision = timeline.finish(MIDNIGHT, success(dataset=dataset(digest="b" * 64, erased_from=["a" * 16])))
    (request,) = decision.create
    assert request.plan.initial_model is None
    assert [run.contains_erased_posts for run in timeline.runs] == [False, True]


# Models


def test_a_model_becomes_current_with_its_samples() -> None:
    step = run_step()
    samples = [f"tweet {number}" for number in range(12)]
    status, _ = recorded(step, success(model=model(step.id), samples=samples), status_with())
    assert status.model == model(step.id)
    assert status.samples == tuple(samples[:10])
    (run,) = status.runs
    assert (run.id, run.outcome, run.dataset_digest, run.posts) == (step.id, "Succeeded", DIGEST, dataset().kept)


def test_long_samples_are_cut() -> None:
    step = run_step()
    report = success(model=model(step.id), samples=["x" * 2 * MAX_SAMPLE_LENGTH])
    status, _ = recorded(step, report, status_with())
    assert status.samples == ("x" * MAX_SAMPLE_LENGTH,)


@pytest.mark.parametrize(
    ("loss", "is_improved"), [("2.9", True), ("3.0", False), ("3.1", False)], ids=["lower", "equal", "higher"]
)
def test_a_model_becomes_current_only_with_a_lower_loss_than_the_baseline(loss: str, is_improved: bool) -> None:
    step, current = run_step(baseline_loss="3.0"), run_entry(digest="f" * 64)
    report = success(model=lossy(step.id, loss))
    status, result = recorded(step, report, status_with(current, current=current))
    assert status.model
    assert (status.model.uri == model(step.id).uri) is is_improved
    assert status.runs[0].outcome == ("Succeeded" if is_improved else "NotImproved")
    kept = f"The current model was kept: the held-out loss of the new model is not lower ({loss} instead of 3.0)."
    assert (result.state.message == kept) is not is_improved


@pytest.mark.parametrize(("loss", "is_improved"), [("2.6", True), ("2.8", False)], ids=["lower", "higher"])
def test_a_warm_start_is_compared_on_the_same_posts(loss: str, is_improved: bool) -> None:
    """The loss before the training is that of the current model on the new posts."""
    current = run_entry(digest="f" * 64)
    initial = ModelReference(uri=current.model_uri or "", digest="e" * 64)
    step = run_step(baseline_loss="3.0", initial_model=initial)
    report = success(model=lossy(step.id, loss, loss_before="2.7"))
    status, _ = recorded(step, report, status_with(current, current=current))
    assert status.model
    assert (status.model.uri == model(step.id).uri) is is_improved


def test_an_improved_model_becomes_current_at_a_due_time() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run(loss="3.0")
    before = timeline.model_uri
    timeline.reconcile(MONDAY)
    timeline.finish_collect(MONDAY, "b", 1100)
    timeline.finish_run(MONDAY, "2.9")
    assert timeline.is_ready
    assert timeline.model_uri != before


def test_a_model_without_improvement_leaves_the_current_model() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run(loss="3.0")
    before = timeline.model_uri
    timeline.reconcile(MONDAY)
    timeline.finish_collect(MONDAY, "b", 1100)
    timeline.finish_run(MONDAY, "3.0")
    assert timeline.is_ready
    assert timeline.model_uri == before
    kept = "The current model was kept: the held-out loss of the new model is not lower (3.0 instead of 3.0)."
    assert timeline.message("Trained") == kept
    assert [run.outcome for run in timeline.runs] == ["NotImproved", "Succeeded"]
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create


def test_a_warm_start_without_improvement_leaves_the_current_model() -> None:
    timeline = Timeline(schedule=DAILY, **WARM)
    timeline.finish_first_run(loss="3.0")
    before = timeline.model_uri
    timeline.reconcile(MONDAY)
    timeline.finish_collect(MONDAY, "b", 1100)
    timeline.finish_run(MONDAY, "2.8", loss_before="2.7")
    assert timeline.model_uri == before


# Failures


def test_a_failure_is_recorded_in_its_run() -> None:
    step = run_step()
    status, _ = recorded(step, failure(Reason.DIVERGED), status_with(), "Failed", Reason.DIVERGED)
    (run,) = status.runs
    assert run.outcome == "Failed"
    assert run.failure
    assert run.failure.reason == Reason.DIVERGED


def test_an_active_step_starts_its_run() -> None:
    status, _ = recorded(run_step(), None, status_with(), "Active", Reason.TRAINING)
    assert [(run.outcome, run.start_time) for run in status.runs] == [("Active", NOW)]


def test_a_step_without_a_job_starts_no_run() -> None:
    result = StepResult(run_step(), StepState("Active", Reason.SUSPENDED, "It is suspended."))
    status, _ = record_result(status_with(), result, spec(), time(NOW))
    assert status.runs == ()


# Missing models


def test_a_missing_current_model_is_removed_with_its_samples() -> None:
    current = run_entry()
    before = status_with(current, current=current, samples=("a tweet",))
    step = Step("publish", current.id, "d" * 16)
    status, _ = recorded(step, failure(Reason.RUN_MISSING), before, "Failed", Reason.RUN_MISSING)
    assert (status.model, status.samples) == (None, ())
    assert [(run.model_uri, run.outcome) for run in status.runs] == [(None, "Succeeded")]


def test_a_missing_current_model_is_current_no_longer() -> None:
    timeline = Timeline(schedule=DAILY | {"minNewPosts": 50})
    timeline.finish_first_run()
    timeline.reconcile(MONDAY)
    timeline.finish_collect(MONDAY, "b", 1000, new=30)
    timeline.change_spec(schedule=DAILY | {"minNewPosts": 50}, **PUBLISHED)
    timeline.reconcile(MONDAY)
    timeline.fail(MONDAY, Reason.RUN_MISSING)
    recorded = timeline.recorded
    assert (recorded.model, recorded.samples, timeline.is_ready) == (None, (), False)
    timeline.reconcile(TUESDAY)
    (request,) = timeline.finish_collect(TUESDAY, "c", 1000, new=31).create
    assert (request.plan.step, request.plan.baseline_loss) == ("train", None)


def test_a_missing_model_of_a_publish_step_is_not_the_initial_model() -> None:
    timeline = Timeline(**WARM)
    timeline.finish_first_run()
    timeline.change_spec(training={"warmStart": True, "epochs": 9})
    timeline.reconcile(MIDNIGHT)
    timeline.finish_run(MIDNIGHT, "2.0")
    timeline.remove_finished_jobs()
    newer, older = timeline.runs
    assert newer.initial_model
    timeline.change_fields(pinned_run=older.id)
    timeline.reconcile(MONDAY)
    timeline.finish_run(MONDAY, "3.0")
    timeline.remove_finished_jobs()
    timeline.change_fields(pinned_run=None)
    timeline.reconcile(MONDAY)
    timeline.fail(MONDAY, Reason.RUN_MISSING)
    assert [run.model_uri for run in timeline.runs] == [None, older.model_uri]


def test_a_denied_model_that_is_missing_since_is_trained_again() -> None:
    timeline = Timeline(**PUBLISHED)
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    timeline.fail(MIDNIGHT, Reason.HUB_DENIED, model=model(timeline.newest_job.step_id))
    timeline.remove_finished_jobs()
    timeline.retry = "now"
    timeline.reconcile(MONDAY)
    timeline.finish_collect(MONDAY, "a", 1000)
    timeline.fail(MONDAY, Reason.RUN_MISSING)
    (request,) = timeline.reconcile(MONDAY).create
    assert request.plan.step == "train"
