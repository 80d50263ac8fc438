"""Decisions as a whole: Jobs, status and finalizer after changes of the spec, the cluster and the policy."""

from dataclasses import replace
from typing import Any

import pytest

from makers import (
    DIGEST,
    NOW,
    collected_status,
    condition,
    dataset,
    decided,
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
from tweetmodel_api.identities import run_id
from tweetmodel_api.plan import DatasetReference
from tweetmodel_api.status import Progress, TweetModelStatus
from tweetmodel_operator.decide.next_writes import Inputs, decide_rejected_job
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import Observed, PolicyResult

LATER = "2026-11-23T13:00:00Z"
RUN = run_id(spec(), DIGEST)
OTHER = spec(training={"epochs": 9})
VIOLATION = "spec.sources names @ada, an account that this cluster excludes"
FORBIDDEN = PolicyResult(violation=VIOLATION)
BAD_SCHEDULE = {"schedule": {"cron": "61 * * * *"}}


def outcomes(decision: Decision) -> list[str]:
    """Return the outcomes of the runs, newest first."""
    assert decision.status
    return [run.outcome for run in decision.status.runs]


# A run from start to end


def test_a_new_tweetmodel_gets_a_collect_job_only() -> None:
    decision = decided(observed())
    assert [request.plan.step for request in decision.create] == ["collect"]
    assert condition(decision) == ("Unknown", "Collecting")
    assert condition(decision, "Reconciling") == ("True", "Collecting")
    assert condition(decision, "Stalled") == ("False", "Collecting")


def test_a_decision_depends_on_the_state_only() -> None:
    assert decided(observed()) == decided(observed())
    second = decided(observed(job(), status=status_after(observed())), LATER)
    assert not second.create
    third = decided(observed(job(), status=second.status), LATER)
    assert third.status == second.status


def test_the_train_job_follows_the_data_set_and_has_its_digest() -> None:
    decision = decided(observed(job().complete(success(dataset=dataset()))))
    (request,) = decision.create
    assert request.plan.step == "train"
    assert request.plan.dataset
    assert request.plan.dataset.digest == DIGEST
    assert condition(decision, "DataReady") == ("True", "Succeeded")
    assert condition(decision) == ("Unknown", "Training")


def test_a_finished_run_makes_the_tweetmodel_ready() -> None:
    report = success(model=model(RUN), samples=["a tweet"], message="It learned.")
    decision = decided(observed(job("train").complete(report), status=collected_status()))
    assert condition(decision) == ("True", "Succeeded")
    assert condition(decision, "Reconciling") == ("False", "Succeeded")
    assert condition(decision, "Trained") == ("True", "Succeeded")
    assert message(decision) == "It learned."
    assert decision.status
    assert decision.status.samples == ("a tweet",)
    assert decision.status.summary
    assert (decision.status.summary.loss, decision.status.summary.progress) == ("2.5", "100%")
    assert [(run.id, run.outcome) for run in decision.status.runs] == [(RUN, "Succeeded")]


def test_a_ready_tweetmodel_does_not_change() -> None:
    status = finished_status()
    assert decided(observed(status=status), LATER) == Decision(status=status)


def test_a_job_gets_its_ttl_once_its_outcome_is_in_the_status() -> None:
    finished = job("train").complete(success(model=model(RUN)))
    first = decided(observed(finished, status=collected_status()))
    assert first.set_ttl == ()
    second = decided(observed(finished, status=first.status), LATER)
    assert second.set_ttl == (finished.obj().name,)
    assert decided(observed(finished.expiring(), status=first.status), LATER).set_ttl == ()


# Changes of the spec


def test_a_changed_spec_starts_another_run_and_keeps_the_model() -> None:
    decision = decided(observed(of=OTHER, status=finished_status(), generation=2))
    assert [request.step_id for request in decision.create] == [run_id(OTHER, DIGEST)]
    assert outcomes(decision) == ["Active", "Succeeded"]
    assert decision.status
    assert decision.status.model, "the last model can be used during the next run"
    assert condition(decision) == ("Unknown", "Training")


def test_a_changed_spec_supersedes_the_unfinished_run() -> None:
    running = job("train").running()
    decision = decided(observed(running, of=OTHER, status=collected_status(), generation=2))
    assert decision.delete == (running.obj().name,)
    assert outcomes(decision) == ["Active", "Superseded"]


def test_a_return_to_the_finished_spec_is_ready_at_once() -> None:
    running = job("train", OTHER).running()
    changed = status_after(observed(running, of=OTHER, status=finished_status()))
    back = decided(observed(running, status=changed))
    assert back.delete == (running.obj().name,)
    assert condition(back) == ("True", "Succeeded")
    assert "12.2" in message(back)
    assert outcomes(back) == ["Superseded", "Succeeded"]
    assert back.status
    assert not [step for step in back.status.steps if step.outcome == "Active"]


def test_a_change_without_effect_on_the_result_starts_nothing() -> None:
    other = spec(gpus=0, resources={"limits": {"memory": "4Gi"}})
    decision = decided(observed(of=other, status=finished_status(), generation=2))
    assert not decision.create
    assert condition(decision) == ("True", "Succeeded")


# Suspensions


def test_a_suspension_stops_the_job_and_a_resumption_continues_the_job() -> None:
    running, of = job("train").running(), spec(suspend=True)
    decision = decided(observed(running, of=of, status=collected_status()))
    assert decision.suspend == ((running.obj().name, True),)
    assert condition(decision) == ("False", "Suspended")
    held = job("train").suspended(by_operator=True)
    suspended = decided(observed(held, of=of, status=decision.status))
    assert suspended.status == decision.status
    assert condition(suspended, "Stalled")[0] == "False"
    resumed = decided(observed(held, status=suspended.status))
    assert resumed.suspend == ((running.obj().name, False),)
    assert condition(resumed) == ("Unknown", "Training")


def test_a_suspended_tweetmodel_creates_no_job() -> None:
    decision = decided(observed(of=spec(suspend=True)))
    assert not decision.create
    assert condition(decision) == ("False", "Suspended")


def test_a_job_that_another_controller_suspends_is_not_resumed() -> None:
    decision = decided(observed(job().suspended()))
    assert decision.suspend == ()
    assert condition(decision) == ("Unknown", "Queued")
    assert "workloads" not in message(decision)
    queued = decided(observed(job().queued().suspended()))
    assert "If there is no Workload, correct spec.queueName" in message(queued)


# Violations of the policy


def test_a_forbidden_spec_stalls_and_creates_no_job() -> None:
    violation = "spec.podTemplate.image x is not one of the images that this cluster allows"
    decision = decided(observed(), policy=PolicyResult(violation=violation))
    assert condition(decision, "Stalled") == ("True", "NotAllowed")
    assert violation in message(decision)
    assert not decision.create


@pytest.mark.parametrize("suspend", [False, True], ids=["active", "suspended"])
def test_a_violation_stops_the_job_and_its_end_continues_from_the_checkpoint(suspend: bool) -> None:
    reported = Progress(progress_percentage=45, last_updated_time=NOW)
    running = job("train").running()
    before = status_after(observed(running, status=collected_status(), progress=reported))
    stopped = decided(observed(running, of=spec(suspend=suspend), status=before), policy=FORBIDDEN)
    assert (stopped.delete, stopped.suspend, stopped.create) == ((running.obj().name,), (), ())
    assert condition(stopped, "Stalled") == ("True", "NotAllowed")
    assert condition(stopped, "Trained") == ("Unknown", "NotAllowed")
    assert stopped.status
    assert stopped.status.progress is None
    gone = decided(observed(status=stopped.status), LATER, FORBIDDEN)
    assert not gone.create
    allowed = decided(observed(status=gone.status))
    assert [(request.step_id, request.attempt) for request in allowed.create] == [(running.obj().step_id, 2)]


def test_the_outcome_of_a_job_that_ended_before_a_violation_is_recorded() -> None:
    finished = job("train").complete(success(model=model(RUN)))
    first = decided(observed(finished, status=collected_status()), policy=FORBIDDEN)
    assert condition(first, "Stalled") == ("True", "NotAllowed")
    assert outcomes(first) == ["Succeeded"]
    second = decided(observed(finished, status=first.status), policy=FORBIDDEN)
    assert second.set_ttl == (finished.obj().name,)


# Invalid specs


def running_status() -> TweetModelStatus:
    return status_after(observed(job("train").running(), status=collected_status()))


def unreadable() -> Observed:
    before = observed(job("train").running(), status=running_status())
    return replace(before, spec=None, spec_error="spec.training.epochs: too many")


def badly_scheduled() -> Observed:
    return observed(job("train").running(), of=spec(**BAD_SCHEDULE), status=running_status())


@pytest.mark.parametrize("mistaken", [unreadable, badly_scheduled])
def test_an_invalid_spec_leaves_its_job_alone(mistaken: Any) -> None:
    decision = decided(mistaken())
    assert condition(decision, "Stalled") == ("True", "InvalidSpec")
    assert (decision.delete, decision.suspend, decision.create) == ((), (), ())


def test_a_suspension_of_an_invalid_spec_takes_effect() -> None:
    running, before = job("train").running(), running_status()
    name, held = running.obj().name, spec(**BAD_SCHEDULE, suspend=True)
    suspended = running.suspended(by_operator=True)
    assert decided(observed(running, of=held, status=before)).suspend == ((name, True),)
    assert decided(observed(suspended, of=spec(**BAD_SCHEDULE), status=before)).suspend == ((name, False),)
    assert not decided(observed(suspended, of=held, status=before)).suspend
    assert decided(observed(running.queued(), of=held, status=before)).delete == (name,)
    assert decided(observed(running, of=held, status=before), policy=FORBIDDEN).delete == (name,)


def test_a_violation_precedes_an_invalid_schedule() -> None:
    decision = decided(observed(of=spec(**BAD_SCHEDULE)), policy=FORBIDDEN)
    assert condition(decision) == ("False", "NotAllowed")


@pytest.mark.parametrize(
    ("fields", "policy"), [({}, FORBIDDEN), (BAD_SCHEDULE, PolicyResult())], ids=["forbidden", "invalid"]
)
def test_the_finalizer_follows_the_deletion_policy_of_any_readable_spec(
    fields: dict[str, Any], policy: PolicyResult
) -> None:
    decision = decided(observed(of=spec(**fields, deletionPolicy="Delete")), policy=policy)
    assert decision.set_finalizer is True


def test_defaults_are_applied_to_an_unreadable_spec_after_a_minute() -> None:
    before = replace(observed(omitted_fields=("storage",)), spec=None, spec_error="spec.storage is missing")
    assert decided(before).requeue_after == 60
    assert decided(replace(before, omitted_fields=())).requeue_after is None


# Upstream TweetModels


UPSTREAM = spec(sources=[{"handle": "bob", "tweetModel": {"name": "bob"}}])


def test_a_collection_waits_for_upstream_data_sets() -> None:
    decision = decided(observed(of=UPSTREAM), upstreams={"bob": "has no data set yet", "eve": "does not exist"})
    assert not decision.create
    assert decision.requeue_after == 15
    assert condition(decision) == ("Unknown", "Pending")
    expected = (
        "The posts are not collected yet (waiting for the data set of TweetModel bob, which has no data set yet; and of"
    )
    assert message(decision).startswith(expected)


def test_upstream_data_sets_are_part_of_the_plan() -> None:
    available = DatasetReference(uri="s3://bucket/models/default/bob/datasets/dd", digest=DIGEST)
    (request,) = decided(observed(of=UPSTREAM), upstreams={"bob": available}).create
    assert request.plan.upstream_datasets == {"bob": available}


def test_an_active_collection_does_not_wait_for_its_upstreams() -> None:
    running = observed(job("collect", UPSTREAM).running(), of=UPSTREAM)
    decision = decided(running, upstreams={"bob": "does not exist"})
    assert condition(decision) == ("Unknown", "Collecting")


# Rejected Jobs


@pytest.mark.parametrize(
    ("cause", "is_stalled"),
    [("exceeded quota: jobs", "False"), ("denied the request", "True")],
    ids=["quota", "policy"],
)
def test_a_rejected_job_is_not_recorded_and_retried_after_a_minute(cause: str, is_stalled: str) -> None:
    inputs = Inputs(observed(), PolicyResult(), {}, time(NOW), 10)
    decision = decide_rejected_job(inputs, decided(observed()), cause)
    assert (decision.create, decision.requeue_after) == ((), 60)
    assert condition(decision, "Stalled") == (is_stalled, "PodRefused")
    assert decision.status
    assert decision.status.steps == ()


def test_the_results_of_a_decision_survive_the_rejection_of_its_job() -> None:
    collected = observed(job().complete(success(dataset=dataset())))
    inputs = Inputs(collected, PolicyResult(), {}, time(NOW), 10)
    decision = decide_rejected_job(inputs, decided(collected), "denied the request")
    assert decision.status
    assert decision.status.dataset == dataset()
    assert condition(decision, "DataReady") == ("True", "Succeeded")


def test_a_rejected_purge_is_given_up_unless_the_rejection_is_transient() -> None:
    deleted = observed(of=spec(deletionPolicy="Delete"), deleted_at=time(NOW), has_finalizer=True)
    inputs = Inputs(deleted, PolicyResult(), {}, time(NOW), 10)
    retried = decide_rejected_job(inputs, decided(deleted), "exceeded quota: jobs")
    assert (retried.set_finalizer, retried.requeue_after) == (None, 60)
    given_up = decide_rejected_job(inputs, decided(deleted), "the namespace is being terminated")
    assert given_up.set_finalizer is False
    assert "the namespace is being terminated" in given_up.orphan_warning


def test_a_job_that_no_step_needs_is_deleted() -> None:
    stray = job("train", OTHER).running()
    status = finished_status().model_copy(update={"runs": (run_entry(OTHER, outcome="Active"), run_entry())})
    decision = decided(observed(stray, status=status))
    assert decision.delete == (stray.obj().name,)
    assert outcomes(decision) == ["Superseded", "Succeeded"]
