"""A cluster in memory with the TweetModel `ada`: API server, Job controller, scheduler and kubelet.

Nothing happens by itself: a test starts pods, ends Jobs and lets the operator reconcile.
"""

from dataclasses import dataclass
from typing import Any

from fakes import objects
from fakes.api_server import FakeApiServer, OperatorCrash
from fakes.trainer import successful_report
from makers import KEY, spec, time
from tweetmodel_api import defaults
from tweetmodel_api.report import Report
from tweetmodel_api.retry import RETRY_ANNOTATION
from tweetmodel_operator import names
from tweetmodel_operator.api_server import defaults_path, tweetmodel_path, tweetmodels_path
from tweetmodel_operator.children import JOB, POD
from tweetmodel_operator.parse import JsonObject
from tweetmodel_operator.reconcile import Reconciler
from tweetmodel_operator.settings import Settings

PATH = tweetmodel_path(KEY.namespace, KEY.name)
OPERATOR_EVENTS = f"/apis/events.k8s.io/v1/namespaces/{KEY.namespace}/events"
CORE_EVENTS = f"/api/v1/namespaces/{KEY.namespace}/events"
MAX_RECONCILES = 20


@dataclass
class FakeCluster(FakeApiServer):
    """A cluster with one TweetModel."""

    # The TweetModel

    @property
    def tweetmodel(self) -> JsonObject:
        """The stored TweetModel."""
        found = self.find(PATH)
        assert found is not None
        return found

    @property
    def is_gone(self) -> bool:
        """True if the TweetModel was deleted."""
        return self.find(PATH) is None

    @property
    def has_finalizer(self) -> bool:
        """True if the operator's finalizer holds the TweetModel back."""
        return not self.is_gone and names.FINALIZER in self.tweetmodel["metadata"].get("finalizers", [])

    @property
    def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition."""
        return {c["type"]: (c["status"], c["reason"]) for c in self.tweetmodel["status"]["conditions"]}

    @property
    def message(self) -> str:
        """Message of Ready."""
        return next(c["message"] for c in self.tweetmodel["status"]["conditions"] if c["type"] == "Ready")

    def edit(self, **fields: Any) -> None:
        """Replace fields of the spec as a user, or remove fields that are None."""
        new = {name: value for name, value in (self.tweetmodel["spec"] | fields).items() if value is not None}
        self.replace(PATH, spec=new)

    def request_retry(self, value: str | None) -> None:
        """Set the annotation for a retry, or remove the annotation."""
        self.update(PATH, metadata={"annotations": {RETRY_ANNOTATION: value}})

    def delete_tweetmodel(self, at: str | None = None) -> None:
        """Delete the TweetModel as a user; a finalizer holds the TweetModel back."""
        self.update(PATH, metadata={"deletionTimestamp": at or self.now})

    def add_defaults(self, **fields: Any) -> None:
        """Create the TweetModelDefaults of the namespace, or replace their fields."""
        self.add(
            defaults_path(KEY.namespace, "").rstrip("/"), {"metadata": {"name": defaults.OBJECT_NAME}, "spec": fields}
        )

    # Jobs and pods

    @property
    def jobs(self) -> dict[str, JsonObject]:
        """The stored Jobs by name, oldest first."""
        return {job["metadata"]["name"]: job for job in self.collection(JOB.path(KEY.namespace))}

    @property
    def created_jobs(self) -> list[str]:
        """Names of all Jobs created by the operator."""
        return [at.name for at in self.created if at.plural == JOB.plural]

    def job(self, step: str = "") -> JsonObject:
        """Return the newest Job, or the newest Job of a step."""
        jobs = reversed(list(self.jobs.values()))
        return next(job for job in jobs if step in ("", job["metadata"]["labels"][names.STEP_LABEL]))

    def update_job(self, step: str = "", **parts: JsonObject) -> JsonObject:
        """Merge changes into the newest Job, as the Job controller or a user."""
        return self.update(objects.job_path(self.job(step)["metadata"]["name"]), **parts)

    def set_pod(
        self,
        status: JsonObject,
        *,
        step: str = "",
        number: int = 0,
        node: str | None = objects.NODE,
        created_at: str = objects.HOUR_AGO,
    ) -> JsonObject:
        """Set the status of a pod of the newest Job, as scheduler and kubelet do; create the pod if necessary."""
        job = self.job(step)
        pod = objects.pod(job, number, created_at) | {"status": status}
        pod = objects.on_node(pod, node) if node else pod
        path = POD.path(KEY.namespace, pod["metadata"]["name"])
        if self.find(path):
            return self.replace(path, spec=pod["spec"], status=pod["status"])
        started_at = job.get("status", {}).get("startTime", job["metadata"]["creationTimestamp"])
        self.update_job(step, status=objects.job_started(started_at, active=1))
        return self.add(POD.path(KEY.namespace), pod)

    def finish(self, step: str = "", report: Report | None = None, code: int = 0) -> None:
        """End the newest Job of a step with a report, by default of success."""
        report = report or successful_report(objects.plan_of(self.job(step)), samples=("a tweet",))
        self.set_pod(objects.terminated(code, report, at=self.now), step=step)
        if code:
            self.fail_job(step)
        else:
            self._end_job(step, objects.job_complete(self.now))

    def fail_job(self, step: str = "", reason: str = "PodFailurePolicy", message: str = "the Job failed") -> None:
        """Let the newest Job of a step fail, as the Job controller."""
        name = self.job(step)["metadata"]["name"]
        pods = [pod for pod in self.collection(POD.path(KEY.namespace)) if pod["metadata"]["name"].startswith(name)]
        failed = sum(pod["status"]["phase"] == "Failed" for pod in pods)
        self._end_job(step, objects.job_failed(reason, message, at=self.now, pods=failed))

    def _end_job(self, step: str, status: JsonObject) -> None:
        metadata, before = self.job(step)["metadata"], self.job(step).get("status", {})
        started_at = before.get("startTime", metadata["creationTimestamp"])
        self.replace(objects.job_path(metadata["name"]), status=status | {"startTime": started_at})

    # Events

    @property
    def events(self) -> list[JsonObject]:
        """Events of the operator about the TweetModel."""
        return self.collection(OPERATOR_EVENTS)

    def add_job_event(self, message: str, at: str) -> None:
        """Add an event of the Job controller about a rejected pod of the newest Job."""
        reference = {"kind": "Job", "name": self.job()["metadata"]["name"]}
        name = f"failed-create-{len(self.collection(CORE_EVENTS))}"
        event = {"involvedObject": reference, "reason": "FailedCreate", "message": message, "lastTimestamp": at}
        self.add(CORE_EVENTS, {"metadata": {"name": name}} | event)

    def clear_job_events(self) -> None:
        """Remove the events of the Job controller."""
        for event in self.collection(CORE_EVENTS):
            self.remove(f"{CORE_EVENTS}/{event['metadata']['name']}")


def fake_cluster(raw: JsonObject | None = None, **fields: Any) -> FakeCluster:
    """Return a cluster with the TweetModel `raw`, or a TweetModel with these fields in the spec."""
    cluster = FakeCluster()
    cluster.add(tweetmodels_path(KEY.namespace), raw or objects.tweetmodel(spec(**fields)))
    return cluster


def new_reconciler(cluster: FakeCluster, **settings: Any) -> Reconciler:
    """Return the reconciler of a new operator."""
    return Reconciler(cluster, Settings(**settings), lambda: time(cluster.now))


async def reconcile_until_idle(cluster: FakeCluster, reconciler: Reconciler | None = None) -> float | None:
    """Reconcile until no immediate work is left. After a crash, a new operator continues.

    Returns:
        The seconds until the next reconcile, or None.
    """
    reconciler = reconciler or new_reconciler(cluster)
    for _ in range(MAX_RECONCILES):
        try:
            requeue_after = await reconciler.reconcile(KEY)
        except OperatorCrash:
            reconciler = new_reconciler(cluster)
            continue
        if requeue_after != 0.0:
            return requeue_after
    raise AssertionError(f"work is left after {MAX_RECONCILES} reconciles")


async def run_lifecycle(cluster: FakeCluster, reconciler: Reconciler | None = None) -> FakeCluster:
    """Collect and train with success; `reconciler` sees each end of a Job by a live read."""
    for step in ("", "collect", "train"):
        if step:
            cluster.finish(step)
            if reconciler:
                reconciler.cache.invalidate(KEY)
        await reconcile_until_idle(cluster, reconciler)
    return cluster
