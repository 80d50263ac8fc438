"""Raw objects and observations of the same state agree, so that all simulated clusters behave in the same way."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from fakes import objects
from fakes.cluster import FakeCluster, fake_cluster, reconcile_until_idle
from makers import KEY, NOW, JobMaker, dataset, decided, failure, job, observed, requested_job, spec, success, time
from tweetmodel_api.reasons import Reason
from tweetmodel_operator import names
from tweetmodel_operator.children import POD
from tweetmodel_operator.observe import assemble, read
from tweetmodel_operator.observed import Freshness, ObservedJob

REPORT = failure(Reason.ACCESS_DENIED)


async def the_only_job(cluster: FakeCluster) -> ObservedJob:
    """Return the observation of the only Job, without facts that only raw objects have."""
    live = await read(cluster, KEY)
    assert live
    (found,) = assemble(KEY, live.snapshot, {}, Freshness.LIVE).jobs
    pods = tuple(replace(pod, job_uid="", memory_limit=None) for pod in found.pods)
    no_pods_since = None if found.is_finished else found.no_pods_since  # of no importance after the end
    return replace(found, uid="", owner_uid=None, limits={}, pods=pods, no_pods_since=no_pods_since)


class State(NamedTuple):
    """A state of a Job as an observation, and the changes to the raw objects that lead to the state."""

    made: JobMaker
    change: Callable[[FakeCluster], object]


def delete_pod(cluster: FakeCluster) -> None:
    cluster.set_pod(objects.running(NOW, objects.NODE_UNREACHABLE))
    (pod,) = cluster.collection(POD.path(KEY.namespace))
    deleted = {"deletionTimestamp": NOW, "finalizers": ["batch.kubernetes.io/job-tracking"]}
    cluster.update(POD.path(KEY.namespace, pod["metadata"]["name"]), metadata=deleted)


async def delete_job(cluster: FakeCluster) -> None:
    cluster.set_pod(objects.running())
    await cluster.delete(objects.job_path(cluster.job()["metadata"]["name"]))


def suspend(cluster: FakeCluster, annotations: dict[str, str]) -> None:
    cluster.update_job(spec={"suspend": True}, metadata={"annotations": annotations})


STATES = {
    "created": State(job(), lambda _: None),
    "pending": State(job().pending(), lambda c: c.set_pod(objects.pod_status("Pending"), node=None)),
    "unschedulable": State(
        job().unschedulable("no room"), lambda c: c.set_pod(objects.unschedulable("no room"), node=None)
    ),
    "waiting": State(job().waiting("ErrImagePull", "no"), lambda c: c.set_pod(objects.waiting("ErrImagePull", "no"))),
    "without-sandbox": State(
        job().waiting("ContainerCreating", sandbox_ready=False),
        lambda c: c.set_pod(objects.waiting("ContainerCreating", "", objects.NO_SANDBOX)),
    ),
    "running": State(job().running(), lambda c: c.set_pod(objects.running())),
    "node-unreachable": State(
        job().node_unreachable(), lambda c: c.set_pod(objects.running(NOW, objects.NODE_UNREACHABLE))
    ),
    "pod-deleted": State(job().pod_deleted(NOW), delete_pod),
    "pod-ended": State(job().pod_ended(77, REPORT), lambda c: c.set_pod(objects.terminated(77, REPORT))),
    "out-of-memory": State(
        job().pod_ended(137, reason="OOMKilled"), lambda c: c.set_pod(objects.terminated(137, reason="OOMKilled"))
    ),
    "evicted": State(job().evicted("low"), lambda c: c.set_pod(objects.evicted("Evicted", "low"))),
    "complete": State(job().complete(success()), lambda c: c.finish("collect", success())),
    "failed": State(job().pod_ended(77, REPORT).failed(), lambda c: c.finish("collect", REPORT, 77)),
    "without-pods": State(job().without_pods(NOW), lambda c: c.update_job(status=objects.job_started(NOW))),
    "suspended": State(job().suspended(), lambda c: suspend(c, {})),
    "suspended-by-operator": State(
        job().suspended(by_operator=True), lambda c: suspend(c, {names.SUSPENDED_ANNOTATION: "true"})
    ),
    "queued": State(job().queued(), lambda c: c.update_job(metadata={"labels": {names.QUEUE_LABEL: "gpus"}})),
    "deleting": State(job().running().deleting(), delete_job),
    "expiring": State(
        job().complete(success()).expiring(),
        lambda c: (c.finish("collect", success()), c.update_job(spec={"ttlSecondsAfterFinished": 60})),
    ),
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
async def test_raw_objects_are_parsed_to_the_observation_of_the_same_state(state: State) -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    change = state.change(cluster)
    if hasattr(change, "__await__"):
        await change
    assert await the_only_job(cluster) == state.made.obj()


@pytest.mark.parametrize("fields", [{}, {"queueName": "gpus"}], ids=["without-queue", "with-queue"])
async def test_a_created_job_is_parsed_to_the_observation_of_its_request(fields: dict[str, Any]) -> None:
    cluster = fake_cluster(**fields)
    await reconcile_until_idle(cluster)
    cluster.finish("collect")
    await reconcile_until_idle(cluster)
    of = spec(**fields)
    (request,) = decided(observed(job("collect", of).complete(success(dataset=dataset())), of=of)).create
    cluster.remove(objects.job_path(cluster.created_jobs[0]))
    assert await the_only_job(cluster) == requested_job(request, time(NOW)).obj()
