"""Selection of the run for a spec and a data set: new, known, best or pinned."""

import pytest

from fakes.timeline import (
    DAILY,
    MIDNIGHT,
    MONDAY,
    PUBLISHED,
    TUESDAY,
    WEDNESDAY,
    Timeline,
    created_steps,
    finish_two_runs,
    finish_without_improvement,
    pin_worse_run,
)
from makers import DIGEST, dataset, model, run_entry, spec, status_with
from tweetmodel_api.identities import run_id
from tweetmodel_api.reasons import Reason
from tweetmodel_api.status import ModelReference
from tweetmodel_operator.decide.selection import baseline_dataset, pin_error, pinned_run, select_run

OTHER = "f" * 64
"""Digest of another data set than the present one."""
WARM = {"training": {"warmStart": True}}


# select_run


def test_a_new_data_set_needs_a_new_run() -> None:
    selected = select_run(spec(), status_with(), dataset())
    assert (selected.id, selected.recorded, selected.has_model) == (run_id(spec(), DIGEST), None, False)


def test_a_known_run_is_selected_with_its_model() -> None:
    known = run_entry()
    selected = select_run(spec(), status_with(known, current=known), dataset())
    assert (selected.id, selected.recorded, selected.has_model) == (known.id, known, True)


def test_a_run_without_improvement_is_replaced_by_the_best_run() -> None:
    better, worse = run_entry(digest=OTHER), run_entry(outcome="NotImproved")
    for current in (better, worse):
        assert select_run(spec(), status_with(worse, better, current=current), dataset()).id == better.id


def test_a_best_run_of_another_recipe_is_not_selected() -> None:
    other = run_entry(spec(training={"epochs": 9}), digest=OTHER)
    assert select_run(spec(), status_with(other, current=other), dataset()).id == run_id(spec(), DIGEST)


def test_a_scheduled_run_must_improve_the_loss_of_the_current_model() -> None:
    of, current = spec(schedule=DAILY), run_entry(digest=OTHER)
    assert select_run(of, status_with(current, current=current), dataset()).baseline_loss == "2.5"
    assert select_run(spec(), status_with(current, current=current), dataset()).baseline_loss is None


@pytest.mark.parametrize(
    ("new_posts", "is_reused"), [(9, True), (10, False), (None, False)], ids=["too-few", "enough", "unknown"]
)
def test_too_few_new_posts_keep_the_current_run(new_posts: int | None, is_reused: bool) -> None:
    of, current = spec(schedule=DAILY | {"minNewPosts": 10}), run_entry(digest=OTHER)
    selected = select_run(of, status_with(current, current=current), dataset(new_posts=new_posts))
    assert (selected.id == current.id) is is_reused
    message = "The current model was kept: the data set has 9 new posts, and spec.schedule.minNewPosts is 10."
    assert selected.message == (message if is_reused else "")


def test_a_warm_start_begins_from_the_current_model() -> None:
    of = spec(**WARM)
    current = run_entry(of, digest=OTHER)
    selected = select_run(of, status_with(current, current=current), dataset())
    assert selected.initial_model == ModelReference(uri=model(current.id).uri, digest=model(current.id).digest)


@pytest.mark.parametrize("is_erased_now", [False, True], ids=["erased-before", "erased-now"])
def test_a_warm_start_does_not_begin_from_a_model_with_erased_posts(is_erased_now: bool) -> None:
    of = spec(**WARM)
    current = run_entry(of, digest=OTHER, contains_erased_posts=not is_erased_now)
    present = dataset(erased_from=[OTHER[:16]] if is_erased_now else [])
    assert select_run(of, status_with(current, current=current), present).initial_model is None


def test_a_known_run_keeps_its_initial_model() -> None:
    of = spec(**WARM)
    first = run_entry(of, digest=OTHER)
    initial = ModelReference(uri=model(first.id).uri, digest=model(first.id).digest)
    second = run_entry(of, initial_model=initial)
    selected = select_run(of, status_with(second, first, current=second), dataset())
    assert (selected.id, selected.initial_model) == (second.id, initial)


@pytest.mark.parametrize("has_model", [False, True], ids=["missing", "present"])
@pytest.mark.parametrize("outcome", ["Failed", "Superseded"])
def test_a_run_is_selected_again_unless_its_initial_model_is_missing(outcome: str, has_model: bool) -> None:
    of = spec(**WARM)
    parent = run_entry(of, digest=OTHER)
    initial = ModelReference(uri=model(parent.id).uri, digest="b" * 64)
    unfinished = run_entry(of, outcome=outcome, initial_model=initial)
    current = run_entry(of, digest="a" * 64)
    if not has_model:
        parent = parent.model_copy(update={"model_uri": None})
    selected = select_run(of, status_with(unfinished, parent, current, current=current), dataset())
    assert (selected.id == unfinished.id) is has_model
    assert selected.initial_model
    assert (selected.initial_model == initial) is has_model


def test_a_failed_run_with_an_initial_model_is_not_selected_without_a_current_model() -> None:
    of = spec(**WARM)
    parent = run_entry(of, digest=OTHER)
    initial = ModelReference(uri=model(parent.id).uri, digest="b" * 64)
    failed = run_entry(of, outcome="Failed", initial_model=initial)
    selected = select_run(of, status_with(failed, parent), dataset())
    assert selected.id != failed.id
    assert selected.initial_model is None


# Pins


def test_a_pinned_run_is_selected_with_an_explanation() -> None:
    pinned = run_entry(digest=OTHER)
    selected = pinned_run(spec(pinnedRun=pinned.id), status_with(pinned))
    assert selected
    assert (selected.id, selected.recorded) == (pinned.id, pinned)
    assert selected.message == f"Run {pinned.id} is pinned by spec.pinnedRun."
    assert pinned_run(spec(), status_with(pinned)) is None


def test_a_pin_names_the_runs_to_choose_from() -> None:
    failed, finished = run_entry(digest=OTHER, outcome="Failed"), run_entry()
    assert pin_error(spec(pinnedRun=finished.id), status_with(failed, finished)) == ""
    error = pin_error(spec(pinnedRun=failed.id), status_with(failed, finished))
    assert error.endswith(
        f"is not a run with a model in status.runs (runs with a model: {finished.id}): correct the field, or remove it"
    )
    assert pin_error(spec(pinnedRun=failed.id), status_with(failed)).endswith(
        "(no run has a model yet): remove the field"
    )


def test_an_unknown_run_can_not_be_pinned() -> None:
    timeline = finish_two_runs()
    timeline.change_fields(pinned_run="ab" * 8)
    assert not timeline.reconcile(MONDAY).create
    sentence = "spec.pinnedRun abababababababab is not a run with a model in status.runs"
    assert sentence in timeline.message("Ready")


def test_a_pin_delays_the_erasure_of_posts() -> None:
    timeline = finish_two_runs()
    timeline.change_fields(pinned_run=timeline.runs[0].id)
    timeline.reconcile(MONDAY)
    assert "erase" not in str(timeline.recorded.conditions)
    timeline.change_fields(cleaning=spec(cleaning={"erase": ["17"]}).cleaning)
    assert not timeline.reconcile(MONDAY).create
    sentence = "New entries of cleaning.erase take effect after the pin is removed."
    assert sentence in timeline.message("Ready")


def test_a_pin_does_not_change_the_outcome_of_a_run_without_improvement() -> None:
    timeline, worse, better = pin_worse_run()
    assert (timeline.is_ready, timeline.model_uri) == (True, worse.model_uri)
    assert [run.outcome for run in timeline.runs] == ["NotImproved", "Succeeded"]
    assert not timeline.reconcile(MONDAY).create
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create
    timeline.change_spec(schedule=DAILY)
    (request,) = timeline.reconcile(MONDAY).create
    assert request.plan.step == "publish"
    timeline.finish_run(MONDAY, "3.0")
    assert timeline.model_uri == better.model_uri


@pytest.mark.parametrize(("digest", "new"), [("a", 0), ("c", 5)], ids=["known-posts", "new-posts"])
def test_the_better_model_returns_if_a_due_time_coincides_with_the_end_of_a_pin(digest: str, new: int) -> None:
    timeline, _, better = pin_worse_run(minNewPosts=10)
    timeline.remove_finished_jobs()
    timeline.change_spec(schedule=DAILY | {"minNewPosts": 10})
    assert created_steps(timeline.reconcile(TUESDAY)) == ["collect"]
    (request,) = timeline.finish_collect(TUESDAY, digest, 1000, new=new).create
    assert request.plan.run == better.id
    timeline.finish_run(TUESDAY, "3.0")
    assert (timeline.is_ready, timeline.model_uri) == (True, better.model_uri)


def test_a_new_model_must_improve_the_better_model_instead_of_the_pinned_one() -> None:
    timeline, _, _ = pin_worse_run()
    timeline.change_spec(schedule=DAILY)
    timeline.reconcile(TUESDAY)
    timeline.finish_collect(TUESDAY, "c", 1000, new=5)
    assert timeline.newest_job.step == "publish"
    (request,) = timeline.finish_run(TUESDAY, "3.0").create
    assert (request.plan.baseline_loss, request.plan.step) == ("3.0", "train")


# New posts


def test_the_same_posts_train_nothing() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    before = timeline.model_uri
    timeline.reconcile(MONDAY)
    assert not timeline.finish_collect(MONDAY, "a", 1000).create
    assert timeline.is_ready
    assert timeline.model_uri == before


def test_a_run_starts_once_there_are_enough_new_posts() -> None:
    timeline = Timeline(schedule=DAILY | {"minNewPosts": 50})
    timeline.finish_first_run()
    timeline.reconcile(MONDAY)
    assert not timeline.finish_collect(MONDAY, "b", 1000, new=30).create
    assert timeline.is_ready
    assert timeline.message("Trained") == (
        "The current model was kept: the data set has 30 new posts, and spec.schedule.minNewPosts is 50."
    )
    assert not timeline.reconcile(MONDAY).create
    timeline.reconcile(TUESDAY)
    assert created_steps(timeline.finish_collect(TUESDAY, "c", 1000, new=50)) == ["train"]


def test_new_posts_are_counted_since_the_last_training_even_without_improvement() -> None:
    timeline = Timeline(schedule=DAILY | {"minNewPosts": 50})
    timeline.finish_first_run(loss="3.0")
    (request,) = timeline.reconcile(MONDAY).create
    assert request.plan.baseline_dataset == "a" * 64
    timeline.finish_collect(MONDAY, "b", 1000, new=60)
    timeline.finish_run(MONDAY, "3.5")
    (request,) = timeline.reconcile(TUESDAY).create
    assert request.plan.baseline_dataset == "b" * 64
    assert not timeline.finish_collect(TUESDAY, "c", 1000, new=1).create


def test_all_posts_are_new_if_the_baseline_data_set_is_missing() -> None:
    timeline = Timeline(schedule=DAILY | {"minNewPosts": 50})
    timeline.finish_first_run()
    timeline.reconcile(MONDAY)
    assert created_steps(timeline.finish_collect(MONDAY, "b", 1010, new=None)) == ["train"]


def test_other_sources_are_trained_without_a_baseline() -> None:
    timeline = Timeline(schedule=DAILY | {"minNewPosts": 50})
    timeline.finish_first_run(loss="3.0")
    before = timeline.model_uri
    sources = [{"handle": "bob", "archive": {"uri": "s3://bucket/bob.zip"}}]
    timeline.change_spec(schedule=DAILY | {"minNewPosts": 50}, sources=sources)
    (request,) = timeline.reconcile(MIDNIGHT).create
    assert request.plan.baseline_dataset is None
    assert created_steps(timeline.finish_collect(MIDNIGHT, "b", 900, new=0)) == ["train"]
    timeline.finish_run(MIDNIGHT, "3.5")
    assert timeline.model_uri != before


@pytest.mark.parametrize(
    ("fields", "current_fields", "expected"),
    [({"schedule": DAILY}, {}, OTHER), ({}, {}, None), ({"schedule": DAILY}, {"training": {"epochs": 9}}, None)],
    ids=["scheduled", "unscheduled", "another-recipe"],
)
def test_the_baseline_data_set_is_that_of_the_last_model_of_the_recipe(
    fields: dict[str, object], current_fields: dict[str, object], expected: str | None
) -> None:
    current = run_entry(spec(**current_fields), digest=OTHER)
    assert baseline_dataset(spec(**fields), status_with(current, current=current)) == expected


def test_a_changed_spec_is_not_compared_with_the_previous_model() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run(loss="3.0")
    before = timeline.model_uri
    timeline.change_spec(schedule=DAILY, training={"epochs": 9})
    assert created_steps(timeline.reconcile(MIDNIGHT)) == ["train"]
    timeline.finish_run(MIDNIGHT, "3.5")
    assert timeline.model_uri != before


# Warm starts


def test_a_warm_start_from_the_current_model_causes_no_further_run() -> None:
    timeline = Timeline(schedule=DAILY, **WARM)
    timeline.finish_first_run()
    current = timeline.recorded.model
    assert current
    timeline.reconcile(MONDAY)
    (request,) = timeline.finish_collect(MONDAY, "b", 1100).create
    assert request.plan.initial_model
    assert (request.plan.initial_model.uri, request.plan.initial_model.digest) == (current.uri, current.digest)
    timeline.finish_run(MONDAY, "2.5", loss_before="2.9")
    assert timeline.is_ready
    assert not timeline.reconcile(MONDAY).create
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create


def test_a_run_of_another_base_model_is_no_warm_start() -> None:
    timeline = Timeline(**WARM)
    timeline.finish_first_run()
    timeline.change_spec(**WARM, baseModel={"scratch": {"preset": "Small"}})
    (request,) = timeline.reconcile(MIDNIGHT).create
    assert request.plan.initial_model is None


def test_a_warm_start_from_a_missing_model_is_followed_by_a_run_from_the_base_model() -> None:
    timeline = Timeline(schedule=DAILY, **WARM)
    timeline.finish_first_run()
    timeline.reconcile(MONDAY)
    (request,) = timeline.finish_collect(MONDAY, "b", 1100).create
    assert request.plan.initial_model
    timeline.fail(MONDAY, Reason.RUN_MISSING)
    (request,) = timeline.reconcile(MONDAY).create
    assert (request.plan.initial_model, request.plan.baseline_loss) == (None, None)
    timeline.finish_run(MONDAY, "3.3")
    assert timeline.is_ready


# The best run


def test_a_return_to_a_spec_without_improvement_restores_its_better_model() -> None:
    timeline = finish_without_improvement()
    better = timeline.model_uri
    timeline.change_spec(schedule=DAILY, training={"epochs": 9})
    timeline.reconcile(MONDAY)
    timeline.finish_run(MONDAY, "3.1")
    assert timeline.model_uri != better
    timeline.remove_finished_jobs()
    timeline.change_spec(schedule=DAILY)
    (request,) = timeline.reconcile(MONDAY).create
    assert request.plan.step == "publish"
    timeline.finish_run(MONDAY, "3.0")
    assert timeline.model_uri == better
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create
    assert timeline.is_ready


def test_the_removal_of_a_schedule_after_a_run_without_improvement_changes_no_model() -> None:
    timeline = finish_without_improvement()
    before = timeline.model_uri
    timeline.change_spec()
    assert not timeline.reconcile(TUESDAY).create
    assert timeline.model_uri == before


@pytest.mark.parametrize("publish", [{}, PUBLISHED], ids=["unpublished", "published"])
def test_a_missing_better_model_is_given_up_after_one_attempt(publish: dict[str, object]) -> None:
    timeline, worse, better = pin_worse_run()
    timeline.change_spec(schedule=DAILY, **publish)
    (request,) = timeline.reconcile(MONDAY).create
    assert (request.plan.run, request.plan.step) == (better.id, "publish")
    timeline.fail(MONDAY, Reason.RUN_MISSING)
    assert [run.outcome for run in timeline.runs] == ["NotImproved", "Succeeded"], "a missing model changes no outcome"
    for request in timeline.reconcile(MONDAY).create:
        assert (request.plan.run, bool(publish)) == (worse.id, True)
        timeline.finish_run(MONDAY, "3.5")
    assert (timeline.is_ready, timeline.model_uri) == (True, worse.model_uri)
    assert [run.outcome for run in timeline.runs] == ["Succeeded", "Succeeded"], "the best run that is left"
    timeline.remove_finished_jobs()
    for now, digest, loss in ((TUESDAY, "c", "3.2"), (WEDNESDAY, "d", "3.4")):
        timeline.reconcile(now)
        (request,) = timeline.finish_collect(now, digest, 1000, new=5).create
        assert (request.plan.step, request.plan.baseline_loss) == ("train", "3.5" if now == TUESDAY else "3.2")
        timeline.finish_run(now, loss)
    assert [run.outcome for run in timeline.runs] == ["NotImproved", "Succeeded", "Succeeded", "Succeeded"]


def test_a_missing_run_of_the_present_posts_is_trained_again() -> None:
    timeline, _, better = pin_worse_run()
    timeline.change_spec(schedule=DAILY)
    timeline.remove_finished_jobs()
    timeline.reconcile(TUESDAY)
    timeline.finish_collect(TUESDAY, "a", 1000, new=0)
    timeline.fail(TUESDAY, Reason.RUN_MISSING)
    (request,) = timeline.reconcile(TUESDAY).create
    assert (request.plan.run, request.plan.step) == (better.id, "train")
    timeline.finish_run(TUESDAY, "3.0")
    assert (timeline.is_ready, timeline.model_uri) == (True, better.model_uri)
