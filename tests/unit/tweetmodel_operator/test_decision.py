"""Writes of a decision, and the decisions that require a live read."""

from dataclasses import replace
from typing import Any

import pytest

from makers import (
    NOW,
    JobMaker,
    collected_status,
    decided,
    finished_status,
    job,
    model,
    observed,
    run_entry,
    spec,
    status_with,
    success,
    time,
)
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import Freshness, Observed

STATUS = finished_status()
(FIRST_COLLECT,) = decided(observed()).create
(RETRIED_COLLECT,) = decided(observed(status=decided(observed()).status)).create
(FIRST_TRAIN,) = decided(observed(job().complete(success(dataset=collected_status().dataset)))).create
(SAMPLE,) = decided(observed(of=spec(generation={"temperature": "0.5"}), status=STATUS)).create


@pytest.mark.parametrize(
    ("decision", "has_writes"),
    [
        (Decision(), False),
        (Decision(requeue_after=5), False),
        (Decision(status=STATUS), False),
        (Decision(status=collected_status()), True),
        (Decision(set_finalizer=True), True),
        (Decision(set_finalizer=False), True),
        (Decision(delete=("a",)), True),
        (Decision(suspend=(("a", True),)), True),
        (Decision(create=(FIRST_COLLECT,)), True),
        (Decision(set_ttl=("a",)), True),
        (Decision(orphan_warning="The folder remains."), True),
    ],
    ids=[
        *("empty", "requeue", "same-status", "status", "add-finalizer", "remove-finalizer", "delete", "suspend"),
        *("create", "ttl", "warning"),
    ],
)
def test_a_decision_has_writes_unless_it_changes_nothing(decision: Decision, has_writes: bool) -> None:
    assert decision.has_writes(observed(status=STATUS)) is has_writes


def cached(*jobs: JobMaker, freshness: Freshness = Freshness.CACHED, **facts: Any) -> Observed:
    return replace(observed(*jobs, **facts), freshness=freshness)


COMPLETE = job().complete(success())
LIVE_READS: dict[str, tuple[Decision, Observed, bool]] = {
    "first-collection": (Decision(create=(FIRST_COLLECT,)), cached(), False),
    "first-run": (Decision(create=(FIRST_TRAIN,)), cached(status=status_with()), False),
    "status": (Decision(status=STATUS), cached(), False),
    "ttl": (Decision(set_ttl=("a",)), cached(COMPLETE), False),
    "second-attempt": (Decision(create=(RETRIED_COLLECT,)), cached(), True),
    "second-collection": (Decision(create=(FIRST_COLLECT,)), cached(status=STATUS), True),
    "known-run": (Decision(create=(SAMPLE,)), cached(status=status_with(run_entry())), True),
    "from-list": (Decision(create=(FIRST_COLLECT,)), cached(freshness=Freshness.LIST_ONLY), True),
    "status-from-list": (Decision(status=STATUS), cached(freshness=Freshness.LIST_ONLY), False),
    "deletion-of-job": (Decision(delete=("a",)), cached(), True),
    "suspension": (Decision(suspend=(("a", True),)), cached(), True),
    "warning": (Decision(orphan_warning="The folder remains."), cached(), True),
    "finalizer": (Decision(set_finalizer=True), cached(), True),
    "deleted-tweetmodel": (Decision(), cached(deleted_at=time(NOW)), True),
    "finished-job": (Decision(), cached(COMPLETE), False),
    "pods-not-cached": (Decision(), cached(COMPLETE.with_facts(pods=())), True),
    "fewer-pods-than-counted": (Decision(), cached(COMPLETE.with_facts(ended_pods=2)), True),
    "expiring-without-pods": (Decision(), cached(COMPLETE.with_facts(pods=()).expiring()), False),
    "active-job": (Decision(), cached(job().running()), False),
}
"""Decision, observation, and whether a live read is required."""


@pytest.mark.parametrize(("decision", "now_observed", "is_required"), LIVE_READS.values(), ids=LIVE_READS)
def test_a_decision_that_a_stale_cache_could_make_harmful_requires_a_live_read(
    decision: Decision, now_observed: Observed, is_required: bool
) -> None:
    assert decision.requires_live_read(now_observed) is is_required
    assert not decision.requires_live_read(replace(now_observed, freshness=Freshness.LIVE))


def test_the_train_job_of_a_new_run_needs_no_live_read() -> None:
    complete = job().complete(success(dataset=collected_status().dataset))
    before = cached(complete, status=decided(observed()).status)
    decision = decided(before)
    assert [request.plan.step for request in decision.create] == ["train"]
    assert not decision.requires_live_read(before)


def test_the_model_of_a_finished_run_needs_no_live_read() -> None:
    run = job("train").complete(success(model=model(job("train").obj().step_id)))
    before = cached(run, status=collected_status())
    assert not decided(before).requires_live_read(before)
