"""The planned steps of a spec, and the steps that restore, sample and publish a finished model."""

from typing import Any

import pytest

from fakes.timeline import (
    DAILY,
    MIDNIGHT,
    MONDAY,
    PUBLISHED,
    Timeline,
    created_steps,
    finish_two_runs,
    finish_without_improvement,
)
from makers import DIGEST, KEY, dataset, model, run_entry, spec, status_with, success, time
from tweetmodel_api.identities import collection_id, generation_hash, publish_hash
from tweetmodel_api.reasons import Reason
from tweetmodel_api.status import Publication, TweetModelStatus
from tweetmodel_operator.decide.planning import PlanInputs, plan_steps
from tweetmodel_operator.decide.steps import Step
from tweetmodel_operator.decision import JobRequest

PROMPTS = {"generation": {"prompts": ["Today"]}}
OTHER = "f" * 64
EMPTY = TweetModelStatus(observed_generation=0)


def planned(fields: dict[str, Any], status: TweetModelStatus, **inputs: Any) -> tuple[Step, ...]:
    return plan_steps(spec(**fields), status, PlanInputs(KEY, **inputs))


def finished_status(**fields: Any) -> TweetModelStatus:
    """Return the status of a finished run of `spec(**fields)`."""
    of = spec(**fields)
    run = run_entry(of)
    published = publish_hash(of)
    publication = Publication(spec_hash=published, url="https://hub/ada") if published else None
    trained = model(run.id, of).model_copy(update={"publication": publication})
    return status_with(run, current=run, model=trained)


FINISHED = finished_status()
RUN = run_entry().id

CASES: dict[str, tuple[dict[str, Any], TweetModelStatus, list[str]]] = {
    "nothing-collected": ({}, EMPTY, ["collect"]),
    "collected": ({}, status_with(), ["collect", "train"]),
    "finished": ({}, FINISHED, []),
    "another-collection": ({"cleaning": {"drop": ["Replies"]}}, FINISHED, ["collect"]),
    "another-training": ({"training": {"epochs": 9}}, FINISHED, ["collect", "train"]),
    "another-generation": (PROMPTS, FINISHED, ["collect", "train", "sample"]),
    "publication": (PUBLISHED, FINISHED, ["collect", "train", "sample", "publish"]),
    "published": (PUBLISHED, finished_status(**PUBLISHED), []),
    "another-generation-and-publication": (PROMPTS | PUBLISHED, FINISHED, ["collect", "train", "sample"]),
    "restored": ({}, status_with(run_entry()), ["collect", "train", "sample", "publish"]),
    "failed": ({}, status_with(run_entry(outcome="Failed")), ["collect", "train"]),
    "model-missing": ({}, status_with(run_entry(model_uri=None)), ["collect", "train"]),
    "pinned": ({"pinnedRun": RUN}, FINISHED, []),
    "pinned-before-a-collection": ({"pinnedRun": RUN, "cleaning": {"drop": ["Replies"]}}, FINISHED, []),
    "pinned-and-unpublished": ({"pinnedRun": RUN} | PUBLISHED, FINISHED, []),
    "pinned-with-another-generation": ({"pinnedRun": RUN} | PROMPTS, FINISHED, ["collect", "train", "sample"]),
    "resources": ({"gpus": 0, "queueName": "gpus"}, FINISHED, []),
}
"""Spec, status, and the planned steps up to the incomplete one; none if all are complete."""


@pytest.mark.parametrize(("fields", "status", "expected"), CASES.values(), ids=CASES)
def test_the_plan_ends_with_the_first_incomplete_step(
    fields: dict[str, Any], status: TweetModelStatus, expected: list[str]
) -> None:
    steps = planned(fields, status)
    assert [step.name for step in steps] == (expected or ["collect", "train", "sample", "publish"])
    assert [step.is_complete for step in steps] == [True] * (len(steps) - 1) + [not expected]


def test_a_retry_or_a_due_time_plans_another_collection() -> None:
    (retried,) = planned({}, FINISHED, retry="now")
    (due,) = planned({}, FINISHED, due_time=time(MONDAY))
    assert retried.id == collection_id(spec(), "now")
    assert due.id == collection_id(spec(), due=MONDAY)


def test_a_run_step_has_the_inputs_of_its_job() -> None:
    *_, train = planned({"podTemplate": {"labels": {"a": "b"}}} | PUBLISHED, status_with(), due_time=None)
    assert train.dataset
    assert (train.dataset.digest, train.dataset.uri) == (DIGEST, dataset().uri)
    assert train.generation_hash == generation_hash(spec())
    assert train.publish_hash == publish_hash(spec(**PUBLISHED))
    assert train.pod_template
    assert train.pod_template.labels == {"a": "b"}


def test_a_known_run_keeps_its_data_set() -> None:
    known = run_entry(digest=OTHER)
    *_, publish = planned({"pinnedRun": known.id}, status_with(known))
    assert publish.dataset
    assert publish.dataset.digest == OTHER
    assert publish.dataset.uri == f"s3://bucket/models/default/ada/datasets/{OTHER[:16]}"


def test_messages_of_complete_steps_describe_the_results() -> None:
    collect, train, *_ = planned({}, FINISHED)
    assert collect.complete_message == "2,633 of 3,249 posts kept, 200,000 characters."
    assert train.complete_message == "Perplexity on held-out posts went from 1998.2 to 12.2."
    collect, train, *_ = planned({"pinnedRun": RUN}, FINISHED)
    assert (
        collect.complete_message
        == f"Run {RUN} is pinned by spec.pinnedRun. No posts are collected until spec.pinnedRun is removed."
    )
    assert train.complete_message == f"Run {RUN} is pinned by spec.pinnedRun."


# Restored and pinned runs


def only_request(timeline: Timeline, now: str = MONDAY) -> JobRequest:
    """Reconcile, and return the request for the only created Job."""
    (request,) = timeline.reconcile(now).create
    return request


def test_a_pinned_run_is_restored_by_a_publish_step() -> None:
    timeline = finish_two_runs()
    newer, older = timeline.runs
    timeline.change_spec(training={"epochs": 9}, pinnedRun=older.id)
    request = only_request(timeline)
    assert (request.plan.run, request.plan.step) == (older.id, "publish")
    timeline.finish_run(MONDAY, "3.0")
    assert timeline.is_ready
    assert timeline.model_uri == older.model_uri
    assert not timeline.reconcile(MONDAY).create
    assert {run.outcome for run in timeline.runs} == {"Succeeded"}
    timeline.remove_finished_jobs()
    timeline.change_spec(training={"epochs": 9})
    request = only_request(timeline)
    assert (request.plan.run, request.plan.step) == (newer.id, "publish")


def test_a_return_to_an_earlier_spec_restores_its_model_by_a_publish_step() -> None:
    timeline = finish_two_runs()
    older = timeline.runs[1]
    timeline.change_spec()
    request = only_request(timeline)
    assert (request.plan.run, request.plan.step) == (older.id, "publish")
    timeline.finish_run(MONDAY, "3.0")
    assert (timeline.is_ready, timeline.model_uri) == (True, older.model_uri)


# Samples


def test_a_changed_prompt_samples_the_finished_model_and_trains_nothing() -> None:
    timeline = Timeline()
    timeline.finish_first_run()
    run, before = timeline.runs[0], timeline.model_uri
    timeline.change_spec(**PROMPTS)
    request = only_request(timeline)
    assert (request.plan.step, request.plan.run) == ("sample", run.id)
    assert timeline.model_uri == before, "the model can be used meanwhile"
    assert timeline.recorded.is_true("Trained")
    timeline.finish_run(MONDAY, "3.0")
    assert (timeline.is_ready, timeline.model_uri) == (True, before)
    assert [entry.id for entry in timeline.runs] == [run.id]
    assert timeline.runs[0].generation_hash == generation_hash(timeline.spec)
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create


def test_a_prompt_that_is_changed_during_the_training_replaces_the_job() -> None:
    timeline = Timeline()
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    train = timeline.newest_job
    timeline.change_spec(**PROMPTS)
    assert timeline.reconcile(MONDAY).delete == (train.name,)
    request = only_request(timeline)
    assert (request.plan.step, request.step_id, request.attempt) == ("train", train.step_id, 2)


def test_a_prompt_changed_before_the_end_of_the_training_is_seen_starts_a_sample_step() -> None:
    timeline = Timeline()
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    report = success(model=model(timeline.newest_job.step_id, timeline.spec))
    timeline.change_spec(**PROMPTS)
    (request,) = timeline.finish(MONDAY, report).create
    assert (request.plan.step, request.attempt) == ("sample", 2)


def test_a_restored_run_is_sampled_with_the_present_prompts() -> None:
    timeline = finish_two_runs()
    older = timeline.runs[1]
    timeline.change_spec(**PROMPTS)
    request = only_request(timeline)
    assert (request.plan.step, request.plan.run) == ("sample", older.id)
    timeline.finish_run(MONDAY, "3.0")
    assert (timeline.is_ready, timeline.model_uri) == (True, older.model_uri)
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create


def test_a_pinned_run_is_sampled_with_the_present_prompts() -> None:
    timeline = finish_two_runs()
    older = timeline.runs[1]
    timeline.change_spec(training={"epochs": 9}, pinnedRun=older.id, **PROMPTS)
    request = only_request(timeline)
    assert (request.plan.step, request.plan.run) == ("sample", older.id)
    timeline.finish_run(MONDAY, "3.0")
    assert (timeline.is_ready, timeline.model_uri) == (True, older.model_uri)


def test_a_return_to_the_previous_prompts_samples_again() -> None:
    timeline = Timeline()
    timeline.finish_first_run()
    for fields in (PROMPTS, {}):
        timeline.change_spec(**fields)
        assert only_request(timeline).plan.step == "sample"
        timeline.finish_run(MONDAY, "3.0")
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create


def test_failed_samples_leave_the_model_and_the_previous_prompts_repair_the_status() -> None:
    timeline = Timeline()
    timeline.finish_first_run()
    before = timeline.model_uri
    timeline.change_spec(**PROMPTS)
    timeline.reconcile(MONDAY)
    assert not timeline.fail(MONDAY, Reason.OUT_OF_MEMORY).create
    assert timeline.recorded.is_true("Stalled")
    assert timeline.recorded.is_true("Trained")
    assert timeline.model_uri == before
    assert [run.outcome for run in timeline.runs] == ["Succeeded"]
    timeline.change_spec()
    assert not timeline.reconcile(MONDAY).create
    assert timeline.is_ready


def test_new_samples_are_published() -> None:
    timeline = Timeline(**PUBLISHED)
    timeline.finish_first_run()
    timeline.change_spec(**PUBLISHED, **PROMPTS)
    request = only_request(timeline)
    assert (request.plan.step, request.plan.publish) == ("sample", True)
    assert not timeline.finish_run(MONDAY, "3.0").create
    assert timeline.is_ready


# Publications


@pytest.mark.parametrize("has_new_posts", [False, True], ids=["not-improved", "too-few-new-posts"])
def test_a_publication_concerns_the_current_model_whatever_the_last_collection_led_to(has_new_posts: bool) -> None:
    schedule = DAILY | ({"minNewPosts": 50} if has_new_posts else {})
    timeline = finish_without_improvement()
    if has_new_posts:
        timeline = Timeline(schedule=schedule)
        timeline.finish_first_run()
        timeline.reconcile(MONDAY)
        timeline.finish_collect(MONDAY, "b", 1000, new=30)
        timeline.remove_finished_jobs()
    current = timeline.model_uri
    timeline.change_spec(schedule=schedule, **PUBLISHED)
    request = only_request(timeline)
    assert request.plan.run in current
    assert request.plan.dataset
    assert (request.plan.dataset.digest, request.plan.step) == ("a" * 64, "publish")
    assert request.plan.publish
    timeline.finish_run(MONDAY, "3.0")
    assert (timeline.is_ready, timeline.model_uri) == (True, current)
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create


def test_a_restored_model_is_published_unless_it_is_pinned() -> None:
    timeline = finish_two_runs()
    newer, older = timeline.runs
    timeline.change_spec(training={"epochs": 9}, pinnedRun=older.id, **PUBLISHED)
    assert not only_request(timeline).plan.publish
    timeline.finish_run(MONDAY, "3.0")
    timeline.change_spec(training={"epochs": 9}, pinnedRun=newer.id, **PUBLISHED)
    timeline.reconcile(MONDAY)
    timeline.finish_run(MONDAY, "2.0")
    timeline.change_spec(training={"epochs": 9}, **PUBLISHED)
    request = only_request(timeline)
    assert (request.plan.run, request.plan.step) == (newer.id, "publish")
    assert request.plan.publish


def deny_publication() -> Timeline:
    """Return a timeline in which the Hub denies the first model, and a retry was requested since."""
    timeline = Timeline(**PUBLISHED)
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    timeline.fail(MIDNIGHT, Reason.HUB_DENIED, model=model(timeline.newest_job.step_id))
    assert not timeline.reconcile(MIDNIGHT).create, "a failed publication is not repeated without a request"
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MIDNIGHT).create
    timeline.retry = "now"
    timeline.reconcile(MONDAY)
    return timeline


def test_a_retry_of_a_denied_publication_needs_no_training() -> None:
    timeline = deny_publication()
    timeline.finish_collect(MONDAY, "a", 1000)
    (run,) = timeline.runs
    assert (run.outcome, run.model_uri, bool(run.evaluation)) == ("Active", model(run.id).uri, True)
    timeline.delete_job(timeline.newest_job.name)
    request = only_request(timeline)
    assert (request.plan.run, request.plan.step) == (run.id, "publish")
    timeline.finish_run(MONDAY, "3.0")
    assert (timeline.is_ready, timeline.model_uri) == (True, run.model_uri)
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create


def test_a_publication_that_fails_after_sampling_is_not_repeated_without_a_request() -> None:
    timeline = Timeline(**PUBLISHED)
    timeline.finish_first_run()
    timeline.change_spec(**PUBLISHED, **PROMPTS)
    timeline.reconcile(MONDAY)
    sampled = model(timeline.runs[0].id, timeline.spec)
    assert not timeline.fail(MONDAY, Reason.HUB_DENIED, model=sampled).create
    assert timeline.recorded.is_true("Stalled")
    for _ in range(2):
        timeline.remove_finished_jobs()
        assert not timeline.reconcile(MONDAY).create
    timeline.retry = "now"
    timeline.reconcile(MONDAY)
    timeline.finish_collect(MONDAY, "a", 1000)
    assert timeline.newest_job.step == "publish"
    timeline.finish_run(MONDAY, "3.0")
    assert timeline.is_ready


def test_a_failed_publication_of_previous_prompts_leaves_the_published_model() -> None:
    timeline = Timeline(**PUBLISHED)
    timeline.finish_first_run()
    timeline.remove_finished_jobs()
    for fields in (PUBLISHED | PROMPTS, PUBLISHED):
        timeline.change_spec(**fields)
        timeline.reconcile(MONDAY)
        assert timeline.newest_job.step == "sample"
        timeline.fail(MONDAY, Reason.HUB_DENIED, model=model(timeline.runs[0].id, timeline.spec))
    timeline.reconcile(MONDAY)
    assert timeline.is_ready
    assert not timeline.reconcile(MONDAY).create


def test_a_failed_publication_changes_no_other_failed_run() -> None:
    timeline = Timeline(training={"epochs": 9})
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    timeline.fail(MIDNIGHT, Reason.DIVERGED)
    (diverged,) = timeline.runs
    timeline.change_spec(**PUBLISHED)
    timeline.reconcile(MIDNIGHT)
    timeline.fail(MIDNIGHT, Reason.HUB_DENIED, model=model(timeline.newest_job.step_id))
    denied, other = timeline.runs
    assert denied.failure
    assert (denied.failure.name, denied.failure.reason) == ("publish", Reason.HUB_DENIED)
    assert other == diverged


# Reports without the requested result


def without_dataset(timeline: Timeline) -> None:
    timeline.reconcile(MIDNIGHT)
    timeline.finish(MIDNIGHT, success())


def without_new_samples(timeline: Timeline) -> None:
    timeline.finish_first_run()
    timeline.change_spec(**PROMPTS)
    timeline.reconcile(MONDAY)
    timeline.finish(MONDAY, success(model=model(timeline.runs[0].id)))


def without_publication(timeline: Timeline) -> None:
    timeline.finish_first_run()
    timeline.change_spec(**PUBLISHED)
    timeline.reconcile(MONDAY)
    timeline.finish(MONDAY, success(model=model(timeline.runs[0].id)))


@pytest.mark.parametrize(
    ("history", "step"),
    [(without_dataset, "collect"), (without_new_samples, "sample"), (without_publication, "publish")],
    ids=["collect", "sample", "publish"],
)
def test_a_report_without_the_requested_result_is_an_error_and_not_repeated(history: Any, step: str) -> None:
    timeline = Timeline()
    history(timeline)
    assert timeline.recorded.is_true("Stalled")
    assert timeline.message().startswith(f"The report of the {step} step lacks its result")
    assert not timeline.reconcile(MONDAY).create
    timeline.remove_finished_jobs()
    assert not timeline.reconcile(MONDAY).create


def test_a_failed_training_without_a_model_publishes_nothing() -> None:
    timeline = Timeline(**PUBLISHED)
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    assert timeline.fail(MIDNIGHT, Reason.DIVERGED).create == ()
    assert timeline.runs[0].failure
    assert timeline.runs[0].failure.name == "train"


def test_no_step_but_training_creates_a_train_job() -> None:
    timeline = Timeline()
    timeline.finish_first_run()
    for fields in (PROMPTS, PUBLISHED, {"gpus": 0}, {"reportTo": {"tensorBoard": {}}}):
        timeline.change_spec(**fields)
        decision = timeline.reconcile(MONDAY)
        assert "train" not in created_steps(decision)
        if decision.create:
            timeline.finish_run(MONDAY, "3.0")
