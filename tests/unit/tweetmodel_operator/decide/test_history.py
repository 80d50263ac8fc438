"""Transitions of runs in the history."""

import pytest

from fakes.timeline import MIDNIGHT, Timeline, finish_two_runs
from makers import DIGEST, NOW, model, run_entry, spec, time
from tweetmodel_api.reasons import Reason
from tweetmodel_api.status import MAX_RUNS, ModelReference, Run, StepStatus
from tweetmodel_operator.decide.history import FINISHED, RunHistory, can_start_from, has_recipe, is_run_of

LATER = "2026-11-23T13:00:00Z"
OTHER = run_entry(digest="f" * 64)
"""Another run, which no transition of a test changes."""


def history(run: Run) -> RunHistory:
    return RunHistory((run, OTHER))


def changed(after: RunHistory, run: Run) -> Run:
    """Return the entry of a run after a transition, and check that the other run is unchanged."""
    assert after.get(OTHER.id) == OTHER
    entry = after.get(run.id)
    assert entry
    return entry


def step_failure(run: Run, reason: Reason = Reason.DIVERGED) -> StepStatus:
    return StepStatus(
        name="train",
        id=run.id,
        attempt=1,
        pod_template_hash="e" * 16,
        job="ada-train-1",
        outcome="Failed",
        reason=reason,
        message="It diverged.",
    )


# Look-up


def test_a_run_is_found_by_its_id() -> None:
    assert history(run_entry()).get(OTHER.id) == OTHER
    assert history(run_entry()).get("unknown") is None
    assert history(run_entry()).get(None) is None


def test_the_current_run_is_the_one_with_the_current_model() -> None:
    run = run_entry()
    assert history(run).current(model(OTHER.id)) == OTHER
    assert history(run).current(model("unknown")) is None
    assert history(run).current(None) is None


def test_iteration_yields_the_newest_run_first() -> None:
    run = run_entry()
    assert list(history(run)) == [run, OTHER]


# Transitions


def test_a_started_run_is_the_first_one() -> None:
    run = run_entry(outcome="Active")
    assert RunHistory((OTHER,)).started(run).runs == (run, OTHER)


@pytest.mark.parametrize("outcome", ["Failed", "Superseded"])
def test_a_resumed_run_is_active_again(outcome: str) -> None:
    run = run_entry(outcome=outcome)
    run = run.model_copy(update={"failure": step_failure(run) if outcome == "Failed" else None})
    entry = changed(history(run).resumed(run.id), run)
    assert (entry.outcome, entry.completion_time, entry.failure) == ("Active", None, None)
    assert entry.start_time == run.start_time


@pytest.mark.parametrize("outcome", FINISHED)
def test_a_run_with_a_model_is_not_resumed(outcome: str) -> None:
    run = run_entry(outcome=outcome)
    assert history(run).resumed(run.id) == history(run)


def test_active_runs_except_one_are_superseded() -> None:
    run, kept = run_entry(outcome="Active"), run_entry(digest="e" * 64, outcome="Active")
    after = RunHistory((kept, run, OTHER)).superseded(kept.id, time(LATER))
    entry = changed(after, run)
    assert (entry.outcome, entry.completion_time) == ("Superseded", LATER)
    assert after.get(kept.id) == kept


@pytest.mark.parametrize("outcome", ["Succeeded", "NotImproved", "Failed", "Superseded"])
def test_only_active_runs_are_superseded(outcome: str) -> None:
    run = run_entry(outcome=outcome)
    assert history(run).superseded(None, time(LATER)) == history(run)


@pytest.mark.parametrize(("transition", "outcome"), [("succeeded", "Succeeded"), ("not_improved", "NotImproved")])
def test_a_finished_run_has_the_facts_of_its_model(transition: str, outcome: str) -> None:
    run = run_entry(outcome="Active")
    made = model(run.id, spec(generation={"temperature": "0.5"}))
    entry = changed(getattr(history(run), transition)(run.id, made, time(LATER)), run)
    assert (entry.outcome, entry.completion_time, entry.failure) == (outcome, LATER, None)
    assert (entry.model_uri, entry.evaluation) == (made.uri, made.evaluation)
    assert entry.generation_hash == made.generation_hash


@pytest.mark.parametrize("transition", ["succeeded", "not_improved"])
def test_the_completion_time_of_a_finished_run_stays(transition: str) -> None:
    run = run_entry()
    entry = changed(getattr(history(run), transition)(run.id, model(run.id), time(LATER)), run)
    assert entry.completion_time == NOW


def test_a_run_that_succeeds_after_a_failure_has_no_failure() -> None:
    run = run_entry(outcome="Failed")
    run = run.model_copy(update={"failure": step_failure(run)})
    assert changed(history(run).succeeded(run.id, model(run.id), time(LATER)), run).failure is None


def test_a_failed_run_contains_the_failed_step() -> None:
    run = run_entry(outcome="Active")
    entry = changed(history(run).failed(run.id, step_failure(run), None, time(LATER)), run)
    assert (entry.outcome, entry.completion_time) == ("Failed", LATER)
    assert (entry.failure, entry.model_uri) == (step_failure(run), None)


def test_a_run_whose_publication_failed_contains_its_model() -> None:
    run = run_entry(outcome="Active")
    entry = changed(history(run).failed(run.id, step_failure(run, Reason.HUB_DENIED), model(run.id), time(LATER)), run)
    assert (entry.outcome, entry.model_uri) == ("Failed", model(run.id).uri)
    assert entry.evaluation == model(run.id).evaluation


@pytest.mark.parametrize("outcome", FINISHED)
def test_a_run_with_a_model_keeps_its_outcome_after_a_later_failure(outcome: str) -> None:
    run = run_entry(outcome=outcome)
    assert history(run).failed(run.id, step_failure(run), None, time(LATER)) == history(run)


@pytest.mark.parametrize("by", ["id", "model_uri"])
def test_a_missing_model_changes_no_outcome(by: str) -> None:
    run = run_entry()
    entry = changed(history(run).without_models({getattr(run, by)}), run)
    assert (entry.model_uri, entry.outcome, entry.evaluation) == (None, "Succeeded", run.evaluation)


def test_runs_of_an_erased_data_set_contain_erased_posts() -> None:
    run = run_entry()
    assert changed(history(run).erased({DIGEST[:16]}), run).contains_erased_posts
    assert history(run).erased(()) == history(run)


def test_a_promoted_run_succeeded() -> None:
    run = run_entry(outcome="NotImproved")
    assert changed(history(run).with_best(run.id), run).outcome == "Succeeded"


def test_the_history_keeps_the_last_runs() -> None:
    runs = tuple(run_entry(digest=f"{number:064x}") for number in range(MAX_RUNS + 3))
    assert RunHistory(runs).truncated(None).runs == runs[:MAX_RUNS]
    assert RunHistory(runs).truncated(model(runs[0].id)).runs == runs[:MAX_RUNS]


def test_the_history_always_keeps_the_run_of_the_current_model() -> None:
    runs = tuple(run_entry(digest=f"{number:064x}") for number in range(MAX_RUNS + 3))
    kept = RunHistory(runs).truncated(model(runs[-1].id)).runs
    assert kept == (*runs[: MAX_RUNS - 1], runs[-1])


# Comparison with a spec


def test_a_run_is_that_of_its_spec_data_set_and_initial_model() -> None:
    initial = ModelReference(uri=OTHER.model_uri or "", digest="e" * 64)
    for run in (run_entry(), run_entry(initial_model=initial)):
        assert is_run_of(run, spec(), DIGEST)
        assert is_run_of(run, spec(gpus=0), DIGEST)
        assert not is_run_of(run, spec(), OTHER.dataset_digest)
        assert not is_run_of(run, spec(training={"epochs": 9}), DIGEST)


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({}, True),
        ({"gpus": 0}, True),
        ({"training": {"epochs": 9}}, False),
        ({"sources": [{"handle": "bob", "archive": {"uri": "s3://bucket/bob.zip"}}]}, False),
    ],
    ids=["same", "gpus", "training", "sources"],
)
def test_runs_of_the_same_recipe_can_be_compared(change: dict[str, object], is_same: bool) -> None:
    assert has_recipe(OTHER, spec(**change)) is is_same


def test_a_warm_start_needs_the_same_base_model_without_erased_posts() -> None:
    assert can_start_from(run_entry(), spec(training={"epochs": 9}))
    assert not can_start_from(run_entry(), spec(baseModel={"scratch": {"preset": "Small"}}))
    assert not can_start_from(run_entry(contains_erased_posts=True), spec())


# Over time


def test_the_current_model_stays_in_the_history_after_many_runs_without_improvement() -> None:
    timeline = Timeline(schedule={"cron": "0 * * * *"}, training={"warmStart": True})
    timeline.finish_first_run()
    before = timeline.model_uri
    for hour, digest in enumerate("0123456789bc", 1):
        now = f"2026-11-23T{hour:02d}:00:00Z"
        timeline.reconcile(now)
        timeline.finish_collect(now, digest, 1000)
        timeline.finish_run(now, "9.0", loss_before="8.0")
        assert timeline.model_uri == before
    assert len(timeline.runs) == MAX_RUNS
    assert timeline.runs[-1].model_uri == before


def test_the_last_ten_runs_are_kept() -> None:
    timeline = Timeline()
    timeline.finish_first_run()
    for epochs in range(10, 30):
        timeline.change_spec(training={"epochs": epochs})
        timeline.reconcile(MIDNIGHT)
        timeline.finish_run(MIDNIGHT, "2.5")
    assert len(timeline.runs) == 10
    assert timeline.runs[0].id == run_entry(timeline.spec, digest="a" * 64).id


def test_a_pinned_run_keeps_its_place_in_the_history() -> None:
    timeline = finish_two_runs()
    before = [run.id for run in timeline.runs]
    timeline.change_spec(training={"epochs": 9}, pinnedRun=before[1])
    timeline.reconcile("2026-11-23T06:00:00Z")
    timeline.finish_run("2026-11-23T06:00:00Z", "3.0")
    assert [run.id for run in timeline.runs] == before
