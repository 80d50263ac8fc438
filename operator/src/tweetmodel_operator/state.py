"""The frozen values that flow through a reconcile: what was observed, and what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tweetmodel_api.identities import StepName
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.report import Report
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Progress, TweetModelStatus

SLOWEST_REFUSAL_SECONDS = 30.0
"""An admission webhook must answer by then."""


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one RFC 3339 time to another."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


@dataclass(frozen=True)
class Key:
    """Names a TweetModel."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class ObservedPod:
    """A pod of a Job, reduced to what a decision needs."""

    name: str
    created: str
    started: str = ""
    """When its container began to run; empty while it has not."""
    running: bool = False
    waiting_reason: str = ""
    """Why its container has not started, such as ImagePullBackOff."""
    waiting_message: str = ""
    unschedulable: str = ""
    """The scheduler's sentence, where it finds no node."""
    exit_code: int | None = None
    exit_reason: str = ""
    """The kubelet's word for how the container ended, such as OOMKilled."""
    memory_limit: str = ""
    """The most memory that its container may use, such as 12Gi; empty where there is no limit."""
    failure: str = ""
    """Why its node has ended it, or not taken it, in the kubelet's words; empty where it has not."""
    scheduled: str = ""
    """When a node was found for it; empty until then."""
    node: str = ""
    """Where it runs; empty while the scheduler has found no node."""
    unprepared: bool = False
    """Whether the kubelet says that it has no network and volumes yet."""
    unheard: bool = False
    """Whether the control plane says that the node of its running container does not answer."""
    due: str = ""
    """When it must have ended, because it was deleted; empty where it was not, or has ended."""
    report: Report | None = None


@dataclass(frozen=True)
class ObservedJob:
    """A Job of a TweetModel, reduced to what a decision needs."""

    name: str
    step: StepName
    id: str
    """The collection or run it works for."""
    attempt: int
    inputs: str
    created: str
    started: str = ""
    """When the Job controller began to make pods, or began again after a suspension; empty until then."""
    ended: str = ""
    idle_since: str = ""
    """When the Job controller said last that no pod of it is there; empty while one is, or it has not begun."""
    refusal: str = ""
    """Why the Job controller could make no pod since then, in the API server's words; empty where nothing says so."""
    reported: str = ""
    """When a pod of it told last how far it is; empty while none has."""
    ended_pods: int = 0
    """How many pods the Job controller has counted as ended."""
    complete: bool = False
    failed_reason: str = ""
    """Reason of the Job's Failed condition; empty while it has not failed."""
    failed_message: str = ""
    suspended: bool = False
    suspended_by_us: bool = False
    queued: bool = False
    """Whether Kueue says when its pods may be."""
    deleted: str = ""
    """When somebody deleted it; empty while nobody has."""
    has_ttl: bool = False
    gpus: int = 0
    """GPUs that its pod asks for."""
    pods: tuple[ObservedPod, ...] = ()
    """Oldest first."""

    @property
    def deleting(self) -> bool:
        """Whether it is on its way out."""
        return bool(self.deleted)

    @property
    def finished(self) -> bool:
        """Whether it will do no more work."""
        return self.complete or bool(self.failed_reason)

    @property
    def managed(self) -> bool:
        """Whether another manager, such as Kueue, says when its pods may be."""
        return self.queued or (self.suspended and not self.suspended_by_us)

    @property
    def has_made_pods(self) -> bool:
        """Whether a pod of it was there before, so that it may only pause before it makes the next one."""
        known = bool(self.reported) or self.ended_pods > 0
        return known or seconds_between(self.started, self.idle_since) > SLOWEST_REFUSAL_SECONDS


NOTHING_YET = TweetModelStatus(observed_generation=0)


@dataclass(frozen=True)
class Observed:
    """A TweetModel and its Jobs, as the API server has them now."""

    key: Key
    uid: str
    generation: int
    resource_version: str = ""
    deleted: str = ""
    """When somebody deleted it; empty while nobody has."""
    held: bool = False
    """Whether our finalizer is on it."""
    retry: str = ""
    """Value of the annotation by which a person asked for another attempt last; it may be gone since."""
    spec: TweetModelSpec | None = None
    absent: tuple[str, ...] = ()
    """Fields that the administrator may have a default for and the spec leaves out."""
    spec_error: str = ""
    """Why the spec can't be read, where `spec` is None."""
    forbidden: str = ""
    """Why the administrator does not allow the spec; empty where it is allowed."""
    forbidden_pods: bool = False
    """Whether it is the image or account of its pods that is not allowed."""
    status: TweetModelStatus | None = None
    """None where there is none yet, or none that this version can read."""
    jobs: tuple[ObservedJob, ...] = ()
    borrowed: Mapping[str, DatasetReference | str] = field(default_factory=dict)
    """Data sets of the TweetModels that sources name, or why one has none."""
    progress: Progress | None = None
    """What the pod of the current attempt posted last."""

    proven: bool = False
    """Whether this was read from the API server for this very pass; else it is what the watches said last."""

    hearsay: bool = False
    """Whether the TweetModel is as a list has it that may be of the past."""

    @property
    def before(self) -> TweetModelStatus:
        """The status so far; one that says nothing where there is none."""
        return self.status or NOTHING_YET

    @property
    def suspended(self) -> bool:
        """Whether a person wants no work to be done."""
        return self.spec is not None and self.spec.suspend

    def must_end(self, job: ObservedJob) -> bool:
        """Whether a Job is in the way of no work being done, so that a suspension is not enough.

        Kueue would keep its room for it as long as it is there, another manager would start it again, and what is not
        allowed may not stay.
        """
        return not job.finished and (bool(self.forbidden) or (self.suspended and job.managed))

    @property
    def has_begun(self) -> bool:
        """Whether a Job was made, ever: the status drops an attempt that is settled, but keeps what it trained."""
        told = self.status is not None and (self.status.attempt is not None or bool(self.status.runs))
        return told or bool(self.jobs)

    def has_had(self, stage: StepName, identity: str) -> bool:
        """Whether there may have been a Job for this before: of runs the status tells, of collections it does not."""
        if self.status and stage == "train":
            return any(run.id == identity for run in self.status.runs)
        return self.has_begun

    @property
    def unfilled(self) -> tuple[str, ...]:
        """The absent fields that a default may still be filled into: a default that changes later trains nothing."""
        return () if self.has_begun or self.deleting else self.absent

    @property
    def at_work(self) -> bool:
        """Whether a Job is at work, or has ended and waits for its TTL."""
        return any(not (job.finished and job.has_ttl) for job in self.jobs)

    @property
    def deleting(self) -> bool:
        """Whether it is on its way out."""
        return bool(self.deleted)


@dataclass(frozen=True)
class JobRequest:
    """A Job that should be; `manifests.job` writes it out."""

    name: str
    uid: str
    """The TweetModel's."""
    id: str
    attempt: int
    inputs: str
    plan: Plan


@dataclass(frozen=True)
class Decision:
    """Everything that should happen now, in the order of the fields; a finalizer goes last."""

    hold: bool | None = None
    """Whether our finalizer should be on it; None where it is as it should be."""
    delete: tuple[str, ...] = ()
    """Jobs to delete, with their pods."""
    suspend: tuple[tuple[str, bool], ...] = ()
    """Jobs to suspend (True) or resume (False)."""
    create: tuple[JobRequest, ...] = ()
    status: TweetModelStatus | None = None
    """The whole status; None leaves it alone."""
    expire: tuple[str, ...] = ()
    """Finished Jobs whose outcome the status on the server already holds: they may get their TTL."""
    farewell: str = ""
    """A warning about a TweetModel that goes although something of it stays: its status goes with it."""
    requeue_after: float | None = field(default=None)
    """Seconds after which to look again without an event."""

    def changes(self, observed: Observed) -> bool:
        """Whether anything is to be written."""
        work = (self.delete, self.suspend, self.create, self.expire, self.farewell, self.hold is not None)
        return any(work) or (self.status is not None and self.status != observed.status)

    def needs_proof(self, observed: Observed) -> bool:
        """Whether a stale view could make it do harm, so that it must be decided on what was read for it.

        Not so the first Job of the first collection or of a new run, whose name says what it is for, nor the outcome of
        a Job whose pods have all been seen to end: neither is taken back. A Job for what may have had one before needs
        proof: the view lets go of those that have ended. So does any where a list alone has told of the TweetModel: in
        a list from the past, the Job may have come, been done and gone since.
        """
        final = bool(self.delete or self.suspend or self.farewell) or self.hold is not None or observed.deleting
        again = any(request.attempt > 1 or observed.has_had(request.plan.step, request.id) for request in self.create)
        unseen = any(
            job.finished
            and not job.has_ttl
            and sum(pod.exit_code is not None for pod in job.pods) < max(1, job.ended_pods)
            for job in observed.jobs
        )
        return final or again or unseen or (observed.hearsay and bool(self.create))
