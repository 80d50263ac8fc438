"""Observe, decide and apply together, in a cluster in memory."""

import copy
from typing import Any, NamedTuple

import pytest
from prometheus_client import REGISTRY

from fakes import objects
from fakes.cluster import PATH, FakeCluster, fake_cluster, new_reconciler, reconcile_until_idle, run_lifecycle
from makers import KEY, NOW, dataset, failure, spec
from tweetmodel_api import KIND
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report
from tweetmodel_api.status import Progress
from tweetmodel_operator import logs, metrics, names
from tweetmodel_operator.api_server import ApiError, tweetmodels_path
from tweetmodel_operator.children import JOB
from tweetmodel_operator.reconcile import Reconciler

FORBIDDEN = ApiError(403, "Forbidden", 'admission webhook "policy" denied the request: no GPUs at night')
OUT_OF_QUOTA = ApiError(403, "Forbidden", "jobs.batch is forbidden: exceeded quota: jobs, requested: 1")
WEBHOOK_DOWN = ApiError(500, "InternalError", 'failed calling webhook "policy": context deadline exceeded')
OVERLOADED = ApiError(503, "", "try later")


# Writes


async def test_a_successful_run_takes_six_writes_besides_its_jobs() -> None:
    cluster = await run_lifecycle(fake_cluster())
    assert cluster.conditions["Ready"] == ("True", "Succeeded")
    assert len(cluster.created_jobs) == 2
    assert cluster.writes - len(cluster.created_jobs) <= 6
    assert [event["reason"] for event in cluster.events] == ["Succeeded"]


async def test_a_report_without_its_result_fails_the_step_for_good() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    cluster.finish("collect", Report(outcome="Succeeded", reason=Reason.SUCCEEDED, message="Done."))
    await reconcile_until_idle(cluster)
    assert cluster.conditions["Stalled"] == ("True", "InternalError")
    assert "may be of another version" in cluster.message
    assert "tweetmodel.dev/retry" in cluster.message
    assert [step["outcome"] for step in cluster.tweetmodel["status"]["steps"]] == ["Failed"]
    cluster.remove(objects.job_path(cluster.created_jobs[0]))  # the TTL has passed
    await reconcile_until_idle(cluster)
    assert len(cluster.created_jobs) == 1


async def test_a_job_that_the_operator_did_not_create_is_ignored() -> None:
    cluster = fake_cluster()
    foreign = objects.job("foreign")
    del foreign["metadata"]["labels"][names.STEP_LABEL]
    cluster.add(JOB.path(KEY.namespace), foreign)
    await reconcile_until_idle(cluster)
    assert cluster.conditions["Ready"] == ("Unknown", "Collecting")


async def test_a_status_of_a_later_version_is_kept_after_a_rollback() -> None:
    cluster = await run_lifecycle(fake_cluster())
    cluster.update(PATH, status={"newField": 1, "model": {"license": "mit"}})
    await reconcile_until_idle(cluster)
    assert len(cluster.created_jobs) == 2
    assert cluster.conditions["Ready"] == ("True", "Succeeded")


async def test_a_new_collection_waits_for_the_end_of_the_last_one() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    old = cluster.created_jobs[0]
    cluster.set_pod(objects.running())
    cluster.edit(cleaning={"erase": ["17"]})
    await reconcile_until_idle(cluster)
    assert cluster.created_jobs == [old]
    assert cluster.conditions["Ready"] == ("Unknown", "Pending")
    assert "is being deleted" in cluster.message
    assert [step["outcome"] for step in cluster.tweetmodel["status"]["steps"]] == ["Superseded"]
    cluster.remove(objects.job_path(old))
    await reconcile_until_idle(cluster)
    assert len(cluster.created_jobs) == 2


async def test_steps_of_a_changed_and_suspended_spec_are_superseded() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    reconciler = new_reconciler(cluster)
    cluster.edit(suspend=True, cleaning={"erase": ["17"]})
    await reconcile_until_idle(cluster, reconciler)
    assert [step["outcome"] for step in cluster.tweetmodel["status"]["steps"]] == ["Superseded"]
    assert reconciler.active_jobs == {}


async def test_a_return_to_an_earlier_run_shows_no_step_of_the_last_one() -> None:
    cluster = await run_lifecycle(fake_cluster())
    first = cluster.tweetmodel["status"]["run"]
    training = cluster.tweetmodel["spec"].get("training")
    cluster.edit(training={"seed": 7})
    await run_lifecycle(cluster)
    cluster.edit(training=training)
    await reconcile_until_idle(cluster)
    cluster.finish()
    await reconcile_until_idle(cluster)
    status = cluster.tweetmodel["status"]
    assert status["run"] == first
    assert {step["id"] for step in status["steps"] if step["outcome"] == "Succeeded"} <= {first, status["collection"]}


WRITES_OF_A_RUN = 8


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", range(1, WRITES_OF_A_RUN + 1))
async def test_a_crash_at_any_write_leads_to_the_same_result(write: int, is_after: bool) -> None:
    uninterrupted = await run_lifecycle(fake_cluster())
    assert uninterrupted.writes == WRITES_OF_A_RUN, "the parameters must cover every write"
    crashed = fake_cluster()
    crashed.crash_at, crashed.crash_after = write, is_after
    await run_lifecycle(crashed)
    assert crashed.crash_at is None
    assert crashed.created_jobs == uninterrupted.created_jobs
    for part in ("spec", "status"):
        assert crashed.tweetmodel[part] == uninterrupted.tweetmodel[part]
    assert _specs(crashed) == _specs(uninterrupted)


def _specs(cluster: FakeCluster) -> dict[str, Any]:
    return {name: job["spec"] for name, job in cluster.jobs.items()}


async def test_nothing_is_written_without_a_change() -> None:
    cluster = await run_lifecycle(fake_cluster())
    before = cluster.writes
    for _ in range(5):
        await new_reconciler(cluster).reconcile(KEY)
    assert cluster.writes == before


# Events


async def test_an_event_names_its_run_and_the_pod_of_the_operator() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    cluster.finish("collect", failure(Reason.NOT_ENOUGH_TWEETS), code=65)
    await reconcile_until_idle(cluster, new_reconciler(cluster, instance="operator-0"))
    (without_run,) = cluster.events
    assert without_run["reportingInstance"] == "operator-0"
    assert "annotations" not in without_run["metadata"]
    cluster = await run_lifecycle(fake_cluster())
    (succeeded,) = cluster.events
    assert succeeded["metadata"]["annotations"] == {names.RUN_ANNOTATION: cluster.tweetmodel["status"]["run"]}
    assert succeeded["reportingInstance"] == names.FIELD_MANAGER


async def test_a_failure_emits_one_event_and_stays() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    cluster.finish("collect", failure(Reason.NOT_ENOUGH_TWEETS, "Too few: add a source."), code=65)
    await reconcile_until_idle(cluster)
    await reconcile_until_idle(cluster)
    assert cluster.conditions["Stalled"] == ("True", "NotEnoughTweets")
    emitted = [event for event in cluster.events if event["reason"] == "NotEnoughTweets"]
    assert [(event["type"], event["note"]) for event in emitted] == [("Warning", "Too few: add a source.")]
    assert len(cluster.created_jobs) == 1


async def test_a_problem_that_starts_to_require_action_emits_a_warning_too() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    for reason in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"):
        cluster.set_pod(objects.waiting(reason, "no"))
        await reconcile_until_idle(cluster)
    assert [(event["type"], event["reason"]) for event in cluster.events] == [
        ("Normal", "ImagePullFailed"),
        ("Warning", "ImagePullFailed"),
    ]


async def test_a_repeated_failure_emits_one_event_and_stays_until_a_pod_gets_further() -> None:
    cluster = fake_cluster()
    reconciler = new_reconciler(cluster)
    await reconcile_until_idle(cluster, reconciler)
    job = cluster.update_job(status=objects.job_started(NOW))
    shown = []
    for number in range(4):
        started_at = f"2026-11-23T11:59:{number}0Z"
        ended = objects.terminated(137, reason="OOMKilled", started_at=started_at)
        for status in (objects.running(started_at), ended):
            cluster.set_pod(status, number=number, created_at=started_at)
            reconciler.cache.invalidate(KEY)
            await reconcile_until_idle(cluster, reconciler)
            shown.append(cluster.conditions["Ready"][1])
            if number == 2 and status is not ended:
                reported = Progress(progress_percentage=5, last_updated_time="2026-11-23T11:59:25Z")
                reconciler.progress[job["metadata"]["name"]] = reported
                await reconcile_until_idle(cluster, reconciler)
                assert cluster.conditions["Ready"][1] == "Collecting"
    assert shown == ["Collecting", *["OutOfMemory"] * 7]
    assert [(event["type"], event["reason"]) for event in cluster.events] == [("Normal", "OutOfMemory")]


# Rejected Jobs


@pytest.mark.parametrize(
    ("error", "is_stalled"),
    [(FORBIDDEN, "True"), (OUT_OF_QUOTA, "False"), (WEBHOOK_DOWN, "False")],
    ids=["webhook-denies", "quota-exceeded", "webhook-unreachable"],
)
async def test_a_rejected_job_emits_one_event_and_is_retried(error: ApiError, is_stalled: str) -> None:
    cluster = fake_cluster()
    cluster.reject(error, method="POST", plural="jobs")
    for _ in range(3):
        assert await reconcile_until_idle(cluster) == 60
    assert cluster.conditions["Stalled"] == (is_stalled, "PodRefused")
    assert [(event["reason"], str(error) in event["note"]) for event in cluster.events] == [("PodRefused", True)]
    cluster.accept_all()
    await reconcile_until_idle(cluster)
    assert cluster.conditions["Ready"] == ("Unknown", "Collecting")


async def test_an_error_of_the_api_server_writes_no_status() -> None:
    cluster = fake_cluster()
    cluster.reject(OVERLOADED, method="POST", plural="jobs")
    with pytest.raises(ApiError):
        await new_reconciler(cluster).reconcile(KEY)
    assert "status" not in cluster.tweetmodel


# Jobs that do not start


class Blocked(NamedTuple):
    """A Job that does not start, and the resulting condition."""

    job: dict[str, Any]
    """Changed parts of the Job."""
    pod: dict[str, Any] | None
    """Status of the pod; None without a pod."""
    reason: str
    is_stalled: str
    words: str
    """Part of the message."""
    node: str | None = objects.NODE


STARTED = {"status": objects.job_started()}


def config_error(message: str) -> dict[str, Any]:
    return objects.waiting("CreateContainerConfigError", message)


NO_SECRET = 'secret "s3" not found'
NO_KEY = "couldn't find key accessKeyID in Secret default/s3"
NO_CONFIG_MAP = 'configmap "proxy" not found'
NOT_SYNCED = "failed to sync secret cache: timed out"
NO_ROOM = "0/1 nodes are available."
LOW_ON_DISK = "The node was low on resource: ephemeral-storage. "
NO_DEVICE = "Allocate failed: no healthy device"

BLOCKED = {
    "no-pod": Blocked(STARTED, None, "PodRefused", "False", "`kubectl describe job"),
    "suspended": Blocked({"spec": {"suspend": True}}, None, "Queued", "False", "until there is quota"),
    "unschedulable": Blocked({}, objects.unschedulable(NO_ROOM), "Unschedulable", "False", NO_ROOM, node=None),
    "no-scheduler": Blocked(
        {}, objects.pod_status("Pending"), "Pending", "False", "No scheduler has assigned pod", node=None
    ),
    "slow-pull": Blocked(
        {}, objects.waiting("ContainerCreating"), "Pending", "False", "Node n1 is still pulling the image"
    ),
    "no-sandbox": Blocked(
        {}, objects.waiting("ContainerCreating", "", objects.NO_SANDBOX), "Pending", "False", "network, volumes"
    ),
    "ErrImagePull": Blocked({}, objects.waiting("ErrImagePull", "timeout"), "ImagePullFailed", "False", "timeout"),
    "ImagePullBackOff": Blocked(
        {}, objects.waiting("ImagePullBackOff", "no such image"), "ImagePullFailed", "True", "no such image"
    ),
    "InvalidImageName": Blocked(
        {}, objects.waiting("InvalidImageName", "bad name"), "ImagePullFailed", "True", "bad name"
    ),
    "no-secret": Blocked({}, config_error(NO_SECRET), "SecretInvalid", "True", NO_SECRET),
    "no-key": Blocked({}, config_error(NO_KEY), "SecretInvalid", "True", NO_KEY),
    "no-config-map": Blocked({}, config_error(NO_CONFIG_MAP), "PodRefused", "True", NO_CONFIG_MAP),
    "secret-not-synced": Blocked(
        {},
        config_error(NOT_SYNCED),
        "Pending",
        "False",
        f"Node n1 has not read the Secrets of pod {{pod}} yet ({NOT_SYNCED})",
    ),
    "RunContainerError": Blocked(
        {}, objects.waiting("RunContainerError", "no such device"), "PodRefused", "True", "no such device"
    ),
    "node-unreachable": Blocked(
        {},
        objects.running(NOW, objects.NODE_UNREACHABLE),
        "NodeLost",
        "False",
        "Node n1 is unreachable",
    ),
    "evicted": Blocked(
        {},
        objects.evicted("Evicted", LOW_ON_DISK),
        "DiskFull",
        "False",
        "low on resource: ephemeral-storage. Choose a smaller base model",
    ),
    "rejected-by-node": Blocked(
        {},
        objects.evicted("UnexpectedAdmissionError", NO_DEVICE),
        "PodRefused",
        "False",
        "no healthy device. Change the rejected fields",
    ),
    "deadline": Blocked(
        {"status": objects.job_failed("DeadlineExceeded", "Job was active too long")},
        None,
        "DeadlineExceeded",
        "True",
        "too long. Train for fewer epochs",
    ),
}


@pytest.mark.parametrize("blocked", BLOCKED.values(), ids=BLOCKED)
async def test_a_blocked_job_is_explained_by_one_event(blocked: Blocked) -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    cluster.update_job(**blocked.job)
    pod = ""
    if blocked.pod:
        pod = cluster.set_pod(blocked.pod, node=blocked.node)["metadata"]["name"]
    for _ in range(3):
        await reconcile_until_idle(cluster)
    assert cluster.conditions["Stalled"] == (blocked.is_stalled, blocked.reason)
    assert blocked.words.format(pod=pod) in cluster.message
    assert [event["reason"] for event in cluster.events] == [blocked.reason]


@pytest.mark.parametrize(
    ("cause", "is_stalled"),
    [
        ("exceeded quota: no-gpus, requested: requests.nvidia.com/gpu=1, used: 0, limited: 0", "False"),
        ("no PriorityClass with name urgent was found", "True"),
        ('error looking up service account default/ada: serviceaccount "ada" not found', "True"),
    ],
    ids=["quota", "priority-class", "service-account"],
)
async def test_a_rejected_pod_is_explained_once_by_the_event_of_the_job_controller(cause: str, is_stalled: str) -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    name = cluster.update_job(**STARTED)["metadata"]["name"]
    rejection = f'Error creating: pods "{name}-x7k2p" is forbidden: {cause}'
    cluster.add_job_event("an older event", "2026-11-23T10:00:00Z")
    cluster.add_job_event(rejection, NOW)
    await reconcile_until_idle(cluster)
    assert cluster.conditions["Stalled"] == (is_stalled, "PodRefused")
    assert f'pods "{name}" is forbidden: {cause}' in cluster.message
    writes = cluster.writes
    cluster.clear_job_events()
    cluster.add_job_event(f"(combined from similar events): {rejection}".replace("x7k2p", "9zq4w"), NOW)
    await reconcile_until_idle(cluster)
    assert cluster.writes == writes, "each attempt names another pod"
    cluster.clear_job_events()
    cluster.add_job_event(rejection, "2026-11-23T10:00:00Z")
    assert await reconcile_until_idle(cluster) == 3600, "no watch reports the next attempt"
    assert "kubectl describe job" in cluster.message


@pytest.mark.parametrize("code", [403, 504])
async def test_events_that_can_not_be_read_stop_nothing(code: int) -> None:
    cluster = fake_cluster()
    cluster.reject(ApiError(code, "", "no"), method="GET", plural="events")
    await reconcile_until_idle(cluster)
    cluster.update_job(**STARTED)
    await reconcile_until_idle(cluster)
    assert cluster.conditions["Ready"] == ("Unknown", "PodRefused")
    cluster.edit(suspend=True)
    await reconcile_until_idle(cluster)
    assert cluster.conditions["Ready"] == ("False", "Suspended")


async def test_an_overloaded_api_server_requires_no_action() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    cluster.add_job_event("Error creating: etcdserver: leader changed", NOW)
    cluster.update_job(**STARTED)
    await reconcile_until_idle(cluster)
    assert cluster.conditions["Stalled"] == ("False", "PodRefused")


@pytest.mark.parametrize("has_worked", [False, True], ids=["never-started", "worked"])
async def test_a_deadline_names_the_cause_of_the_wait_unless_the_job_worked(has_worked: bool) -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    cluster.set_pod(objects.unschedulable(NO_ROOM), node=None)
    await reconcile_until_idle(cluster)
    cluster.update_job(status=objects.job_failed("DeadlineExceeded", "Job was active too long"))
    if has_worked:
        cluster.set_pod(objects.running())
    for _ in range(3):
        await reconcile_until_idle(cluster)
    assert cluster.conditions["Stalled"] == ("True", "DeadlineExceeded")
    assert ("No container started in time." in cluster.message) is not has_worked
    assert (NO_ROOM.rstrip(".") in cluster.message) is not has_worked


# Requests of users


async def test_removal_of_the_retry_annotation_changes_nothing() -> None:
    cluster = await run_lifecycle(fake_cluster())
    cluster.request_retry("now")
    await reconcile_until_idle(cluster)
    assert len(cluster.created_jobs) == 3
    cluster.finish("collect")
    await reconcile_until_idle(cluster)
    cluster.request_retry(None)
    writes = cluster.writes
    await reconcile_until_idle(cluster)
    assert (len(cluster.created_jobs), cluster.writes) == (3, writes)
    assert cluster.conditions["Ready"] == ("True", "Succeeded")


async def test_a_deleted_tweetmodel_is_removed_from_memory() -> None:
    cluster = fake_cluster()
    reconciler = new_reconciler(cluster)
    await reconciler.reconcile(KEY)
    assert reconciler.active_jobs
    reconciler.cache.remove(KIND, cluster.tweetmodel)
    cluster.remove(PATH)
    assert await reconciler.reconcile(KEY) is None
    assert not reconciler.active_jobs


@pytest.mark.parametrize("step", ["collect", "train"])
async def test_a_return_to_a_failed_spec_shows_the_failure_at_once_while_its_job_exists(step: str) -> None:
    cluster = fake_cluster()
    reconciler = new_reconciler(cluster)
    sources = cluster.tweetmodel["spec"]["sources"]

    async def finish(step: str, report: Report | None = None, code: int = 0) -> None:
        cluster.finish(step, report, code)
        reconciler.cache.invalidate(KEY)
        await reconcile_until_idle(cluster, reconciler)

    async def edit(**fields: Any) -> None:
        cluster.edit(**fields)
        deliver(cluster, reconciler)
        await reconcile_until_idle(cluster, reconciler)

    await reconcile_until_idle(cluster, reconciler)
    if step == "train":
        await finish("collect")
    await finish(step, failure(Reason.DIVERGED, "It diverged."), code=78)
    await edit(training={"epochs": 9}, sources=[{**sources[0], "handle": "bob"}] if step == "collect" else sources)
    if step == "collect":
        await finish("collect")
    await finish("train")
    assert cluster.conditions["Ready"] == ("True", "Succeeded")
    created, requests = len(cluster.created_jobs), len(cluster.requests)
    await edit(training={}, sources=sources)
    statuses = [r.body["status"] for r in cluster.requests[requests:] if r.path.endswith("/status")]
    assert [status["steps"][-1]["outcome"] for status in statuses] == ["Failed"]
    assert len(cluster.created_jobs) == created
    assert cluster.conditions["Ready"] == ("False", "Diverged")


async def test_an_upstream_tweetmodel_is_awaited_and_its_data_set_is_passed_on() -> None:
    sources = [*spec().to_json_object()["sources"], {"handle": "bob", "tweetModel": {"name": "bob"}}]
    cluster = fake_cluster(sources=sources)
    assert await new_reconciler(cluster).reconcile(KEY) is not None
    assert not cluster.created_jobs
    assert cluster.conditions["Ready"] == ("Unknown", "Pending")
    assert "TweetModel bob, which does not exist" in cluster.message
    cluster.edit(cleaning={"erase": ["17"]})
    await reconcile_until_idle(cluster)
    assert "New entries of cleaning.erase take effect after the next collection" in cluster.message
    upstream = {"metadata": {"name": "bob"}, "status": {"observedGeneration": 1}}
    cluster.add(tweetmodels_path(KEY.namespace), upstream)
    await reconcile_until_idle(cluster)
    assert "TweetModel bob, which has no data set yet" in cluster.message
    upstream["status"] |= {"dataset": dataset().to_json_object()}
    cluster.add(tweetmodels_path(KEY.namespace), upstream)
    await reconcile_until_idle(cluster)
    assert objects.plan_of(cluster.job()).upstream_datasets["bob"].digest == dataset().digest


# The cache


def deliver(cluster: FakeCluster, reconciler: Reconciler, kind: str = KIND) -> bool:
    """Deliver the watch event of the TweetModel or of the newest Job."""
    return reconciler.cache.update(kind, copy.deepcopy(cluster.tweetmodel if kind == KIND else cluster.job()))


async def test_a_new_tweetmodel_is_not_read_while_watches_deliver_events() -> None:
    cluster = fake_cluster()
    reconciler = new_reconciler(cluster)
    deliver(cluster, reconciler)
    await reconcile_until_idle(cluster, reconciler)
    assert len(cluster.created_jobs) == 1
    assert cluster.reads == 1, "the defaults of its namespace"


async def test_a_stale_list_does_not_repeat_a_job_that_was_finished_and_deleted() -> None:
    cluster = fake_cluster()
    stale = copy.deepcopy(cluster.tweetmodel)
    await run_lifecycle(cluster, new_reconciler(cluster))
    for name in list(cluster.jobs):
        cluster.remove(objects.job_path(name))
    restarted = new_reconciler(cluster)
    restarted.cache.update(KIND, stale, from_list=True)
    await reconcile_until_idle(cluster, restarted)
    assert not cluster.jobs
    assert cluster.conditions["Ready"] == ("True", "Succeeded")


async def test_a_suspension_requires_a_live_read() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    stale = copy.deepcopy(cluster.tweetmodel)
    stale["spec"]["suspend"] = True
    stale["metadata"]["resourceVersion"] = str(cluster.version + 100)
    restarted = new_reconciler(cluster)
    restarted.cache.update(KIND, stale, from_list=True)
    deliver(cluster, restarted, "Job")
    assert await restarted.reconcile(KEY) == 0.0
    assert not cluster.job()["spec"].get("suspend"), "the list was stale"


async def test_a_job_that_only_the_cache_has_lost_is_not_created_again() -> None:
    cluster = fake_cluster()
    reconciler = new_reconciler(cluster)
    await reconcile_until_idle(cluster, reconciler)
    reconciler.cache.remove("Job", cluster.job())
    await reconcile_until_idle(cluster, reconciler)
    assert len(cluster.created_jobs) == 1


async def test_a_complete_job_whose_pods_are_not_cached_yet_is_not_repeated() -> None:
    cluster = fake_cluster()
    reconciler = new_reconciler(cluster)
    await reconcile_until_idle(cluster, reconciler)
    cluster.finish("collect")
    deliver(cluster, reconciler, "Job")
    await reconcile_until_idle(cluster, reconciler)
    assert [job["metadata"]["labels"][names.STEP_LABEL] for job in cluster.jobs.values()] == ["collect", "train"]


async def test_a_scheduled_tweetmodel_is_evicted_until_its_due_time() -> None:
    cluster = fake_cluster(schedule={"cron": "0 18 * * *"})
    reconciler = new_reconciler(cluster)
    await run_lifecycle(cluster, reconciler)
    assert reconciler.cache.get(KEY) is None
    assert await reconciler.reconcile(KEY) == 6 * 3600
    assert reconciler.cache.get(KEY) is None
    cluster.now = "2026-11-23T18:00:00Z"
    await reconcile_until_idle(cluster, reconciler)
    assert len(cluster.created_jobs) == 3


async def test_a_finished_tweetmodel_is_evicted_and_a_retry_wakes_the_tweetmodel() -> None:
    cluster = fake_cluster()
    reconciler = new_reconciler(cluster)
    await run_lifecycle(cluster, reconciler)
    assert reconciler.cache.get(KEY) is None
    cluster.request_retry("now")
    assert deliver(cluster, reconciler)
    await reconcile_until_idle(cluster, reconciler)
    assert len(cluster.created_jobs) == 3


# Metrics and logs


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tweetmodel_{name}", labels) or 0.0


def ended_jobs(outcome: str) -> float:
    """Return the number of Jobs with an outcome, of all steps and reasons."""
    samples = (sample for family in metrics.JOBS.collect() for sample in family.samples)
    return sum(s.value for s in samples if s.name.endswith("_total") and s.labels["outcome"] == outcome)


async def test_jobs_are_counted_by_their_outcome() -> None:
    before = ended_jobs("Succeeded")
    await run_lifecycle(fake_cluster())
    assert ended_jobs("Succeeded") == before + 2
    cluster = await run_lifecycle(fake_cluster(deletionPolicy="Delete"))
    cluster.delete_tweetmodel()
    await reconcile_until_idle(cluster)
    cluster.finish("purge")
    await reconcile_until_idle(cluster)
    assert ended_jobs("Succeeded") == before + 5


async def test_a_superseded_run_and_its_deleted_job_are_counted_with_their_gpus() -> None:
    def counts() -> list[float]:
        deleted = sample("jobs_total", step="train", outcome="Deleted", reason="Deleted")
        superseded = sample("runs_total", outcome="Superseded", reason="Superseded")
        return [deleted, superseded, sample("gpu_seconds_total")]

    before = counts()
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    cluster.finish("collect")
    await reconcile_until_idle(cluster)
    cluster.update_job("train", status=objects.job_started(NOW))
    cluster.edit(training={"epochs": 9})
    cluster.now = "2026-11-23T12:01:00Z"
    await reconcile_until_idle(cluster)
    assert [new - old for new, old in zip(counts(), before, strict=True)] == [1, 1, 60]


async def test_gpu_seconds_are_those_of_the_job_instead_of_the_present_spec() -> None:
    cluster = fake_cluster(gpus=2, training={"globalBatchSize": 8})
    await reconcile_until_idle(cluster)
    cluster.finish("collect")
    await reconcile_until_idle(cluster)
    cluster.update_job("train", status=objects.job_started("2026-11-23T11:50:00Z"))
    before = sample("gpu_seconds_total")
    cluster.edit(gpus=8)
    await reconcile_until_idle(cluster)
    assert sample("gpu_seconds_total") - before == 2 * 600


async def test_an_immediate_requeue_counts_as_no_error() -> None:
    before = sample("reconciles_total", result="error")
    cluster = fake_cluster()
    cluster.edit(storage=None)
    cluster.add_defaults(storage=spec().to_json_object()["storage"])
    await run_lifecycle(cluster)
    assert sample("reconciles_total", result="error") == before


async def test_log_lines_contain_tweetmodel_run_and_job(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    logs.install()
    cluster = await run_lifecycle(fake_cluster())
    record = caplog.records[-1]
    assert record.getMessage().startswith("default/ada: Succeeded: ")
    assert (record.namespace, record.tweetmodel) == (KEY.namespace, KEY.name)
    assert (record.run, record.job) == (cluster.tweetmodel["status"]["run"], cluster.created_jobs[-1])


async def test_an_error_is_logged_with_its_tweetmodel(caplog: pytest.LogCaptureFixture) -> None:
    logs.install()
    cluster = fake_cluster()
    cluster.reject(OVERLOADED, method="POST", plural="jobs")
    with pytest.raises(ApiError):
        await new_reconciler(cluster).reconcile(KEY)
    (record,) = caplog.records
    assert (record.levelname, record.tweetmodel) == ("WARNING", KEY.name)
