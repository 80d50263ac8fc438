"""Reconciles a TweetModel in three steps: observe the actual state, decide about the next writes, apply them.

The reconcile is level-triggered: it depends on the state only and never on the event that woke the key, so missed,
repeated and late events all lead to the same result.

The state comes from the possibly stale cache. A decision based on the cache may therefore only do harmless writes:
create the first Job of the first collection or of a new run, with a name unique to the purpose, and write the status
at the observed version. Before all other writes, such as another attempt, a deletion, or the outcome of a Job with
pods not yet observed to have terminated, the operator reads the TweetModel live and decides again
(`Decision.requires_live_read`).
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from tweetmodel_api.status import Progress, TweetModelStatus
from tweetmodel_operator import logs, metrics
from tweetmodel_operator.api_server import ApiError, ApiServer
from tweetmodel_operator.apply import JobRejected, apply_decision
from tweetmodel_operator.cache import Cache
from tweetmodel_operator.decide.diagnosis import has_missing_pod
from tweetmodel_operator.decide.next_writes import Inputs, decide, decide_rejected_job
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.defaulting import apply_defaults
from tweetmodel_operator.observe import assemble, pod_creation_error, read, upstream_datasets
from tweetmodel_operator.observed import Freshness, Key, Observed, ObservedJob, PolicyResult
from tweetmodel_operator.policy import check_policy
from tweetmodel_operator.settings import Settings

logger = logging.getLogger(__name__)

IDLE_EVICTION_SECONDS = 300.0
"""A TweetModel without a reconcile in this time leaves the cache; the next reconcile then costs three reads."""


INVALID_CODES = (400, 422)
"""Codes of the API server for a spec forbidden by the CRD."""


@dataclass
class Reconciler:
    """Reconciles TweetModels. All reconciles share the cache, `progress` and `active_jobs`, rebuilt after a restart."""

    api: ApiServer
    settings: Settings
    now: Callable[[], datetime]
    progress_ca: str = ""
    cache: Cache = field(default_factory=Cache)
    progress: dict[str, Progress] = field(default_factory=dict)
    """Last progress received by the progress server, by Job."""
    active_jobs: dict[Key, str] = field(default_factory=dict)
    """Active Job of each TweetModel: the progress server accepts only progress of these Jobs' pods."""

    def __post_init__(self) -> None:
        self.api.on_write = self.cache.record_write

    async def reconcile(self, key: Key) -> float | None:
        """Make the next writes for a TweetModel, and return the seconds until the next reconcile, or None.

        Raises:
            ApiError: the API server rejected a request, or is unreachable; the work queue retries.
        """
        started = time.perf_counter()
        result = "error"
        with logs.log_context(key):
            try:
                requeue_after = await self._reconcile(key)
                result = "success"
                return requeue_after
            except ApiError as error:
                self.cache.invalidate(key)
                level = logging.INFO if error.code == 409 else logging.WARNING  # a conflict is resolved by the retry
                logger.log(level, "%s: retrying after an error of the API server (%s): %s", key, error.code, error)
                raise
            except Exception:
                self.cache.invalidate(key)
                logger.exception("%s: reconcile failed", key)
                raise
            finally:
                metrics.RECONCILES.labels(result).inc()
                metrics.RECONCILE_SECONDS.observe(time.perf_counter() - started)

    async def _reconcile(self, key: Key) -> float | None:
        observed = await self._observe(key)
        if observed is None:
            self._remove(key)
            return None
        _log_subject(observed.recorded_status)
        try:
            if await apply_defaults(self.api, observed, self.settings):
                return 0.0
        except ApiError as error:
            if error.code not in INVALID_CODES:
                raise
            message = (
                f"The administrator's defaults make the spec invalid ({str(error).rstrip('. ')}): "
                "set the field in the spec, or contact the administrator"
            )
            observed = replace(observed, spec=None, spec_error=message)
        inputs = await self._inputs(observed)
        decision = decide(inputs)
        if decision.requires_live_read(observed):
            self.cache.invalidate(key)
            return 0.0
        _log_subject(decision.status)
        decision = await self._apply(inputs, decision)
        self._track(key, decision)
        if decision.has_writes(observed):
            return 0.0  # the next reconcile may have more to do, for example to set a TTL
        requeue_after = decision.requeue_after
        if not observed.has_pending_jobs and (requeue_after is None or requeue_after > IDLE_EVICTION_SECONDS):
            self.cache.evict(key)
        return requeue_after

    async def _observe(self, key: Key) -> Observed | None:
        snapshot = self.cache.get(key)
        if snapshot:
            return assemble(key, snapshot, self.progress, self.cache.freshness(key))
        self.cache.begin_live_read(key)
        live = await read(self.api, key)
        if live is None:
            return None
        self.cache.replace(key, live)
        return assemble(key, live.snapshot, self.progress, Freshness.LIVE)

    async def _inputs(self, observed: Observed) -> Inputs:
        policy = check_policy(observed.spec, self.settings) if observed.spec else PolicyResult()
        now = self.now()
        return Inputs(
            observed=replace(observed, jobs=await self._with_pod_creation_errors(observed, now)),
            policy=policy,
            upstreams=await upstream_datasets(self.api, observed),
            now=now,
            progress_interval_seconds=self.settings.progress_interval_seconds,
        )

    async def _with_pod_creation_errors(self, observed: Observed, now: datetime) -> tuple[ObservedJob, ...]:
        jobs = list(observed.jobs)
        for index, job in enumerate(jobs):
            if has_missing_pod(job, now):
                error = await pod_creation_error(self.api, observed.key.namespace, job)
                jobs[index] = replace(job, pod_creation_error=error)
        return tuple(jobs)

    async def _apply(self, inputs: Inputs, decision: Decision) -> Decision:
        """Apply the decision, or the decision after a rejected Job; return the applied decision."""
        try:
            await apply_decision(self.api, inputs.observed, decision, self.settings, self.progress_ca)
        except JobRejected as rejection:
            decision = decide_rejected_job(inputs, decision, str(rejection))
            await apply_decision(self.api, rejection.observed, decision, self.settings, self.progress_ca)
        return decision

    def _track(self, key: Key, decision: Decision) -> None:
        """Track the active Job and count the outcomes of Jobs."""
        steps = decision.status.steps if decision.status else ()
        job = next((step.job for step in steps if step.outcome == "Active"), None)
        old = self.active_jobs.pop(key, None)
        if job:
            self.active_jobs[key] = job
        if old and old != job:
            self.progress.pop(old, None)
        for outcome in decision.job_outcomes:
            metrics.record_job_outcome(outcome, self.settings.gpu_resource)
        ready = decision.status.condition("Ready") if decision.status else None
        if ready:
            metrics.MODEL_STATES.set(str(key), ready.reason)

    def _remove(self, key: Key) -> None:
        self.cache.remove_tweetmodel(key)
        self.progress.pop(self.active_jobs.pop(key, ""), None)
        metrics.MODEL_STATES.remove(str(key))


def _log_subject(status: TweetModelStatus | None) -> None:
    """Add the run and the Job of a status to the following log lines."""
    if status:
        logs.add_to_log_context(status.run, status.steps[-1].job if status.steps else None)
