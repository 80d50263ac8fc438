"""Kueue itself, and not only its contract: what waits, what is preempted and what a person stops in a real queue."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubectl import LONG, Kubectl, checkpoints, train_pod, tweetmodel, until

ROOM = "1Gi"
"""The queue's quota: one train pod's memory."""
SHORT = {"epochs": 1, "blockSize": 128, "globalBatchSize": 16}


def kueue(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def queue(kubectl: Kubectl) -> Iterator[str]:
    """A LocalQueue of the namespace whose ClusterQueue has room for one train pod; returns the ClusterQueue's name."""
    name = kubectl.namespace
    flavor = {"name": name, "resources": [{"name": "memory", "nominalQuota": ROOM}, {"name": "cpu", "nominalQuota": 1}]}
    group = {"coveredResources": ["memory", "cpu"], "flavors": [flavor]}
    kubectl.apply(kueue("ResourceFlavor", name, {}))
    kubectl.apply(kueue("ClusterQueue", name, {"namespaceSelector": {}, "resourceGroups": [group]}))
    kubectl.apply(kueue("LocalQueue", "gpus", {"clusterQueue": name}))
    yield name
    kubectl("delete", "tm", "--all", "--timeout=120s")
    kubectl("delete", "localqueue/gpus", f"clusterqueue/{name}", f"resourceflavor/{name}", "--timeout=120s")


def reason(kubectl: Kubectl, name: str) -> str:
    return kubectl.condition(name, "Ready").get("reason", "")


def test_a_run_waits_for_the_one_before_it_and_goes_on_by_itself(kubectl: Kubectl, queue: str) -> None:
    kubectl.apply(tweetmodel("first", queueName="gpus", training=LONG))
    train_pod(kubectl, "first")
    kubectl.apply(tweetmodel("second", queueName="gpus", training=SHORT))
    until(lambda: reason(kubectl, "second") == "Queued", 120)
    assert not kubectl.pods("second", "train")
    kubectl.wait_ready("first")
    kubectl.wait_ready("second")
    assert len(kubectl.jobs("second", "train")) == 1


def test_a_run_that_the_queue_preempts_goes_on_from_its_checkpoint(kubectl: Kubectl, s3: Any, queue: str) -> None:
    kubectl.apply(tweetmodel("preempted", queueName="gpus", training=LONG))
    until(lambda: checkpoints(kubectl, s3, "preempted"), 180)
    hold(kubectl, queue, "HoldAndDrain")
    until(lambda: reason(kubectl, "preempted") == "Queued", 60)
    until(lambda: not kubectl.pods("preempted", "train"), 120)
    hold(kubectl, queue, "None")
    status = kubectl.wait_ready("preempted")
    assert status["model"]["resumedFromStep"] > 0
    assert len(kubectl.jobs("preempted", "train")) == 1


def hold(kubectl: Kubectl, queue: str, policy: str) -> None:
    """Whether the queue admits nothing and sends away what runs, or not."""
    patch = {"spec": {"stopPolicy": policy}}
    kubectl("patch", "clusterqueue", queue, "--type=merge", "-p", json.dumps(patch))


def test_a_queued_run_that_a_person_suspends_stays_so_until_it_is_resumed(
    kubectl: Kubectl, s3: Any, queue: str
) -> None:
    document = tweetmodel("stopped", queueName="gpus", training=LONG)
    kubectl.apply(document)
    until(lambda: checkpoints(kubectl, s3, "stopped"), 180)
    kubectl.apply(document | {"spec": document["spec"] | {"suspend": True}})
    until(lambda: reason(kubectl, "stopped") == "Suspended", 60)
    until(lambda: not kubectl.pods("stopped", "train"), 120)
    kubectl.apply(tweetmodel("meanwhile", queueName="gpus", training=SHORT))  # which gets the room that was given back
    kubectl.wait_ready("meanwhile")
    assert reason(kubectl, "stopped") == "Suspended"
    assert not kubectl.pods("stopped", "train")
    kubectl.apply(document)
    assert kubectl.wait_ready("stopped")["model"]["resumedFromStep"] > 0
