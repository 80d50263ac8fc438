"""A TweetModel and its Jobs as observations, to which decisions are applied without an API server.

Nothing is serialized, so that random walks can take thousands of steps a second. `makers.JobMaker` builds the Jobs.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from makers import KEY, UID, JobMaker, decided, requested_job
from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import TweetModelStatus
from tweetmodel_operator.decision import Decision, JobRequest
from tweetmodel_operator.observed import Freshness, Observed, ObservedJob, PolicyResult

ALL_WRITES = 99


class ObservedCluster:
    """A cluster with one TweetModel, its Jobs and a clock."""

    def __init__(self, spec: TweetModelSpec, clock: datetime) -> None:
        self.spec = spec
        self.clock = clock
        self.status: TweetModelStatus | None = None
        self.jobs: dict[str, ObservedJob] = {}
        """Jobs by name, oldest first."""
        self.plans: dict[str, Plan] = {}
        """Plans of all Jobs, including deleted Jobs."""
        self.generation = 1
        self.version = 0
        """Resource version of the TweetModel."""
        self.retry = ""
        self.deleted_at: datetime | None = None
        self.has_finalizer = self.is_gone = False
        self.spec_is_readable = True
        self.violation = ""
        """Violation of the administrator's policy."""

    @property
    def now(self) -> str:
        """Time of the clock in RFC 3339."""
        return self.clock.isoformat().replace("+00:00", "Z")

    @property
    def policy(self) -> PolicyResult:
        return PolicyResult(violation=self.violation)

    def edit(self, spec: TweetModelSpec) -> None:
        """Change the spec."""
        self.spec = spec
        self.generation += 1
        self.version += 1

    # The operator

    def observe(self, freshness: Freshness = Freshness.LIVE) -> Observed:
        """Observe the cluster live, or by the cache, which evicts finished Jobs with a TTL."""
        is_live = freshness is Freshness.LIVE
        return Observed(
            key=KEY,
            uid=UID,
            generation=self.generation,
            resource_version=str(self.version),
            deleted_at=self.deleted_at,
            has_finalizer=self.has_finalizer,
            retry=self.retry,
            spec=self.spec if self.spec_is_readable else None,
            spec_error="" if self.spec_is_readable else "spec.new: Extra inputs are not permitted",
            omitted_fields=("queueName",),
            recorded_status=self.status,
            jobs=tuple(job for job in self.jobs.values() if is_live or not (job.is_finished and job.has_ttl)),
            freshness=freshness,
        )

    def decide(self, observed: Observed) -> Decision:
        """Return the decision about an observation."""
        return decided(observed, self.now, self.policy)

    def apply(self, observed: Observed, decision: Decision, max_writes: int = ALL_WRITES) -> int:
        """Write as `apply.py` does, up to a number of writes; return the number of writes of the decision."""
        writes = self._writes(observed, decision)
        for write in writes[:max_writes]:
            write()
        return len(writes)

    def _writes(self, observed: Observed, decision: Decision) -> list[Callable[[], object]]:
        is_fresh = observed.resource_version == str(self.version)
        writes: list[Callable[[], object]] = []
        if decision.set_finalizer:
            writes.append(lambda: is_fresh and self._set_finalizer(True))
        writes += [lambda name=name: self.delete_job(name) for name in decision.delete]
        writes += [lambda name=name, to=to: self._suspend(name, to) for name, to in decision.suspend]
        writes += [lambda request=request: self._create(request) for request in decision.create]
        if decision.status and decision.status != observed.recorded_status:
            writes.append(lambda: is_fresh and self._write_status(decision.status))
        writes += [lambda name=name: self._update_job(name, has_ttl=True) for name in decision.set_ttl]
        if decision.set_finalizer is False:
            writes.append(lambda: is_fresh and self._set_finalizer(False))
        return writes

    def _set_finalizer(self, is_set: bool) -> None:
        self.has_finalizer = is_set
        if self.deleted_at and not is_set:
            assert not [job for job in self.jobs.values() if job.step == "purge" and job.is_active]
            self.is_gone = True

    def _suspend(self, name: str, to: bool) -> None:
        assert not (to and name in self.jobs and self.jobs[name].is_queued), "Kueue would keep the quota reserved"
        self._update_job(name, is_suspended=to, has_suspend_mark=to)

    def _create(self, request: JobRequest) -> None:
        assert not self.is_gone
        if request.name not in self.jobs:
            self.jobs[request.name] = requested_job(request, self.clock).obj()
            self.plans[request.name] = request.plan

    def _write_status(self, status: TweetModelStatus | None) -> None:
        assert status is not None
        TweetModelStatus.model_validate_json(status.model_dump_json(by_alias=True, exclude_defaults=True))
        self.status = status
        self.version += 1

    # Job controller and kubelet

    def delete_job(self, name: str) -> None:
        """Delete a Job, which remains until its pods have terminated."""
        if job := self.jobs.get(name):
            if job.pods and not job.is_finished:
                self._update_job(name, deleted_at=self.clock)
            else:
                del self.jobs[name]

    def start_pod(self, name: str) -> None:
        """Start a pod of a Job."""
        job = self.jobs[name] if self.jobs[name].started_at else replace(self.jobs[name], started_at=self.clock)
        self.jobs[name] = JobMaker(job).running(self.now).obj()

    def complete_job(self, name: str, report: Report | None) -> None:
        """End a pod with a report, and complete the Job."""
        self.jobs[name] = JobMaker(self.jobs[name]).complete(report, at=self.now).obj()

    def fail_job(self, name: str, code: int, report: Report | None, reason: str = "PodFailurePolicy") -> None:
        """End a pod with an exit code, and let the Job fail."""
        self.jobs[name] = JobMaker(self.jobs[name]).pod_ended(code, report).failed(reason, at=self.now).obj()

    def _update_job(self, name: str, **facts: Any) -> None:
        if name in self.jobs:
            self.jobs[name] = replace(self.jobs[name], **facts)
