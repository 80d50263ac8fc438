"""The observed state of a TweetModel: frozen values with the facts for decisions.

Absent times are None; absent texts are None or empty, as documented. Times are aware datetimes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from tweetmodel_api.plan import DatasetReference
from tweetmodel_api.report import Report
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Progress, StepStatus, TweetModelStatus
from tweetmodel_api.steps import StepName
from tweetmodel_operator.times import seconds_between

MAX_WEBHOOK_SECONDS = 30.0
"""Maximum timeout of an admission webhook in Kubernetes."""


@dataclass(frozen=True, slots=True)
class Key:
    """Namespace and name of a TweetModel."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Freshness(Enum):
    """How up to date an observation is. `Decision.requires_live_read` defines the decisions that need a live one."""

    LIVE = "live"
    """Read from the API server for this reconcile."""
    CACHED = "cached"
    """From watch events and the operator's own writes; may lag behind the writes of others."""
    LIST_ONLY = "list-only"
    """TweetModel known only from a list, which may be older than watch events already delivered."""


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """A pod of a Job."""

    name: str
    created_at: datetime
    job_uid: str = ""
    started_at: datetime | None = None
    """Start of the container."""
    is_running: bool = False
    waiting_reason: str | None = None
    """Why the container has not started, such as ImagePullBackOff."""
    waiting_message: str = ""
    unschedulable_message: str | None = None
    """Message of the scheduler if no node fits."""
    exit_code: int | None = None
    exit_reason: str | None = None
    """Reason of the kubelet for the end of the container, such as OOMKilled."""
    memory_limit: str | None = None
    """Memory limit of the container, such as 12Gi."""
    node_failure: str | None = None
    """Message of the kubelet about an eviction, a rejection or a preemption."""
    scheduled_at: datetime | None = None
    node: str | None = None
    sandbox_ready: bool = True
    """False while the kubelet has not set up network and volumes."""
    node_unreachable: bool = False
    """True if the control plane has lost contact to the node of the running container."""
    deletion_deadline: datetime | None = None
    """Deadline for the termination of a deleted pod; None if the pod is not deleted, or has terminated."""
    report: Report | None = None
    resource_version: int = field(default=0, compare=False)


class SuspendOwner(Enum):
    """The controller that suspends and resumes a Job."""

    NONE = "none"
    OPERATOR = "operator"
    KUEUE = "kueue"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A Job of a TweetModel."""

    name: str
    step: StepName
    step_id: str
    """Collection or run of the Job."""
    attempt: int
    pod_template_hash: str
    created_at: datetime
    uid: str = ""
    owner_uid: str | None = None
    """UID of the owner; None for a purge, which outlives the TweetModel."""
    started_at: datetime | None = None
    """Start of pod creation by the Job controller, or resumption after a suspension."""
    ended_at: datetime | None = None
    no_pods_since: datetime | None = None
    """When the Job controller last counted no pods; None while pods exist, or before the start."""
    pod_creation_error: str | None = None
    """Message of the API server for the rejected pod, from the events of the Job controller."""
    progress_reported_at: datetime | None = None
    """Time of the last progress of a pod."""
    ended_pods: int = 0
    """Number of terminated pods by the count of the Job controller."""
    is_complete: bool = False
    failure_reason: str | None = None
    """Reason of the Job's Failed condition."""
    failure_message: str = ""
    is_suspended: bool = False
    has_suspend_mark: bool = False
    """True if the operator's annotation marks the suspension as the operator's."""
    is_queued: bool = False
    """True if the Job has a queue of Kueue."""
    deleted_at: datetime | None = None
    has_ttl: bool = False
    limits: Mapping[str, str] = field(default_factory=dict)
    """Resource limits of the container."""
    pods: tuple[ObservedPod, ...] = ()
    """Oldest first."""
    resource_version: int = field(default=0, compare=False)

    @property
    def is_deleting(self) -> bool:
        """True if the Job is being deleted."""
        return self.deleted_at is not None

    @property
    def is_finished(self) -> bool:
        """True if the Job is complete or failed."""
        return self.is_complete or self.failure_reason is not None

    @property
    def is_active(self) -> bool:
        """True if the Job is neither finished nor being deleted."""
        return not (self.is_finished or self.is_deleting)

    @property
    def suspend_owner(self) -> SuspendOwner:
        """Controller of the Job's suspension."""
        if self.is_queued:
            return SuspendOwner.KUEUE
        if not self.is_suspended:
            return SuspendOwner.NONE
        return SuspendOwner.OPERATOR if self.has_suspend_mark else SuspendOwner.OTHER

    @property
    def is_managed_elsewhere(self) -> bool:
        """True if another controller, such as Kueue, suspends and resumes the Job."""
        return self.suspend_owner in (SuspendOwner.KUEUE, SuspendOwner.OTHER)

    @property
    def had_pods(self) -> bool:
        """True if a pod existed before: the Job controller may only be pausing before the next pod."""
        if self.progress_reported_at is not None or self.ended_pods > 0:
            return True
        if self.started_at is None or self.no_pods_since is None:
            return False
        return seconds_between(self.started_at, self.no_pods_since) > MAX_WEBHOOK_SECONDS


EMPTY_STATUS = TweetModelStatus(observed_generation=0)


@dataclass(frozen=True)
class Observed:
    """A TweetModel with its Jobs."""

    key: Key
    uid: str
    generation: int
    resource_version: str = ""
    deleted_at: datetime | None = None
    has_finalizer: bool = False
    """True if the TweetModel has the operator's finalizer."""
    other_finalizers: tuple[str, ...] = ()
    retry: str = ""
    """Last requested retry: the value of the annotation, or of status.observedRetry after its removal."""
    spec: TweetModelSpec | None = None
    omitted_fields: tuple[str, ...] = ()
    """Omitted fields of the spec that an administrator may set defaults for."""
    spec_error: str = ""
    """Validation error of the spec if `spec` is None."""
    recorded_status: TweetModelStatus | None = None
    """Status on the API server; None if absent, or unreadable for this version."""
    jobs: tuple[ObservedJob, ...] = ()
    progress: Progress | None = None
    """Last progress of the active attempt's pod."""
    freshness: Freshness = Freshness.CACHED

    @property
    def status(self) -> TweetModelStatus:
        """Recorded status, or an empty status."""
        return self.recorded_status or EMPTY_STATUS

    @property
    def is_deleting(self) -> bool:
        """True if the TweetModel is being deleted."""
        return self.deleted_at is not None

    @property
    def has_started(self) -> bool:
        """True if a Job was ever created."""
        return bool(self.jobs or self.status.steps or self.status.runs)

    def may_have_had_job(self, step: StepName, step_id: str) -> bool:
        """Return whether a Job of this step may have existed: the status records runs, but not past collections."""
        if step in ("collect", "purge"):
            return self.has_started
        return any(run.id == step_id for run in self.status.runs)

    @property
    def defaultable_fields(self) -> tuple[str, ...]:
        """Omitted fields that may still receive a default: none after the first Job, none during deletion."""
        return () if self.has_started or self.is_deleting else self.omitted_fields

    @property
    def has_pending_jobs(self) -> bool:
        """True if a Job is active, or is finished and has no TTL yet."""
        return any(not (job.is_finished and job.has_ttl) for job in self.jobs)

    def active_step(self) -> StepStatus | None:
        """Return the recorded step with an active Job, or None."""
        return next((step for step in self.status.steps if step.outcome == "Active"), None)


@dataclass(frozen=True)
class PolicyResult:
    """Whether the administrator allows a spec."""

    violation: str = ""
    """First violation, as a sentence without a full stop; empty if the spec is allowed."""
    forbids_pods: bool = False
    """True if image or ServiceAccount of the pods are not allowed."""


Upstreams = Mapping[str, DatasetReference | str]
"""Data sets of the source TweetModels, by name, or the reason for an unavailable data set."""
