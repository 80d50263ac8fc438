import asyncio
from functools import partial
from typing import Any

import pytest

from makers import KEY, NOW, UID, failure, spec
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import encode
from tweetmodel_api.status import Progress
from tweetmodel_operator import names, observe
from tweetmodel_operator.observe import read
from tweetmodel_operator.state import ObservedPod

assemble = partial(observe.assemble, gpu_resource="nvidia.com/gpu")


def tweetmodel(**changes: Any) -> dict[str, Any]:
    return {"metadata": {"uid": UID, "generation": 3}, "spec": spec().to_json_object(), **changes}


def raw_job(owner: str = UID, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "ada-collect-1",
            "uid": "job-uid",
            "creationTimestamp": "2026-11-23T12:00:00Z",
            "labels": names.job_labels("ada", "collect", "a" * 16, 1),
            "annotations": {names.POD_TEMPLATE_HASH: "b" * 16},
            "ownerReferences": [{"kind": "TweetModel", "uid": owner, "controller": True}],
        },
        "spec": {},
        "status": status,
    }


def raw_pod(name: str = "pod", created: str = "2026-11-23T12:00:01Z", **status: Any) -> dict[str, Any]:
    owner = {"kind": "Job", "uid": "job-uid", "controller": True}
    return {"metadata": {"name": name, "creationTimestamp": created, "ownerReferences": [owner]}, "status": status}


def container(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": names.CONTAINER, "state": state}]}


def test_jobs_of_an_earlier_tweetmodel_of_the_same_name_are_left_out() -> None:
    seen = assemble(KEY, tweetmodel(), [raw_job(), raw_job(owner="another")], [], {})
    assert len(seen.jobs) == 1


def test_a_job_in_a_queue_of_kueue_is_known_by_its_label() -> None:
    queued = raw_job()
    queued["metadata"]["labels"][names.QUEUE] = "gpus"
    seen = assemble(KEY, tweetmodel(), [raw_job(), queued], [], {})
    assert [job.queued for job in seen.jobs] == [False, True]


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        ({"limits": {"amd.com/gpu": "2", "nvidia.com/gpu": "1", "cpu": "4"}}, 2),
        ({"limits": {"cpu": "4"}}, 0),
        ({}, 0),
    ],
)
def test_a_job_holds_the_gpus_that_its_own_pods_ask_for(resources: dict[str, Any], gpus: int) -> None:
    raw = raw_job()
    container = {"name": names.CONTAINER, "resources": resources}
    raw["spec"] = {"template": {"spec": {"containers": [container]}}}
    (job,) = assemble(KEY, tweetmodel(), [raw], [], {}, gpu_resource="amd.com/gpu").jobs
    assert job.gpus == gpus


def test_a_report_is_read_from_the_termination_message() -> None:
    report = failure(Reason.ACCESS_DENIED)
    ended = raw_pod(**container(terminated={"exitCode": 77, "reason": "Error", "message": encode(report)}))
    (pod,) = assemble(KEY, tweetmodel(), [raw_job()], [ended], {}).jobs[0].pods
    assert (pod.exit_code, pod.report) == (77, report)


def test_the_job_whose_pod_has_told_how_far_it_is_is_known() -> None:
    raw = tweetmodel()
    name = raw_job()["metadata"]["name"]
    progress = Progress(progress_percentage=28, last_updated_time=NOW)
    attempt = {"step": "train", "id": "a" * 16, "number": 1}
    attempt |= {"podTemplateHash": "b" * 16, "job": name, "outcome": "Active"}
    raw["status"] = {"observedGeneration": 1, "attempt": attempt}
    assert not assemble(KEY, raw, [raw_job()], [], {}).jobs[0].reported
    assert assemble(KEY, raw, [raw_job()], [], {name: progress}).jobs[0].reported
    raw["status"]["progress"] = {"progressPercentage": 28, "lastUpdatedTime": NOW}
    assert assemble(KEY, raw, [raw_job()], [], {}).jobs[0].reported


def test_a_termination_message_that_is_no_report_counts_as_none() -> None:
    ended = raw_pod(**container(terminated={"exitCode": 137, "reason": "OOMKilled", "message": "Killed"}))
    (pod,) = assemble(KEY, tweetmodel(), [raw_job()], [ended], {}).jobs[0].pods
    assert (pod.exit_reason, pod.report) == ("OOMKilled", None)


def test_a_pods_memory_limit_is_its_containers() -> None:
    pod = raw_pod(**container(terminated={"exitCode": 137, "reason": "OOMKilled"}))
    assert assemble(KEY, tweetmodel(), [raw_job()], [pod], {}).jobs[0].pods[0].memory_limit == ""
    pod["spec"] = {"containers": [{"name": names.CONTAINER, "resources": {"limits": {"memory": "12Gi"}}}]}
    assert assemble(KEY, tweetmodel(), [raw_job()], [pod], {}).jobs[0].pods[0].memory_limit == "12Gi"


def test_a_job_is_idle_once_its_controller_has_tried_and_no_pod_is_there() -> None:
    def idle_since(**status: Any) -> str:
        raw = raw_job(**status)
        raw["metadata"]["managedFields"] = [
            {"manager": "tweetmodel-operator", "time": "2026-11-23T13:00:00Z"},
            {"manager": "kube-controller-manager", "subresource": "status", "time": "2026-11-23T12:30:00Z"},
        ]
        (job,) = assemble(KEY, tweetmodel(), [raw], [], {}).jobs
        return job.idle_since

    begun = {"startTime": "2026-11-23T12:00:00Z"}
    assert idle_since() == ""
    assert idle_since(**begun, active=1) == ""
    assert idle_since(**begun, terminating=1) == ""
    assert idle_since(**begun, conditions=[{"type": "Suspended", "status": "True"}]) == "", "it is to begin again"
    assert idle_since(**begun, terminating=0) == "2026-11-23T12:30:00Z"


def pod_on_a_node(ready: dict[str, str], phase: str = "Running", **state: Any) -> ObservedPod:
    pod = raw_pod(phase=phase, conditions=[{"type": "Ready", **ready}], **container(**state))
    pod["spec"] = {"nodeName": "n1", "containers": []}
    pod["metadata"]["deletionTimestamp"] = "2026-11-23T12:02:00Z"
    return assemble(KEY, tweetmodel(), [raw_job()], [pod], {}).jobs[0].pods[0]


def test_a_running_pod_that_only_the_control_plane_calls_unready_is_unheard_of() -> None:
    lost = pod_on_a_node({"status": "False"}, running={})
    assert (lost.node, lost.unheard, lost.due) == ("n1", True, "2026-11-23T12:02:00Z")
    assert not pod_on_a_node({"status": "True"}, running={}).unheard
    assert not pod_on_a_node({"status": "False", "reason": "ContainersNotReady"}, running={}).unheard
    assert not pod_on_a_node({"status": "False"}, waiting={"reason": "ContainerCreating"}).unheard


def test_a_pod_that_has_ended_or_was_given_up_is_not_waited_for() -> None:
    ended = pod_on_a_node({"status": "False", "reason": "PodFailed"}, terminated={"exitCode": 143})
    given_up = pod_on_a_node({"status": "False"}, phase="Failed", running={})  # by the control plane: its node is gone
    assert [(pod.unheard, pod.due) for pod in (ended, given_up)] == [(False, "")] * 2


def test_pods_come_oldest_first() -> None:
    pods = [raw_pod("new", "2026-11-23T12:00:09Z"), raw_pod("old", "2026-11-23T12:00:02Z")]
    seen = assemble(KEY, tweetmodel(), [raw_job()], pods, {}).jobs[0].pods
    assert [pod.name for pod in seen] == ["old", "new"]


def test_the_jobs_conditions_say_how_it_ended() -> None:
    conditions = [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "code 65"}]
    (job,) = assemble(KEY, tweetmodel(), [raw_job(conditions=conditions)], [], {}).jobs
    assert (job.failed_reason, job.complete, job.finished) == ("PodFailurePolicy", False, True)


def test_a_spec_that_this_version_cannot_read_is_told_by_field() -> None:
    seen = assemble(KEY, tweetmodel(spec={**spec().to_json_object(), "gpus": "many"}), [], [], {})
    assert seen.spec is None
    assert seen.spec_error.startswith("spec.gpus: ")


def test_a_status_of_another_version_is_made_anew() -> None:
    assert assemble(KEY, tweetmodel(status={"phase": "Done"}), [], [], {}).status is None


def test_the_default_of_a_status_that_no_operator_has_written_is_none() -> None:
    assert assemble(KEY, tweetmodel(status={"observedGeneration": -1}), [], [], {}).status is None


async def test_pods_are_read_after_the_jobs_they_belong_to() -> None:
    """Else a Job could look complete beside pods that have not ended yet, as if its report were lost."""
    asked: list[str] = []

    class Slow:
        async def get(self, path: str, **_: str) -> dict[str, Any]:
            kind = path.rsplit("/", 1)[-1]
            asked.append(f"{kind} asked")
            await asyncio.sleep(0)
            asked.append(f"{kind} answered")
            return tweetmodel() if kind == KEY.name else {"items": []}

    await read(Slow(), KEY)
    assert asked.index("jobs answered") < asked.index("pods asked")
