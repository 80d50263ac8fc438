"""Causes that keep a step from starting, with the real scheduler, kubelet and quota: the status names each of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest
from kubectl import Kubectl, Object
from tweetmodels import ABSENT_IMAGE, BUCKET, SHORT, secret, tweetmodel


class ApplyAndWait(Protocol):
    """Applies a TweetModel, waits until the condition Ready has a reason, and returns the condition."""

    def __call__(self, document: Object, reason: str) -> Object: ...


@pytest.fixture
def apply_and_wait(kubectl: Kubectl) -> Iterator[ApplyAndWait]:
    """Deletes its TweetModels after the test."""
    names: list[str] = []

    def apply_and_wait(document: Object, reason: str) -> Object:
        kubectl.apply(document)
        names.append(name := document["metadata"]["name"])
        return kubectl.wait_reason(name, reason)

    yield apply_and_wait
    kubectl.delete("tm", *names)


@contextmanager
def applied(kubectl: Kubectl, document: Object) -> Iterator[None]:
    """Applies an object, and deletes it at the end."""
    kubectl.apply(document)
    yield
    kubectl.delete(document["kind"], document["metadata"]["name"])


def test_unschedulable_pod_names_the_missing_resource(kubectl: Kubectl, apply_and_wait: ApplyAndWait) -> None:
    document = tweetmodel("roomless", training=SHORT, resources={"requests": {"cpu": "100"}})
    ready = apply_and_wait(document, "Unschedulable")
    assert ready["status"] == "Unknown", "an autoscaler may add a node"
    assert "Insufficient cpu" in ready["message"]


def test_exceeded_quota_is_named_and_retried(kubectl: Kubectl, apply_and_wait: ApplyAndWait) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-gpus"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "0"}},
    }
    with applied(kubectl, quota):
        ready = apply_and_wait(tweetmodel("over-quota", training=SHORT, gpus=1), "PodRefused")
        assert "exceeded quota: no-gpus" in ready["message"]
        assert kubectl.condition("over-quota", "Stalled")["status"] == "False", "the quota may have room later"


def test_rejected_pod_requires_action(kubectl: Kubectl, apply_and_wait: ApplyAndWait) -> None:
    document = tweetmodel("typo", training=SHORT, podTemplate={"priorityClassName": "urgnt"})
    ready = apply_and_wait(document, "PodRefused")
    assert "no PriorityClass with name urgnt was found" in ready["message"]
    assert kubectl.condition("typo", "Stalled")["status"] == "True"


def test_missing_image_is_named(kubectl: Kubectl, apply_and_wait: ApplyAndWait) -> None:
    document = tweetmodel("imageless", training=SHORT, podTemplate={"image": ABSENT_IMAGE})
    assert ABSENT_IMAGE in apply_and_wait(document, "ImagePullFailed")["message"]


def test_missing_key_of_a_secret_is_named(kubectl: Kubectl, apply_and_wait: ApplyAndWait) -> None:
    document = tweetmodel("keyless", training=SHORT)
    document["spec"]["storage"]["secretRef"]["name"] = "half"
    with applied(kubectl, secret("half", accessKeyID="ada")):
        assert "secretAccessKey" in apply_and_wait(document, "SecretInvalid")["message"]


def test_out_of_memory_names_the_limit_and_has_one_event(kubectl: Kubectl, apply_and_wait: ApplyAndWait) -> None:
    resources = {"requests": {"cpu": "100m", "memory": "150Mi"}, "limits": {"memory": "150Mi"}}
    ready = apply_and_wait(tweetmodel("greedy", training=SHORT, resources=resources), "OutOfMemory")
    assert "150Mi" in ready["message"]
    events = kubectl.get("events.events.k8s.io")["items"]
    assert [e["reason"] for e in events if e["regarding"]["name"] == "greedy"].count("OutOfMemory") == 1


def test_defaults_of_the_namespace_replace_omitted_fields(kubectl: Kubectl) -> None:
    complete = tweetmodel("")["spec"]
    defaults = {name: complete[name] for name in ("storage", "baseModel", "gpus", "resources")}
    document: dict[str, Any] = {
        "apiVersion": "tweetmodel.dev/v1alpha1",
        "kind": "TweetModelDefaults",
        "metadata": {"name": "default"},
        "spec": defaults,
    }
    with applied(kubectl, document):
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
        kubectl.wait_condition("brief", "DataReady")
    spec = kubectl.get("tm", "brief")["spec"]
    for name, default in defaults.items():
        assert spec[name] == (spec[name] | default if isinstance(default, dict) else default)
    kubectl.delete("tm/brief")
