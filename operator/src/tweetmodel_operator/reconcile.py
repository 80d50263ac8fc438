"""The whole operator in three steps: observe what is, decide what should be, apply the difference.

Level-triggered: it looks at the present state alone and never at the event that woke it, so a missed, a
repeated and a late event all end the same.

The state is what the watches said last (`view.py`), which may lag behind. So a pass on its word does only what is
harmless then: it makes the first Job of the first collection or of a new run, whose name says what it is for, and
writes the status with the version that it saw. Before anything else - another attempt, a deletion, the outcome of a
Job whose pods have not been seen to end - the key is read afresh and decided anew.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tweetmodel_api.reasons import Reason
from tweetmodel_api.status import Progress, TweetModelStatus
from tweetmodel_operator import logs, metrics, policy
from tweetmodel_operator.api_server import ApiError, ApiServer, JsonObject
from tweetmodel_operator.apply import JobRefused, apply
from tweetmodel_operator.decide import decide, refused
from tweetmodel_operator.decide.stages import is_podless, judge
from tweetmodel_operator.fill import fill
from tweetmodel_operator.observe import assemble, borrowed, read, refusal
from tweetmodel_operator.settings import Settings
from tweetmodel_operator.state import Decision, Key, Observed, ObservedJob
from tweetmodel_operator.view import View

logger = logging.getLogger(__name__)

LONG_SECONDS = 300.0
"""What is looked at again only after this long is worth three reads then, and no memory until then."""


UNFIT = (400, 422)
"""What the API server answers to a spec that the CRD does not take."""


@dataclass
class Reconciler:
    """Holds what reconciles share; `posted` and `jobs` are hints that may be lost without harm."""

    api: ApiServer
    settings: Settings
    now: Callable[[], str]
    progress_ca: str = ""
    view: View = field(default_factory=View)
    posted: dict[str, Progress] = field(default_factory=dict)
    """What the progress server heard last, by Job."""
    jobs: dict[Key, str] = field(default_factory=dict)
    """The Job at work for each TweetModel: the progress server listens to its pods alone."""

    def __post_init__(self) -> None:
        self.api.written = self.view.answered

    async def reconcile(self, key: Key) -> float | None:
        """Brings one TweetModel a step on; returns the seconds after which to look again, if any.

        Raises:
            ApiError: the API server refused or does not answer: the queue tries again later.
        """
        started = time.perf_counter()
        result = "error"
        with logs.about(key):
            try:
                again = await self._step(key)
                result = "success"
                return again
            except ApiError as error:
                self.view.doubt(key)
                logger.warning("%s: the API server answered %s (%s): it is tried again", key, error.code, error)
                raise
            except Exception:
                self.view.doubt(key)
                logger.exception("%s: reconcile failed", key)
                raise
            finally:
                metrics.RECONCILES.labels(result).inc()
                metrics.RECONCILE_SECONDS.observe(time.perf_counter() - started)

    async def _step(self, key: Key) -> float | None:
        observed = await self._observe(key)
        if observed is None:
            self._forget(key)
            return None
        _log(observed.status)
        try:
            if await fill(self.api, observed, self.settings):
                return 0.0
        except ApiError as error:
            if error.code not in UNFIT:
                raise
            observed = replace(observed, spec=None, spec_error=f"the administrator's defaults don't fit it: {error}")
        observed = replace(
            observed, borrowed=await borrowed(self.api, observed), jobs=await self._with_refusals(observed)
        )
        decision = decide(observed, self.now(), self.settings.progress_interval_seconds)
        if not observed.proven and decision.needs_proof(observed):
            self.view.doubt(key)
            return 0.0
        _log(decision.status)
        try:
            await apply(self.api, observed, decision, self.settings, self.progress_ca)
        except JobRefused as refusal:
            decision = refused(observed, decision, str(refusal), self.now())
            await apply(self.api, observed, decision, self.settings, self.progress_ca)
        self._remember(key, observed, decision)
        if decision.changes(observed):
            return 0.0  # what follows from it, such as a TTL once the status holds the outcome
        again = decision.requeue_after
        if not observed.at_work and (again is None or again > LONG_SECONDS):
            self.view.rest(key)
        return again

    async def _observe(self, key: Key) -> Observed | None:
        seen = self.view.read(key)
        if seen:
            return replace(self._ruled(self._assemble(key, *seen)), hearsay=self.view.is_hearsay(key))
        found = await read(self.api, key)
        if found is None:
            return None
        self.view.renew(key, *found)
        tweetmodel, jobs, pods = found
        return replace(self._ruled(self._assemble(key, tweetmodel, jobs["items"], pods["items"])), proven=True)

    async def _with_refusals(self, observed: Observed) -> tuple[ObservedJob, ...]:
        """The Jobs, with the reason for which one that should have a pod by now has none."""
        jobs = list(observed.jobs)
        for place, job in enumerate(jobs):
            if is_podless(job, self.now()):
                jobs[place] = replace(job, refusal=await refusal(self.api, observed.key.namespace, job))
        return tuple(jobs)

    def _assemble(self, key: Key, tweetmodel: JsonObject, jobs: list[JsonObject], pods: list[JsonObject]) -> Observed:
        return assemble(key, tweetmodel, jobs, pods, self.posted, self.settings.gpu_resource)

    def _ruled(self, observed: Observed) -> Observed:
        if observed.spec is None:
            return observed
        asked = observed.spec, self.settings
        return replace(observed, forbidden=policy.forbidden(*asked), forbidden_pods=policy.forbidden_pods(*asked))

    def _remember(self, key: Key, observed: Observed, decision: Decision) -> None:
        attempt = decision.status.attempt if decision.status else None
        old = self.jobs.get(key)
        if attempt and attempt.outcome == "Active":
            self.jobs[key] = attempt.job
        else:
            self.jobs.pop(key, None)
        if old and old != self.jobs.get(key):
            self.posted.pop(old, None)
        purged = observed.deleting and decision.hold is False
        for job in observed.jobs:
            if job.name in decision.expire or (purged and job.step == "purge" and job.finished):
                verdict = judge(job, self.now())
                outcome, reason = (verdict.outcome, verdict.reason) if verdict else ("Failed", Reason.INTERNAL_ERROR)
                metrics.job_ended(job, outcome, reason)
            elif job.name in decision.delete:
                metrics.job_ended(replace(job, ended=self.now()), "Deleted", "Deleted")
        ready = decision.status.condition("Ready") if decision.status else None
        if ready:
            metrics.STATES.put(str(key), ready.reason)

    def _forget(self, key: Key) -> None:
        self.view.forget(key)
        self.posted.pop(self.jobs.pop(key, ""), None)
        metrics.STATES.drop(str(key))


def _log(status: TweetModelStatus | None) -> None:
    """Has the lines that follow tell the run and the Job that a status speaks of."""
    if status:
        logs.known(status.run, status.attempt.job if status.attempt else None)
