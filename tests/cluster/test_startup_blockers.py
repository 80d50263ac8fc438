"""What keeps a run from going on, played for real by scheduler, kubelet and quota: each is told within seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubectl import ABSENT_IMAGE, BUCKET, Kubectl, Object, tweetmodel, until

SHORT = {"epochs": 1, "learningRate": "3e-3", "blockSize": 128, "globalBatchSize": 16}


@pytest.fixture
def told(kubectl: Kubectl) -> Iterator[Any]:
    """Applies a TweetModel and waits until Ready has this reason; returns the condition."""
    names: list[str] = []

    def told(document: Object, reason: str, seconds: int = 120) -> Object:
        kubectl.apply(document)
        names.append(name := document["metadata"]["name"])
        until(lambda: kubectl.condition(name, "Ready").get("reason") == reason, seconds)
        return kubectl.condition(name, "Ready")

    yield told
    kubectl("delete", "tm", *names, "--timeout=2m")


@contextmanager
def there(kubectl: Kubectl, document: Object) -> Iterator[None]:
    kubectl.apply(document)
    yield
    kubectl("delete", document["kind"], document["metadata"]["name"])


def test_a_run_that_no_node_has_room_for_says_what_is_missing(kubectl: Kubectl, told: Any) -> None:
    document = tweetmodel("roomless", training=SHORT, resources={"requests": {"cpu": "100"}})
    ready = told(document, "Unschedulable")
    assert ready["status"] == "Unknown", "an autoscaler may bring one"
    assert "Insufficient cpu" in ready["message"]


def test_a_quota_that_leaves_no_gpu_is_told(kubectl: Kubectl, told: Any) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-gpus"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "0"}},
    }
    with there(kubectl, quota):
        ready = told(tweetmodel("over-quota", training=SHORT, gpus=1), "PodRefused")
        assert "exceeded quota: no-gpus" in ready["message"]
        assert kubectl.condition("over-quota", "Stalled")["status"] == "False", "it may have room later"


def test_a_rule_that_forbids_the_pod_for_good_is_named_and_needs_a_person(kubectl: Kubectl, told: Any) -> None:
    ready = told(tweetmodel("typo", training=SHORT, podTemplate={"priorityClassName": "urgnt"}), "PodRefused")
    assert "no PriorityClass with name urgnt was found" in ready["message"]
    assert kubectl.condition("typo", "Stalled")["status"] == "True"


def test_an_image_that_is_not_there_is_told(kubectl: Kubectl, told: Any) -> None:
    ready = told(tweetmodel("imageless", training=SHORT, podTemplate={"image": ABSENT_IMAGE}), "ImagePullFailed")
    assert ABSENT_IMAGE in ready["message"]


def test_a_key_that_a_secret_lacks_is_named(kubectl: Kubectl, told: Any) -> None:
    half = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "half"}, "stringData": {"accessKeyID": "ada"}}
    document = tweetmodel("keyless", training=SHORT)
    document["spec"]["storage"]["secretRef"]["name"] = "half"
    with there(kubectl, half):
        assert "secretAccessKey" in told(document, "SecretInvalid")["message"]


def test_a_pod_that_needs_more_memory_than_its_limit_says_how_much_it_had_and_tells_it_once(
    kubectl: Kubectl, told: Any
) -> None:
    resources = {"requests": {"cpu": "100m", "memory": "150Mi"}, "limits": {"memory": "150Mi"}}
    ready = told(tweetmodel("greedy", training=SHORT, resources=resources), "OutOfMemory", 180)
    assert "150Mi" in ready["message"]
    events = kubectl.get("events.events.k8s.io")["items"]
    assert [e["reason"] for e in events if e["regarding"]["name"] == "greedy"].count("OutOfMemory") == 1


def test_defaults_of_the_namespace_make_a_tweetmodel_of_six_lines_enough(kubectl: Kubectl) -> None:
    whole = tweetmodel("")["spec"]
    defaults = {name: whole[name] for name in ("storage", "baseModel", "gpus", "resources")}
    document = {
        "apiVersion": "tweetmodel.dev/v1alpha1",
        "kind": "TweetModelDefaults",
        "metadata": {"name": "default"},
        "spec": defaults,
    }
    with there(kubectl, document):
        kubectl(
            "apply",
            "-f",
            "-",
            stdin="apiVersion: tweetmodel.dev/v1alpha1\n"
            "kind: TweetModel\n"
            "metadata: {name: brief}\n"
            "spec:\n"
            "  sources:\n"
            f"    - {{handle: lighthouse_ada, archive: {{uri: s3://{BUCKET}/archives/lighthouse_ada.zip}}}}\n",
        )
        kubectl("wait", "tm/brief", "--for=condition=DataReady", "--timeout=120s")
    spec = kubectl.get("tm", "brief")["spec"]
    for name, default in defaults.items():
        assert spec[name] == (spec[name] | default if isinstance(default, dict) else default)
    kubectl("delete", "tm/brief", "--timeout=2m")
