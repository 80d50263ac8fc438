"""Outcomes of Jobs, for the metrics."""

from dataclasses import replace
from datetime import datetime

from tweetmodel_api.reasons import Reason
from tweetmodel_operator.decide.diagnosis import diagnose_finished
from tweetmodel_operator.decision import Decision, JobOutcome
from tweetmodel_operator.observed import Observed, ObservedJob


def with_job_outcomes(decision: Decision, observed: Observed, now: datetime) -> Decision:
    """Return the decision with the outcomes of Jobs to count now: Jobs that the decision deletes, and finished Jobs
    that get a TTL or end with the TweetModel. Each Job is counted once.
    """
    outcomes = []
    for job in observed.jobs:
        if job.name in decision.set_ttl or _ends_with_tweetmodel(job, decision, observed):
            outcomes.append(_outcome_of(job))
        elif job.name in decision.delete:
            outcomes.append(JobOutcome(replace(job, ended_at=now), "Deleted", "Deleted"))
    return replace(decision, job_outcomes=tuple(outcomes))


def _ends_with_tweetmodel(job: ObservedJob, decision: Decision, observed: Observed) -> bool:
    is_last_decision = observed.is_deleting and decision.set_finalizer is False
    return is_last_decision and job.step == "purge" and job.is_finished


def _outcome_of(job: ObservedJob) -> JobOutcome:
    state = diagnose_finished(job)
    if state is None:
        return JobOutcome(job, "Failed", Reason.INTERNAL_ERROR)
    return JobOutcome(job, state.outcome, state.reason)
