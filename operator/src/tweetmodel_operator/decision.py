"""The decision about a TweetModel: all next writes of the operator."""

from dataclasses import dataclass

from tweetmodel_api.plan import Plan
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.status import TweetModelStatus
from tweetmodel_operator.observed import Freshness, Observed, ObservedJob


@dataclass(frozen=True)
class JobRequest:
    """A Job to create; `manifests.BUILDERS` builds the object."""

    name: str
    uid: str
    """UID of the TweetModel."""
    step_id: str
    attempt: int
    pod_template_hash: str
    plan: Plan
    pod_template: PodTemplate
    """Metadata, placement and identity of the pods."""

    def may_repeat(self, observed: Observed) -> bool:
        """Return whether an earlier Job of the same purpose may have existed, which the cache may have evicted."""
        return self.attempt > 1 or observed.may_have_had_job(self.plan.step, self.step_id)


ChildRequest = JobRequest
"""A child object to create; another kind of child is another member of a union here, with `may_repeat`."""


@dataclass(frozen=True)
class JobOutcome:
    """The end of a Job, for the metrics."""

    job: ObservedJob
    outcome: str
    reason: str


@dataclass(frozen=True)
class Decision:
    """All next writes for a TweetModel, and the time of the next reconcile. `apply` defines the order of the writes."""

    set_finalizer: bool | None = None
    """True adds the operator's finalizer, False removes the finalizer, None changes nothing."""
    delete: tuple[str, ...] = ()
    """Jobs to delete, with their pods."""
    suspend: tuple[tuple[str, bool], ...] = ()
    """Jobs to suspend (True) or resume (False)."""
    create: tuple[ChildRequest, ...] = ()
    """Children to create."""
    status: TweetModelStatus | None = None
    """Complete status to write; None leaves the status unchanged."""
    set_ttl: tuple[str, ...] = ()
    """Finished Jobs with the outcome already in the recorded status, which can expire."""
    orphan_warning: str = ""
    """Warning about data left in the bucket after the deletion of the TweetModel."""
    requeue_after: float | None = None
    """Seconds until the next reconcile without an event."""
    job_outcomes: tuple[JobOutcome, ...] = ()
    """Jobs ended by this decision, for the metrics."""

    def has_writes(self, observed: Observed) -> bool:
        """Return whether the decision writes anything."""
        if self.set_finalizer is not None or self.orphan_warning:
            return True
        if self.delete or self.suspend or self.create or self.set_ttl:
            return True
        return self.status is not None and self.status != observed.recorded_status

    def requires_live_read(self, observed: Observed) -> bool:
        """Return whether the decision must be repeated after a live read, because a stale observation could do harm.

        A stale cache is sufficient for the first Job of the first collection or of a new run, since the name of the
        Job is unique to its purpose, and for the outcome of a Job whose pods have all terminated, since the outcome
        is final. Another Job with the same id requires a live read, since the cache evicts finished Jobs. Any Job of
        a TweetModel known only from a list requires a live read too: the list may be older than the creation and
        deletion of that Job.
        """
        if observed.freshness is Freshness.LIVE:
            return False
        if self.delete or self.suspend or self.orphan_warning or self.set_finalizer is not None:
            return True
        if observed.is_deleting or any(map(_may_miss_reports, observed.jobs)):
            return True
        if self.create and observed.freshness is Freshness.LIST_ONLY:
            return True
        return any(request.may_repeat(observed) for request in self.create)


def _may_miss_reports(job: ObservedJob) -> bool:
    """Return whether a finished Job may have terminated pods not yet in the cache."""
    if not job.is_finished or job.has_ttl:
        return False
    return sum(pod.exit_code is not None for pod in job.pods) < max(1, job.ended_pods)
