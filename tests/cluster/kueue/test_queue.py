"""Runs in a real queue of Kueue: admission, preemption, and suspension by the user."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubectl import Kubectl
from tweetmodels import LONG, tweetmodel, wait_checkpoint

QUOTA = "1Gi"
"""Memory of the queue: one train pod."""
ONE_EPOCH = {"epochs": 1, "blockSize": 128, "globalBatchSize": 16}


def kueue(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def queue(kubectl: Kubectl) -> Iterator[str]:
    """Name of a ClusterQueue with room for one train pod; the namespace has a LocalQueue for it."""
    name = kubectl.namespace
    resources = [{"name": "memory", "nominalQuota": QUOTA}, {"name": "cpu", "nominalQuota": 1}]
    group = {"coveredResources": ["memory", "cpu"], "flavors": [{"name": name, "resources": resources}]}
    kubectl.apply(kueue("ResourceFlavor", name, {}))
    kubectl.apply(kueue("ClusterQueue", name, {"namespaceSelector": {}, "resourceGroups": [group]}))
    kubectl.apply(kueue("LocalQueue", "gpus", {"clusterQueue": name}))
    yield name
    kubectl.delete("tm", "--all")
    kubectl.delete("localqueue/gpus", f"clusterqueue/{name}", f"resourceflavor/{name}")


def set_stop_policy(kubectl: Kubectl, queue: str, policy: str) -> None:
    """Let the queue admit workloads ("None"), or evict all and admit none ("HoldAndDrain")."""
    patch = {"spec": {"stopPolicy": policy}}
    kubectl("patch", "clusterqueue", queue, "--type=merge", "-p", json.dumps(patch))


def test_run_waits_for_the_run_before_it(kubectl: Kubectl, queue: str) -> None:
    kubectl.apply(tweetmodel("first", queueName="gpus", training=LONG))
    kubectl.wait_running("first")
    kubectl.apply(tweetmodel("second", queueName="gpus", training=ONE_EPOCH))
    kubectl.wait_reason("second", "Queued")
    assert not kubectl.pods("second", "train")
    kubectl.wait_ready("first")
    kubectl.wait_ready("second")
    assert len(kubectl.jobs("second", "train")) == 1


def test_preempted_run_resumes_from_its_checkpoint(kubectl: Kubectl, s3: Any, queue: str) -> None:
    kubectl.apply(tweetmodel("preempted", queueName="gpus", training=LONG))
    wait_checkpoint(kubectl, s3, "preempted")
    set_stop_policy(kubectl, queue, "HoldAndDrain")
    kubectl.wait_reason("preempted", "Queued")
    kubectl.wait_no_pods("preempted")
    set_stop_policy(kubectl, queue, "None")
    status = kubectl.wait_ready("preempted")
    assert status["model"]["resumedFromStep"] > 0
    assert len(kubectl.jobs("preempted", "train")) == 1


def test_suspended_run_in_a_queue_waits_until_the_user_resumes_it(kubectl: Kubectl, s3: Any, queue: str) -> None:
    document = tweetmodel("stopped", queueName="gpus", training=LONG)
    kubectl.apply(document)
    wait_checkpoint(kubectl, s3, "stopped")
    kubectl.apply(document | {"spec": document["spec"] | {"suspend": True}})
    kubectl.wait_reason("stopped", "Suspended")
    kubectl.wait_no_pods("stopped")
    kubectl.apply(tweetmodel("meanwhile", queueName="gpus", training=ONE_EPOCH))  # takes the quota of the suspended run
    kubectl.wait_ready("meanwhile")
    assert kubectl.reason("stopped") == "Suspended"
    assert not kubectl.pods("stopped", "train")
    kubectl.apply(document)
    assert kubectl.wait_ready("stopped")["model"]["resumedFromStep"] > 0
