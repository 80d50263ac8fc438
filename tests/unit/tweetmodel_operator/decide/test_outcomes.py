"""Outcomes of Jobs that end with a decision, for the metrics."""

import pytest

from makers import NOW, JobMaker, failure, job, observed, success, time
from tweetmodel_api.reasons import Reason
from tweetmodel_operator.decide.outcomes import with_job_outcomes
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import Observed

COMPLETE = job().complete(success())
FAILED = job().pod_ended(77, failure(Reason.ACCESS_DENIED)).failed()


def outcomes(decision: Decision, now_observed: Observed) -> list[tuple[str, str, str]]:
    ended = with_job_outcomes(decision, now_observed, time(NOW)).job_outcomes
    return [(outcome.job.name, outcome.outcome, outcome.reason) for outcome in ended]


@pytest.mark.parametrize(
    ("ended", "outcome", "reason"),
    [
        (COMPLETE, "Succeeded", "Succeeded"),
        (FAILED, "Failed", "AccessDenied"),
        (job().complete(None), "Failed", "InternalError"),
    ],
    ids=["complete", "failed", "without-report"],
)
def test_a_finished_job_ends_when_it_gets_its_ttl(ended: JobMaker, outcome: str, reason: str) -> None:
    name = ended.obj().name
    assert outcomes(Decision(set_ttl=(name,)), observed(ended)) == [(name, outcome, reason)]
    assert outcomes(Decision(), observed(ended)) == []


def test_an_active_job_ends_when_it_is_deleted() -> None:
    active = job().running()
    (ended,) = with_job_outcomes(Decision(delete=(active.obj().name,)), observed(active), time(NOW)).job_outcomes
    assert (ended.outcome, ended.reason, ended.job.ended_at) == ("Deleted", "Deleted", time(NOW))


def test_a_purge_ends_with_its_tweetmodel() -> None:
    purge = job("purge").complete(success())
    deleted = observed(purge, deleted_at=time(NOW), has_finalizer=True)
    assert outcomes(Decision(set_finalizer=False), deleted) == [(purge.obj().name, "Succeeded", "Succeeded")]
    assert outcomes(Decision(), deleted) == []
    assert outcomes(Decision(set_finalizer=False), observed(purge, has_finalizer=True)) == []


def test_other_jobs_are_not_counted() -> None:
    assert outcomes(Decision(set_ttl=("another",), delete=("another",)), observed(COMPLETE)) == []
