"""The three steps together, against a small API server in memory that keeps objects and counts writes."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import REGISTRY

from makers import KEY, NOW, UID, dataset, failure, spec, success, time
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report, encode
from tweetmodel_api.status import Progress
from tweetmodel_operator import logs, metrics, names
from tweetmodel_operator.api_server import ApiError
from tweetmodel_operator.reconcile import Reconciler
from tweetmodel_operator.settings import Settings


class Crash(Exception):
    """The operator dies here."""


@dataclass
class Cluster:
    """What the API server holds; `crash_at` ends the n-th write, `refuse` answers the creation of a Job."""

    tweetmodel: dict[str, Any] | None = None
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    writes: int = 0
    crash_at: int = -1
    crash_after: bool = False
    lent: dict[str, Any] | None = None
    """The data set in the status of the TweetModel bob."""
    defaults: dict[str, Any] | None = None
    """The spec of the namespace's TweetModelDefaults."""
    refuse: ApiError | None = None
    refuse_defaults: ApiError | None = None
    refuse_events: ApiError | None = None
    complaints: list[dict[str, Any]] = field(default_factory=list)
    """The Job controller's events."""
    reads: int = 0
    version: int = 0
    on_write: Callable[[dict[str, Any]], None] = lambda _: None

    def _write(self, kind: str, change: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self.writes += 1
        dying = self.writes == self.crash_at
        if dying and not self.crash_after:
            raise Crash
        changed = change()
        changed["metadata"]["resourceVersion"] = self._next_version()
        if dying:
            raise Crash
        answer = copy.deepcopy(changed) | {"kind": kind}
        self.on_write(answer)
        return answer

    def _next_version(self) -> str:
        self.version += 1
        return str(self.version)

    def _update(self, kind: str, changed: dict[str, Any], part: str, change: dict[str, Any]) -> dict[str, Any]:
        return self._write(kind, lambda: changed.setdefault(part, {}).update(copy.deepcopy(change)) or changed)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        self.reads += 1
        metadata = {"resourceVersion": str(self.version)}
        if path.endswith("/events"):
            if self.refuse_events:
                raise self.refuse_events
            return {"items": copy.deepcopy(self.complaints)}
        if path.endswith("/jobs"):
            return {"metadata": metadata, "items": copy.deepcopy(list(self.jobs.values()))}
        if path.endswith("/pods"):
            return {"metadata": metadata, "items": copy.deepcopy(self.pods)}
        if "/tweetmodeldefaults/" in path and self.defaults is not None:
            return {"spec": copy.deepcopy(self.defaults)}
        if path.endswith("/tweetmodels/bob") and self.lent is not None:
            return {"status": {"observedGeneration": 1, **({"dataset": self.lent} if self.lent else {})}}
        if self.tweetmodel is None or "/tweetmodeldefaults/" in path or path.endswith("/tweetmodels/bob"):
            raise ApiError(404, "NotFound", "gone")
        return copy.deepcopy(self.tweetmodel)

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/events"):
            if body["metadata"]["name"] in [event["metadata"]["name"] for event in self.events]:
                raise ApiError(409, "AlreadyExists", "event")
            self.events.append(body)
            return {}
        if self.refuse:
            raise self.refuse
        name = body["metadata"]["name"]
        if name in self.jobs:
            raise ApiError(409, "AlreadyExists", name)

        def add() -> dict[str, Any]:
            self.created.append(name)
            metadata = body["metadata"] | {"uid": f"uid-of-{name}", "creationTimestamp": NOW}
            self.jobs[name] = body | {"metadata": metadata, "status": {}}
            return self.jobs[name]

        return self._write("Job", add)

    async def apply(self, path: str, body: dict[str, Any], manager: str) -> dict[str, Any]:
        if self.refuse_defaults and manager == names.DEFAULTS_MANAGER:
            raise self.refuse_defaults
        part = "metadata" if "finalizers" in body["metadata"] else "status" if path.endswith("/status") else "spec"
        change = {"finalizers": body["metadata"]["finalizers"]} if part == "metadata" else body[part]
        if part == "status":
            self.tweetmodel.pop("status", None)
        return self._update("TweetModel", self.tweetmodel, part, change)

    async def merge(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._update("Job", self.jobs[path.rsplit("/", 1)[-1]], "spec", body["spec"])

    async def delete(self, path: str) -> dict[str, Any]:
        job = self.jobs[path.rsplit("/", 1)[-1]]
        return self._write("Job", lambda: self.jobs.pop(job["metadata"]["name"]))

    def finish(self, stage: str, report: Report, code: int = 0) -> None:
        """The newest Job of a stage ends with a report, as kubelet and Job controller would have it."""
        job = next(j for j in reversed(self.jobs.values()) if j["metadata"]["labels"][names.STEP] == stage)
        job["metadata"]["resourceVersion"] = self._next_version()
        job["status"]["conditions"] = [
            {"type": "Failed" if code else "Complete", "status": "True", "reason": "PodFailurePolicy", "message": ""}
        ]
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": encode(report)}
        self.pods.append(
            {
                "metadata": self.head(f"{job['metadata']['name']}-pod", job),
                "status": {"containerStatuses": [{"name": names.CONTAINER, "state": {"terminated": ended}}]},
            }
        )

    def head(self, name: str, job: dict[str, Any]) -> dict[str, Any]:
        """The metadata of a pod of a Job, made an hour ago."""
        return {
            "name": name,
            "namespace": KEY.namespace,
            "labels": {names.NAME: KEY.name},
            "creationTimestamp": "2026-11-23T11:00:00Z",
            "resourceVersion": self._next_version(),
            "ownerReferences": [{"kind": "Job", "uid": job["metadata"]["uid"], "controller": True}],
        }

    @property
    def has_finalizer(self) -> bool:
        return names.FINALIZER in (self.tweetmodel or {})["metadata"].get("finalizers", [])

    def conditions(self) -> dict[str, tuple[str, str]]:
        assert self.tweetmodel
        return {c["type"]: (c["status"], c["reason"]) for c in self.tweetmodel["status"]["conditions"]}


def tweetmodel() -> dict[str, Any]:
    return {
        "metadata": {"name": KEY.name, "namespace": KEY.namespace, "uid": UID, "generation": 1},
        "spec": spec().to_json_object(),
    }


def with_its_folder() -> dict[str, Any]:
    """One whose folder in the bucket goes with it."""
    life = tweetmodel()
    life["spec"]["deletionPolicy"] = "Delete"
    return life


def operator(cluster: Cluster) -> Reconciler:
    return Reconciler(cluster, Settings(), lambda: time(NOW))


def trained(cluster: Cluster) -> Report:
    """What the train pod of the Job that is there reports."""
    from makers import model

    job = next(j for j in reversed(cluster.jobs.values()) if j["metadata"]["labels"][names.STEP] == "train")
    plan = Plan.model_validate_json(job["spec"]["template"]["metadata"]["annotations"][names.PLAN])
    assert plan.run
    return success(model=model(plan.run), samples=["a tweet"])


async def settle(cluster: Cluster, reconciler: Reconciler | None = None) -> float | None:
    """Reconciles until nothing is left to do now; a crash is followed by a new operator."""
    reconciler = reconciler or operator(cluster)
    for _ in range(20):
        try:
            again = await reconciler.reconcile(KEY)
        except Crash:
            reconciler = operator(cluster)
            continue
        if again != 0.0:
            return again
    raise AssertionError("it never settles")


async def live(cluster: Cluster) -> Cluster:
    """A TweetModel's whole life: both stages succeed."""
    await settle(cluster)
    cluster.finish("collect", success(dataset=dataset()))
    await settle(cluster)
    cluster.finish("train", trained(cluster))
    await settle(cluster)
    return cluster


async def test_a_life_from_apply_to_ready_takes_six_writes_beside_its_jobs() -> None:
    cluster = await live(Cluster(tweetmodel()))
    assert cluster.conditions()["Ready"] == ("True", "Succeeded")
    assert len(cluster.created) == 2
    assert cluster.writes - len(cluster.created) + len(cluster.events) <= 6
    assert [e["reason"] for e in cluster.events] == ["Succeeded"]


async def test_an_event_tells_its_run_and_the_pod_of_the_operator_that_wrote_it() -> None:
    cluster = Cluster(tweetmodel())
    await settle(cluster)
    cluster.finish("collect", failure(Reason.NOT_ENOUGH_TWEETS), code=65)
    await settle(cluster, Reconciler(cluster, Settings(instance="operator-0"), lambda: time(NOW)))
    [before_any_run] = cluster.events
    assert before_any_run["reportingInstance"] == "operator-0"
    assert "annotations" not in before_any_run["metadata"]
    cluster = await live(Cluster(tweetmodel()))
    [succeeded] = cluster.events
    assert succeeded["metadata"]["annotations"] == {names.RUN: cluster.tweetmodel["status"]["run"]}
    assert succeeded["reportingInstance"] == names.OPERATOR


CALM_WRITES = 7


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", range(1, CALM_WRITES + 1))
async def test_an_operator_that_dies_at_any_write_ends_as_a_calm_one_does(write: int, after: bool) -> None:
    calm = await live(Cluster(tweetmodel()))
    assert calm.writes == CALM_WRITES, "every write must be covered"
    crashed = await live(Cluster(tweetmodel(), crash_at=write, crash_after=after))
    assert crashed.created == calm.created
    assert [crashed.tweetmodel[part] for part in ("spec", "status")] == [
        calm.tweetmodel[part] for part in ("spec", "status")
    ]
    assert {n: j["spec"] for n, j in crashed.jobs.items()} == {n: j["spec"] for n, j in calm.jobs.items()}


async def test_nothing_is_written_while_nothing_changes() -> None:
    cluster = await live(Cluster(tweetmodel()))
    before = cluster.writes
    for _ in range(5):
        await operator(cluster).reconcile(KEY)
    assert cluster.writes == before


async def test_a_failure_is_told_once_by_an_event_and_stays() -> None:
    cluster = Cluster(tweetmodel())
    await settle(cluster)
    cluster.finish("collect", failure(Reason.NOT_ENOUGH_TWEETS, "Too few: add a source."), code=65)
    await settle(cluster)
    await settle(cluster)
    assert cluster.conditions()["Stalled"] == ("True", "NotEnoughTweets")
    told = [e for e in cluster.events if e["reason"] == "NotEnoughTweets"]
    assert [(e["type"], e["note"]) for e in told] == [("Warning", "Too few: add a source.")]
    assert len(cluster.created) == 1


@pytest.mark.parametrize(
    ("refusal", "stalled"),
    [
        (ApiError(403, "Forbidden", 'admission webhook "policy" denied the request: no GPUs at night'), "True"),
        (ApiError(403, "Forbidden", "jobs.batch is forbidden: exceeded quota: jobs, requested: 1"), "False"),
        (ApiError(500, "InternalError", 'failed calling webhook "policy": context deadline exceeded'), "False"),
    ],
    ids=["denied", "quota", "no answer"],
)
async def test_a_job_that_the_cluster_forbids_is_told_once_and_tried_again(refusal: ApiError, stalled: str) -> None:
    cluster = Cluster(tweetmodel(), refuse=refusal)
    for _ in range(3):
        assert await settle(cluster) == 60
    assert cluster.conditions()["Stalled"] == (stalled, "PodRefused")
    assert [(e["reason"], str(refusal) in e["note"]) for e in cluster.events] == [("PodRefused", True)]
    cluster.refuse = None
    await settle(cluster)
    assert cluster.conditions()["Ready"] == ("Unknown", "Collecting")


async def test_a_purge_that_a_full_quota_refuses_is_tried_again() -> None:
    cluster = await live(Cluster(with_its_folder()))
    cluster.tweetmodel["metadata"]["deletionTimestamp"] = NOW
    cluster.refuse = ApiError(403, "Forbidden", "exceeded quota: jobs")
    assert await settle(cluster) == 60
    assert cluster.conditions()["Ready"] == ("Unknown", "PodRefused")
    cluster.refuse = None
    await settle(cluster)
    cluster.finish("purge", success())
    await settle(cluster)
    assert not cluster.has_finalizer
    assert all(e["type"] == "Normal" for e in cluster.events)


async def test_an_api_server_that_fails_is_asked_again_later() -> None:
    cluster = Cluster(tweetmodel(), refuse=ApiError(503, "", "try later"))
    with pytest.raises(ApiError):
        await operator(cluster).reconcile(KEY)
    assert "status" not in (cluster.tweetmodel or {})


def pod(**status: Any) -> dict[str, Any]:
    """What kubelet, scheduler and control plane say of a pod on node n1, an hour after it was scheduled there."""
    placed = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-23T11:00:00Z"}
    conditions = [placed, *status.pop("conditions", [])]
    return {"spec": {"nodeName": "n1"}, "status": {"phase": "Pending", "conditions": conditions, **status}}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": names.CONTAINER, "state": state}]}


RUNS = {"containerStatuses": [{"name": names.CONTAINER, "state": {"running": {"startedAt": NOW}}}]}
NOWHERE = {"spec": {}, "status": {"phase": "Pending"}}
NO_ROOM = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available."}
UNREADY = {"type": "Ready", "status": "False"}
UNPREPARED = {"type": "PodReadyToStartContainers", "status": "False"}
RUNS_ON = {"spec": {"nodeName": "n1"}, "status": {"phase": "Running", **RUNS}}
BEGUN = {"startTime": "2026-11-23T11:00:00Z"}
LATE = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active too long"}


@pytest.mark.parametrize(
    ("job", "seen", "reason", "stalled", "words"),
    [
        (BEGUN, None, "PodRefused", "False", "`kubectl describe job"),
        ({"spec": {"suspend": True}}, None, "Queued", "False", "until there is quota"),
        ({}, NOWHERE | {"status": {"conditions": [NO_ROOM]}}, "Unschedulable", "False", "0/1 nodes are available."),
        ({}, NOWHERE, "Pending", "False", "No scheduler has assigned pod"),
        ({}, pod(**waits("ContainerCreating")), "Pending", "False", "Node n1 is still pulling the image"),
        ({}, pod(**waits("ContainerCreating"), conditions=[UNPREPARED]), "Pending", "False", "network, volumes"),
        ({}, pod(**waits("ErrImagePull", "timeout")), "ImagePullFailed", "False", "timeout"),
        ({}, pod(**waits("ImagePullBackOff", "no such image")), "ImagePullFailed", "True", "no such image"),
        ({}, pod(**waits("InvalidImageName", "bad name")), "ImagePullFailed", "True", "bad name"),
        (
            {},
            pod(**waits("CreateContainerConfigError", 'secret "s3" not found')),
            "SecretInvalid",
            "True",
            'secret "s3" not found',
        ),
        (
            {},
            pod(**waits("CreateContainerConfigError", "couldn't find key accessKeyID in Secret default/s3")),
            "SecretInvalid",
            "True",
            "couldn't find key accessKeyID in Secret default/s3",
        ),
        (
            {},
            pod(**waits("CreateContainerConfigError", 'configmap "proxy" not found')),
            "PodRefused",
            "True",
            'configmap "proxy" not found',
        ),
        (
            {},
            pod(**waits("CreateContainerConfigError", "failed to sync secret cache: timed out")),
            "Pending",
            "False",
            "Node n1 has not read the Secrets of pod pod yet (failed to sync secret cache: timed out)",
        ),
        ({}, pod(**waits("RunContainerError", "no such device")), "PodRefused", "True", "no such device"),
        ({}, pod(**RUNS, phase="Running", conditions=[UNREADY]), "NodeLost", "False", "Node n1 is unreachable"),
        (
            {},
            pod(phase="Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage. "),
            "DiskFull",
            "False",
            "low on resource: ephemeral-storage. Choose a smaller base model",
        ),
        (
            {},
            pod(phase="Failed", reason="UnexpectedAdmissionError", message="Allocate failed: no healthy device"),
            "PodRefused",
            "False",
            "no healthy device. Change the rejected fields",
        ),
        (BEGUN | {"conditions": [LATE]}, None, "DeadlineExceeded", "True", "too long. Train for fewer epochs"),
    ],
)
async def test_what_waits_says_for_what_by_one_event(
    job: dict[str, Any], seen: dict[str, Any] | None, reason: str, stalled: str, words: str
) -> None:
    cluster = Cluster(tweetmodel())
    await settle(cluster)
    [made] = cluster.jobs.values()
    made["spec"] |= job.get("spec", {})
    made["status"] |= {name: value for name, value in job.items() if name != "spec"}
    if seen:
        cluster.pods.append({"metadata": cluster.head("pod", made)} | seen)
    for _ in range(3):
        await settle(cluster)
    assert cluster.conditions()["Stalled"] == (stalled, reason)
    assert words in cluster.tweetmodel["status"]["conditions"][0]["message"]
    assert [e["reason"] for e in cluster.events] == [reason]


def complaint(message: str, at: str = NOW) -> dict[str, Any]:
    """What the Job controller says when it can make no pod."""
    return {"message": message, "lastTimestamp": at}


FORBIDDEN = 'Error creating: pods "{}-x7k2p" is forbidden: '


@pytest.mark.parametrize(
    ("cause", "stalled"),
    [
        ("exceeded quota: no-gpus, requested: requests.nvidia.com/gpu=1, used: 0, limited: 0", "False"),
        ("no PriorityClass with name urgent was found", "True"),
        ('error looking up service account default/ada: serviceaccount "ada" not found', "True"),
    ],
)
async def test_the_rule_that_forbids_a_pod_is_named_and_told_once(cause: str, stalled: str) -> None:
    cluster = Cluster(tweetmodel())
    await settle(cluster)
    [name] = cluster.jobs
    cluster.jobs[name]["status"] |= BEGUN
    said = FORBIDDEN.format(name) + cause
    cluster.complaints = [complaint("an older one", "2026-11-23T10:00:00Z"), complaint(said)]
    await settle(cluster)
    assert cluster.conditions()["Stalled"] == (stalled, "PodRefused")
    told = cluster.tweetmodel["status"]["conditions"][0]["message"]
    assert f'pods "{name}" is forbidden: {cause}' in told
    writes = cluster.writes
    cluster.complaints = [complaint(f"(combined from similar events): {said}".replace("x7k2p", "9zq4w"))]
    await settle(cluster)
    assert cluster.writes == writes, "each try names another pod"
    cluster.complaints = [complaint(said, "2026-11-23T10:00:00Z")]
    assert await settle(cluster) == 3600, "no watch tells of the next try"
    assert "kubectl describe job" in cluster.tweetmodel["status"]["conditions"][0]["message"]


@pytest.mark.parametrize("answer", [403, 504])
async def test_events_that_can_not_be_read_hold_nothing_up(answer: int) -> None:
    cluster = Cluster(tweetmodel(), refuse_events=ApiError(answer, "", "no"))
    await settle(cluster)
    [name] = cluster.jobs
    cluster.jobs[name]["status"] |= BEGUN
    await settle(cluster)
    assert cluster.conditions()["Ready"] == ("Unknown", "PodRefused")
    cluster.tweetmodel["spec"]["suspend"] = True
    await settle(cluster)
    assert cluster.conditions()["Ready"] == ("False", "Suspended")


async def test_what_only_the_api_server_is_at_fault_for_calls_for_nobody() -> None:
    cluster = Cluster(tweetmodel(), complaints=[complaint("Error creating: etcdserver: leader changed")])
    await settle(cluster)
    [made] = cluster.jobs.values()
    made["status"] |= BEGUN
    await settle(cluster)
    assert cluster.conditions()["Stalled"] == ("False", "PodRefused")


@pytest.mark.parametrize("worked", [False, True])
async def test_a_job_whose_time_is_over_while_it_waited_says_for_what(worked: bool) -> None:
    cluster = Cluster(tweetmodel())
    await settle(cluster)
    [made] = cluster.jobs.values()
    waiting = NOWHERE | {"status": {"conditions": [NO_ROOM]}}
    cluster.pods.append({"metadata": cluster.head("pod", made)} | waiting)
    await settle(cluster)
    made["status"] |= BEGUN | {"conditions": [LATE]}
    cluster.pods[0] |= RUNS_ON if worked else {}
    for _ in range(3):
        await settle(cluster)
    assert cluster.conditions()["Stalled"] == ("True", "DeadlineExceeded")
    message = cluster.tweetmodel["status"]["conditions"][0]["message"]
    assert ("The Job never started to work: " in message, "0/1 nodes are available" in message) == (
        not worked,
        not worked,
    )


async def test_taking_the_retry_annotation_away_changes_nothing() -> None:
    cluster = await live(Cluster(tweetmodel()))
    cluster.tweetmodel["metadata"]["annotations"] = {names.RETRY: "now"}
    await settle(cluster)
    assert len(cluster.created) == 3
    cluster.finish("collect", success(dataset=dataset()))
    await settle(cluster)
    del cluster.tweetmodel["metadata"]["annotations"]
    writes = cluster.writes
    await settle(cluster)
    assert (len(cluster.created), cluster.writes) == (3, writes)
    assert cluster.conditions()["Ready"] == ("True", "Succeeded")


async def test_what_passed_and_now_needs_a_person_is_told_by_a_warning_too() -> None:
    cluster = Cluster(tweetmodel())
    await settle(cluster)
    [made] = cluster.jobs.values()
    for word in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"):
        cluster.pods[:] = [{"metadata": cluster.head("pod", made)} | pod(**waits(word, "no"))]
        await settle(cluster)
    assert [(e["type"], e["reason"]) for e in cluster.events] == [
        ("Normal", "ImagePullFailed"),
        ("Warning", "ImagePullFailed"),
    ]


async def test_a_failure_that_repeats_is_told_by_one_event_and_stays_until_a_pod_gets_further() -> None:
    cluster = Cluster(tweetmodel())
    reconciler = operator(cluster)
    await settle(cluster, reconciler)
    [made] = cluster.jobs.values()
    made["status"] |= {"startTime": NOW}
    shown = []
    for number in range(4):
        begun = {"startedAt": f"2026-11-23T11:59:{number}0Z"}
        for state in ({"running": begun}, {"terminated": begun | {"exitCode": 137, "reason": "OOMKilled"}}):
            metadata = cluster.head(f"pod-{number}", made)
            metadata["creationTimestamp"] = f"2026-11-23T11:59:{number}0Z"
            status = {"containerStatuses": [{"name": names.CONTAINER, "state": state}]}
            cluster.pods[number:] = [{"metadata": metadata, "status": status}]
            reconciler.cache.invalidate(KEY)
            await settle(cluster, reconciler)
            shown.append(cluster.conditions()["Ready"][1])
            if number == 2 and "running" in state:
                posted = Progress(progress_percentage=5, last_updated_time="2026-11-23T11:59:25Z")
                reconciler.progress[made["metadata"]["name"]] = posted
                await settle(cluster, reconciler)
                assert cluster.conditions()["Ready"][1] == "Collecting"
    assert shown == ["Collecting", *["OutOfMemory"] * 7]
    assert [(e["type"], e["reason"]) for e in cluster.events] == [("Normal", "OutOfMemory")]


async def test_a_tweetmodel_that_is_gone_is_forgotten() -> None:
    cluster = Cluster(tweetmodel())
    reconciler = operator(cluster)
    await reconciler.reconcile(KEY)
    assert reconciler.active_jobs
    reconciler.cache.remove("TweetModel", cluster.tweetmodel)
    cluster.tweetmodel = None
    assert await reconciler.reconcile(KEY) is None
    assert not reconciler.active_jobs


def short() -> dict[str, Any]:
    """A TweetModel that leaves out all it may."""
    return tweetmodel() | {"spec": {"sources": spec().to_json_object()["sources"]}}


async def test_defaults_that_the_crd_does_not_take_are_told_and_tried_again() -> None:
    cluster = Cluster(short(), defaults={"storage": spec().to_json_object()["storage"]})
    cluster.refuse_defaults = ApiError(422, "Invalid", "podTemplate.labels can't set kueue.x-k8s.io/queue-name")
    again = await settle(cluster)
    assert again is not None
    assert cluster.tweetmodel
    assert cluster.conditions()["Stalled"] == ("True", "InvalidSpec")
    message = cluster.tweetmodel["status"]["conditions"][0]["message"]
    assert "the spec is invalid after applying the administrator's defaults: podTemplate.labels can't set" in message
    cluster.refuse_defaults = None
    await settle(cluster)
    assert len(cluster.created) == 1


async def test_a_short_tweetmodel_is_filled_from_its_namespace_then_from_the_cluster() -> None:
    cluster = Cluster(short(), defaults={"storage": spec().to_json_object()["storage"], "gpus": 0})
    settings = Settings(defaults={"gpus": 1, "baseModel": {"scratch": {"preset": "Small"}}})
    await settle(cluster, Reconciler(cluster, settings, lambda: time(NOW)))
    assert cluster.tweetmodel
    assert cluster.tweetmodel["spec"]["storage"]["uri"] == "s3://bucket/models"
    assert cluster.tweetmodel["spec"]["gpus"] == 0
    assert cluster.tweetmodel["spec"]["baseModel"] == {"scratch": {"preset": "Small"}}
    assert len(cluster.created) == 1


async def test_a_default_that_changes_later_changes_no_tweetmodel_that_has_begun() -> None:
    cluster = await live(Cluster(tweetmodel()))
    before = copy.deepcopy(cluster.tweetmodel)
    cluster.defaults = {"gpus": 0, "queueName": "slow"}
    await settle(cluster)
    assert cluster.tweetmodel == before


async def test_a_default_that_comes_after_a_look_that_found_nothing_new_trains_nothing() -> None:
    cluster = Cluster(tweetmodel())
    cluster.tweetmodel["spec"] |= {"schedule": {"cron": "0 18 * * *"}}
    del cluster.tweetmodel["spec"]["baseModel"]
    reconciler = await finished(cluster)
    reconciler.now = lambda: time("2026-11-23T18:00:00Z")
    reconciler.cache.invalidate(KEY)
    await settle(cluster, reconciler)
    cluster.finish("collect", success(dataset=dataset(new_posts=0)))
    reconciler.cache.invalidate(KEY)
    await settle(cluster, reconciler)
    assert len(cluster.created) == 3
    cluster.defaults = {"baseModel": {"scratch": {"preset": "Small"}}}
    await settle(cluster, Reconciler(cluster, Settings(), reconciler.now))
    assert "baseModel" not in cluster.tweetmodel["spec"]
    assert len(cluster.created) == 3


async def test_without_storage_anywhere_it_says_so_and_begins_once_there_is_a_default() -> None:
    cluster = Cluster(short())
    again = await settle(cluster)
    assert cluster.tweetmodel
    assert cluster.conditions()["Stalled"] == ("True", "InvalidSpec")
    assert "spec.storage is missing" in cluster.tweetmodel["status"]["conditions"][0]["message"]
    assert again is not None
    cluster.defaults = {"storage": spec().to_json_object()["storage"]}
    await settle(cluster)
    assert len(cluster.created) == 1


async def kept_until_purged() -> Cluster:
    """A finished TweetModel whose folder goes with it, on its way out."""
    cluster = await live(Cluster(with_its_folder()))
    assert cluster.has_finalizer
    cluster.tweetmodel["metadata"]["deletionTimestamp"] = NOW
    await settle(cluster)
    return cluster


async def test_a_tweetmodel_that_takes_its_folder_along_goes_once_it_is_purged() -> None:
    cluster = await kept_until_purged()
    assert cluster.conditions()["Ready"] == ("Unknown", "Purging")
    purge = cluster.jobs[cluster.created[-1]]
    assert "ownerReferences" not in purge["metadata"]
    assert purge["spec"]["activeDeadlineSeconds"] == 1800
    assert purge["spec"]["ttlSecondsAfterFinished"]
    assert cluster.has_finalizer
    cluster.finish("purge", success())
    await settle(cluster)
    assert not cluster.has_finalizer
    assert len(cluster.created) == 3


async def test_a_tweetmodel_whose_purge_fails_goes_and_says_what_is_left() -> None:
    cluster = await kept_until_purged()
    cluster.finish("purge", failure(Reason.ACCESS_DENIED, "AWS refuses: correct the keys."), code=77)
    await settle(cluster)
    assert not cluster.has_finalizer
    told = cluster.events[-1]
    assert (told["type"], told["reason"]) == ("Warning", "PurgeFailed")
    assert "s3://bucket/models/default/ada was not deleted (AWS refuses: correct the keys)." in told["note"]


async def test_a_dead_bucket_holds_it_for_half_an_hour_at_most() -> None:
    cluster = await kept_until_purged()
    later = Reconciler(cluster, Settings(), lambda: time("2026-11-23T12:29:00Z"))
    assert await settle(cluster, later)
    assert cluster.has_finalizer
    later = Reconciler(cluster, Settings(), lambda: time("2026-11-23T12:31:00Z"))
    await settle(cluster, later)
    assert not cluster.has_finalizer
    assert cluster.events[-1]["reason"] == "PurgeFailed"


async def test_an_operator_that_was_away_for_long_purges_nevertheless() -> None:
    cluster = await live(Cluster(with_its_folder()))
    cluster.tweetmodel["metadata"]["deletionTimestamp"] = "2026-11-23T09:00:00Z"
    await settle(cluster)
    assert cluster.has_finalizer
    assert cluster.conditions()["Ready"] == ("Unknown", "Purging")
    cluster.finish("purge", success())
    await settle(cluster)
    assert not cluster.has_finalizer
    assert not any(event["reason"] == "PurgeFailed" for event in cluster.events)


async def test_a_purge_that_has_just_begun_is_not_ended_for_a_refusal_long_after_the_deletion() -> None:
    cluster = await kept_until_purged()
    purge = cluster.jobs[cluster.created[-1]]
    purge["metadata"]["creationTimestamp"] = "2026-11-23T12:30:00Z"
    purge["status"] |= {"startTime": "2026-11-23T12:30:00Z"}
    cluster.complaints = [complaint("pods are forbidden: exceeded quota: small", "2026-11-23T12:30:01Z")]
    late = Reconciler(cluster, Settings(), lambda: time("2026-11-23T12:31:00Z"))
    await settle(cluster, late)
    assert cluster.conditions()["Ready"] == ("Unknown", "PodRefused")
    await settle(cluster, Reconciler(cluster, Settings(), lambda: time("2026-11-23T12:32:00Z")))
    assert cluster.has_finalizer


async def test_a_purge_whose_secret_is_corrected_is_made_anew() -> None:
    cluster = await kept_until_purged()
    first = cluster.created[-1]
    cluster.tweetmodel["spec"]["storage"]["secretRef"] = {"name": "better"}
    await settle(cluster)
    assert first not in cluster.jobs
    assert len(cluster.created) == 4


async def test_a_folder_that_is_to_stay_after_all_is_not_purged() -> None:
    cluster = await kept_until_purged()
    purge = cluster.created[-1]
    cluster.tweetmodel["spec"]["deletionPolicy"] = "Retain"
    await settle(cluster)
    assert not cluster.has_finalizer
    assert purge not in cluster.jobs
    assert not any(event["reason"] == "PurgeFailed" for event in cluster.events)


async def test_a_quota_that_stays_full_holds_it_for_half_an_hour_at_most() -> None:
    cluster = await live(Cluster(with_its_folder()))
    cluster.tweetmodel["metadata"]["deletionTimestamp"] = NOW
    cluster.refuse = ApiError(403, "Forbidden", "exceeded quota: jobs")
    await settle(cluster)
    assert cluster.has_finalizer
    await settle(cluster, Reconciler(cluster, Settings(), lambda: time("2026-11-23T12:31:00Z")))
    assert not cluster.has_finalizer
    assert cluster.events[-1]["reason"] == "PurgeFailed"


async def test_a_purge_that_is_given_up_does_not_outlive_its_tweetmodel() -> None:
    cluster = await kept_until_purged()
    assert cluster.created[-1] in cluster.jobs
    await Reconciler(cluster, Settings(), lambda: time("2026-11-23T12:31:00Z")).reconcile(KEY)
    assert cluster.created[-1] not in cluster.jobs  # or it would delete what the next one of this name writes


async def test_an_image_that_is_not_allowed_is_not_handed_the_keys_by_a_purge_either() -> None:
    cluster = await live(Cluster(with_its_folder()))
    cluster.tweetmodel["spec"]["podTemplate"] = {"image": "evil", "serviceAccountName": "admin"}
    cluster.tweetmodel["metadata"]["deletionTimestamp"] = NOW
    await settle(cluster)
    pod = cluster.jobs[cluster.created[-1]]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == Settings().trainer_image
    assert "serviceAccountName" not in pod


async def test_a_namespace_that_takes_no_job_any_more_holds_nothing() -> None:
    cluster = await live(Cluster(with_its_folder()))
    cluster.tweetmodel["metadata"]["deletionTimestamp"] = NOW
    cluster.refuse = ApiError(403, "Forbidden", "namespace default is being terminated")
    await settle(cluster)
    assert not cluster.has_finalizer
    assert "is being terminated" in cluster.events[-1]["note"]


async def test_a_run_is_stopped_before_its_folder_is_purged() -> None:
    cluster = Cluster(with_its_folder())
    await settle(cluster)
    cluster.tweetmodel["metadata"]["deletionTimestamp"] = NOW
    [collect] = cluster.jobs
    await operator(cluster).reconcile(KEY)
    assert not cluster.jobs
    assert cluster.created == [collect]
    await settle(cluster)
    assert len(cluster.created) == 2


async def test_a_job_on_a_lost_node_that_never_ends_holds_nothing_for_ever() -> None:
    cluster = Cluster(with_its_folder())
    await settle(cluster)
    cluster.tweetmodel["metadata"]["deletionTimestamp"] = NOW
    [collect] = cluster.jobs
    cluster.jobs[collect]["metadata"]["deletionTimestamp"] = NOW
    assert await operator(cluster).reconcile(KEY) is not None
    assert cluster.has_finalizer
    await Reconciler(cluster, Settings(), lambda: time("2026-11-23T12:31:00Z")).reconcile(KEY)
    assert not cluster.has_finalizer
    assert f"Job {collect} does not end" in cluster.events[-1]["note"]


async def test_a_policy_that_is_taken_back_holds_it_no_longer() -> None:
    cluster = await live(Cluster(with_its_folder()))
    cluster.tweetmodel["spec"]["deletionPolicy"] = "Retain"
    await settle(cluster)
    assert not cluster.has_finalizer


async def test_with_its_watches_a_tweetmodel_is_never_read_while_it_begins() -> None:
    cluster = Cluster(tweetmodel())
    reconciler = operator(cluster)
    reconciler.cache.update("TweetModel", copy.deepcopy(cluster.tweetmodel))
    await settle(cluster, reconciler)
    assert len(cluster.created) == 1
    assert cluster.reads == 1, "the defaults of its namespace"


async def test_a_list_from_the_past_does_not_bring_back_a_job_that_was_done_and_went() -> None:
    cluster = Cluster(tweetmodel())
    as_it_was = copy.deepcopy(cluster.tweetmodel)
    await finished(cluster)
    cluster.jobs.clear()
    cluster.pods.clear()
    restarted = operator(cluster)
    restarted.cache.update("TweetModel", as_it_was, from_list=True)
    await settle(cluster, restarted)
    assert not cluster.jobs
    assert cluster.conditions()["Ready"] == ("True", "Succeeded")


async def test_a_suspension_is_read_afresh_before_it_is_followed() -> None:
    cluster = Cluster(tweetmodel())
    reconciler = operator(cluster)
    await settle(cluster, reconciler)
    stale = copy.deepcopy(cluster.tweetmodel)
    stale["spec"]["suspend"] = True
    stale["metadata"]["resourceVersion"] = str(cluster.version + 100)
    restarted = operator(cluster)
    restarted.cache.update("TweetModel", stale, from_list=True)
    [job] = cluster.jobs.values()
    restarted.cache.update("Job", copy.deepcopy(job) | {"kind": "Job"})
    assert await restarted.reconcile(KEY) == 0.0
    assert not job["spec"].get("suspend"), "the list was of the past"


async def test_a_job_that_only_the_view_has_lost_is_not_made_again() -> None:
    cluster = Cluster(tweetmodel())
    reconciler = operator(cluster)
    await settle(cluster, reconciler)
    [job] = cluster.jobs.values()
    reconciler.cache.remove("Job", job)
    await settle(cluster, reconciler)
    assert len(cluster.created) == 1


@pytest.mark.parametrize("stage", ["collect", "train"])
async def test_going_back_to_what_failed_says_so_at_once_while_its_job_is_there(stage: str) -> None:
    cluster = Cluster(tweetmodel())
    reconciler = operator(cluster)
    sources = cluster.tweetmodel["spec"]["sources"]

    async def ends(stage: str, report: Report, code: int = 0) -> None:
        cluster.finish(stage, report, code)
        reconciler.cache.invalidate(KEY)
        await settle(cluster, reconciler)

    async def edited(**spec: Any) -> None:
        cluster.tweetmodel["spec"] |= spec
        cluster.tweetmodel["metadata"] |= {"resourceVersion": cluster._next_version()}
        reconciler.cache.update("TweetModel", copy.deepcopy(cluster.tweetmodel))
        await settle(cluster, reconciler)

    await settle(cluster, reconciler)
    if stage == "train":
        await ends("collect", success(dataset=dataset()))
    await ends(stage, failure(Reason.DIVERGED, "It diverged."), code=78)
    await edited(training={"epochs": 9}, sources=[{**sources[0], "handle": "bob"}] if stage == "collect" else sources)
    if stage == "collect":
        await ends("collect", success(dataset=dataset()))
    await ends("train", trained(cluster))
    assert cluster.conditions()["Ready"] == ("True", "Succeeded")
    made, seen, write = len(cluster.created), [], cluster.apply

    async def noted(path: str, body: dict[str, Any], manager: str) -> dict[str, Any]:
        seen.append(body["status"]["steps"][-1]["outcome"])
        return await write(path, body, manager)

    cluster.apply = noted
    await edited(training={}, sources=sources)
    assert seen == ["Failed"]
    assert len(cluster.created) == made
    assert cluster.conditions()["Ready"] == ("False", "Diverged")


async def test_a_complete_job_whose_pods_have_not_been_seen_is_not_run_again() -> None:
    cluster = Cluster(tweetmodel())
    reconciler = operator(cluster)
    await settle(cluster, reconciler)
    cluster.finish("collect", success(dataset=dataset()))
    [job] = cluster.jobs.values()
    reconciler.cache.update("Job", copy.deepcopy(job))
    await settle(cluster, reconciler)
    assert [j["metadata"]["labels"][names.STEP] for j in cluster.jobs.values()] == ["collect", "train"]


async def finished(cluster: Cluster) -> Reconciler:
    """The operator that saw the whole life of a TweetModel."""
    reconciler = operator(cluster)
    for stage, report in (("", None), ("collect", success(dataset=dataset())), ("train", None)):
        if stage:
            cluster.finish(stage, report or trained(cluster))
            reconciler.cache.invalidate(KEY)
        await settle(cluster, reconciler)
    return reconciler


async def test_a_scheduled_tweetmodel_rests_until_it_is_due() -> None:
    life = tweetmodel()
    life["spec"]["schedule"] = {"cron": "0 18 * * *"}
    cluster = Cluster(life)
    reconciler = await finished(cluster)
    assert reconciler.cache.get(KEY) is None
    assert await reconciler.reconcile(KEY) == 6 * 3600
    assert reconciler.cache.get(KEY) is None
    reconciler.now = lambda: time("2026-11-23T18:00:00Z")
    await settle(cluster, reconciler)
    assert len(cluster.created) == 3


async def test_a_finished_tweetmodel_is_at_rest_and_a_retry_wakes_it() -> None:
    cluster = Cluster(tweetmodel())
    reconciler = await finished(cluster)
    assert reconciler.cache.get(KEY) is None
    cluster.tweetmodel["metadata"] |= {"annotations": {names.RETRY: "now"}, "resourceVersion": cluster._next_version()}
    assert reconciler.cache.update("TweetModel", copy.deepcopy(cluster.tweetmodel))
    await settle(cluster, reconciler)
    assert len(cluster.created) == 3


async def test_a_life_is_counted_by_how_its_jobs_ended() -> None:
    def count(outcome: str) -> float:
        return sum(
            sample.value
            for family in metrics.JOBS.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.labels["outcome"] == outcome
        )

    before = count("Succeeded")
    await live(Cluster(tweetmodel()))
    assert count("Succeeded") == before + 2
    cluster = await kept_until_purged()
    cluster.finish("purge", success())
    await settle(cluster)
    assert count("Succeeded") == before + 5


async def test_a_run_and_a_job_that_are_cut_short_are_counted_with_their_gpus() -> None:
    def told(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"tweetmodel_{name}", labels) or 0.0

    cut_short = {"step": "train", "outcome": "Deleted", "reason": "Deleted"}
    superseded = {"outcome": "Superseded", "reason": "Superseded"}
    before = told("jobs_total", **cut_short), told("runs_total", **superseded), told("gpu_seconds_total")
    cluster = Cluster(tweetmodel())
    await settle(cluster)
    cluster.finish("collect", success(dataset=dataset()))
    await settle(cluster)
    cluster.jobs[cluster.created[-1]]["status"]["startTime"] = NOW
    cluster.tweetmodel["spec"]["training"] = {"epochs": 9}
    await settle(cluster, Reconciler(cluster, Settings(), lambda: time("2026-11-23T12:01:00Z")))
    after = told("jobs_total", **cut_short), told("runs_total", **superseded), told("gpu_seconds_total")
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 60]


async def test_a_source_that_is_another_tweetmodel_is_waited_for_and_its_data_set_handed_on() -> None:
    mix = tweetmodel()
    mix["spec"]["sources"].append({"handle": "bob", "tweetModel": {"name": "bob"}})
    cluster = Cluster(mix)
    assert await operator(cluster).reconcile(KEY) is not None
    assert not cluster.created
    assert cluster.conditions()["Ready"] == ("Unknown", "Pending")
    assert "TweetModel bob, which does not exist" in mix["status"]["conditions"][0]["message"]
    mix["spec"]["cleaning"] = {"erase": ["17"]}
    await settle(cluster)
    assert "New entries of cleaning.erase take effect afterwards" in mix["status"]["conditions"][0]["message"]
    cluster.lent = {}
    await settle(cluster)
    assert "TweetModel bob, which has no data set yet" in mix["status"]["conditions"][0]["message"]
    cluster.lent = dataset().to_json_object()
    await settle(cluster)
    [collect] = cluster.jobs.values()
    plan = Plan.model_validate_json(collect["spec"]["template"]["metadata"]["annotations"][names.PLAN])
    assert plan.upstream_datasets["bob"].digest == dataset().digest


async def test_what_is_logged_of_a_tweetmodel_is_marked_with_its_run_and_job(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    logs.install()
    cluster = await live(Cluster(tweetmodel()))
    told = caplog.records[-1]
    assert told.getMessage().startswith("default/ada: Succeeded: ")
    assert (told.namespace, told.tweetmodel) == (KEY.namespace, KEY.name)
    assert (told.run, told.job) == (cluster.tweetmodel["status"]["run"], cluster.created[-1])


async def test_an_error_is_logged_with_the_tweetmodel_it_befell(caplog: pytest.LogCaptureFixture) -> None:
    logs.install()
    with pytest.raises(ApiError):
        await operator(Cluster(tweetmodel(), refuse=ApiError(503, "", "try later"))).reconcile(KEY)
    [told] = caplog.records
    assert (told.levelname, told.tweetmodel) == ("WARNING", KEY.name)


async def test_a_job_costs_the_gpus_that_it_held_and_not_those_of_the_present_spec() -> None:
    def count() -> float:
        return metrics.GPU_SECONDS._value.get()

    async def trained_on(gpus: int) -> tuple[Cluster, Reconciler]:
        asked = tweetmodel()
        asked["spec"] |= {"gpus": gpus, "training": {"globalBatchSize": 8}}
        cluster = Cluster(asked)
        await settle(cluster)
        cluster.finish("collect", success(dataset=dataset()))
        await settle(cluster)
        job = next(j for j in cluster.jobs.values() if j["metadata"]["labels"][names.STEP] == "train")
        job["status"] = {"startTime": "2026-11-23T11:50:00Z"}
        return cluster, operator(cluster)

    before = count()
    cluster, reconciler = await trained_on(2)
    cluster.tweetmodel["spec"]["gpus"] = 8
    cluster.tweetmodel["metadata"]["generation"] += 1
    await settle(cluster, reconciler)
    assert count() - before == 2 * 600


async def test_a_pass_that_only_looks_again_is_no_error() -> None:
    def count() -> float:
        return metrics.RECONCILES.labels("error")._value.get()

    before = count()
    await live(Cluster(short(), defaults={"storage": spec().to_json_object()["storage"]}))
    assert count() == before
