"""Facts that follow from an observation."""

import pytest

from makers import (
    NOW,
    JobMaker,
    collected_status,
    finished_status,
    job,
    observed,
    run_entry,
    status_with,
    success,
    time,
)
from tweetmodel_api.steps import StepName
from tweetmodel_operator.observed import EMPTY_STATUS, Key, Observed, SuspendOwner


def test_a_key_is_shown_as_namespace_and_name() -> None:
    assert str(Key("default", "ada")) == "default/ada"


# Jobs


@pytest.mark.parametrize(
    ("made", "is_finished", "is_active"),
    [
        (job(), False, True),
        (job().complete(success()), True, False),
        (job().failed(), True, False),
        (job().running().deleting(), False, False),
    ],
    ids=["created", "complete", "failed", "deleting"],
)
def test_a_job_is_active_until_it_is_finished_or_deleted(made: JobMaker, is_finished: bool, is_active: bool) -> None:
    assert (made.obj().is_finished, made.obj().is_active) == (is_finished, is_active)


@pytest.mark.parametrize(
    ("made", "owner"),
    [
        (job(), SuspendOwner.NONE),
        (job().suspended(by_operator=True), SuspendOwner.OPERATOR),
        (job().suspended(), SuspendOwner.OTHER),
        (job().queued(), SuspendOwner.KUEUE),
        (job().queued().suspended(), SuspendOwner.KUEUE),
        (job().queued().suspended(by_operator=True), SuspendOwner.KUEUE),
    ],
    ids=["none", "operator", "other", "admitted-by-kueue", "queued-by-kueue", "kueue-before-operator"],
)
def test_a_suspension_belongs_to_kueue_else_to_the_operator_with_its_mark(made: JobMaker, owner: SuspendOwner) -> None:
    assert made.obj().suspend_owner is owner
    assert made.obj().is_managed_elsewhere is (owner in (SuspendOwner.KUEUE, SuspendOwner.OTHER))


STARTED = job().without_pods(since="2026-11-23T12:00:30Z", started=NOW)


@pytest.mark.parametrize(
    ("made", "had_pods"),
    [
        (job(), False),
        (STARTED, False),
        (job().without_pods(since="2026-11-23T12:00:31Z", started=NOW), True),
        (STARTED.progress_reported(), True),
        (STARTED.with_facts(ended_pods=1), True),
    ],
    ids=["not-started", "within-webhook-timeout", "after-webhook-timeout", "progress", "ended-pod"],
)
def test_a_job_had_pods_if_one_ended_reported_or_lived_for_a_while(made: JobMaker, had_pods: bool) -> None:
    assert made.obj().had_pods is had_pods


# TweetModels


def test_an_absent_status_is_empty() -> None:
    assert observed().status is EMPTY_STATUS
    assert observed(status=collected_status()).status == collected_status()


@pytest.mark.parametrize(
    ("now_observed", "has_started"),
    [
        (observed(), False),
        (observed(status=EMPTY_STATUS), False),
        (observed(job()), True),
        (observed(status=collected_status()), True),
        (observed(status=status_with(run_entry())), True),
    ],
    ids=["new", "empty-status", "job", "steps", "runs"],
)
def test_a_tweetmodel_has_started_with_its_first_job(now_observed: Observed, has_started: bool) -> None:
    assert now_observed.has_started is has_started


def test_defaults_apply_until_the_first_job_or_the_deletion() -> None:
    omitted = {"omitted_fields": ("gpus",)}
    assert observed(**omitted).defaultable_fields == ("gpus",)
    assert observed(job(), **omitted).defaultable_fields == ()
    assert observed(deleted_at=time(NOW), **omitted).defaultable_fields == ()


RUN = run_entry()


@pytest.mark.parametrize(
    ("step", "step_id", "expected"),
    [
        ("collect", "c" * 16, True),
        ("purge", "c" * 16, True),
        ("train", RUN.id, True),
        ("sample", RUN.id, True),
        ("train", "a" * 16, False),
    ],
    ids=["collect", "purge", "known-run", "sample-of-known-run", "new-run"],
)
def test_a_run_outside_the_history_never_had_a_job(step: StepName, step_id: str, expected: bool) -> None:
    assert observed(status=status_with(RUN)).may_have_had_job(step, step_id) is expected
    assert not observed().may_have_had_job(step, step_id)


@pytest.mark.parametrize(
    ("jobs", "is_pending"),
    [
        ((), False),
        ((job(),), True),
        ((job().complete(success()),), True),
        ((job().complete(success()).expiring(),), False),
    ],
    ids=["none", "active", "without-ttl", "with-ttl"],
)
def test_jobs_are_pending_until_they_have_a_ttl(jobs: tuple[JobMaker, ...], is_pending: bool) -> None:
    assert observed(*jobs).has_pending_jobs is is_pending


def test_the_active_step_is_the_one_with_an_active_job() -> None:
    active = observed(status=collected_status()).active_step()
    assert active
    assert active.name == "train"
    assert observed(status=finished_status()).active_step() is None
    assert observed().active_step() is None
