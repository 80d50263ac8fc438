"""Runs over time: what a schedule finds, an older run put back, and a base model that is fetched once."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kubectl import BUCKET, Kubectl, tweetmodel, until

SHORT = {"epochs": 1, "learningRate": "3e-3", "blockSize": 128, "globalBatchSize": 16}


def posts(count: int, who: str = "gull") -> bytes:
    lines = (json.dumps({"text": f"{who} {n} \U0001f426 has taken another sandwich from me"}) for n in range(count))
    return "\n".join(lines).encode()


def test_a_schedule_trains_again_when_enough_is_new_and_an_older_run_can_be_put_back(kubectl: Kubectl, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="growing.jsonl", Body=posts(400))
    document = tweetmodel(
        "growing",
        sources=[{"handle": "ada", "s3": {"uri": f"s3://{BUCKET}/growing.jsonl"}}],
        training=SHORT | {"warmStart": True},
        schedule={"cron": "* * * * *", "minNewPosts": 100},
    )
    kubectl.apply(document)
    first = kubectl.wait_ready("growing")
    s3.put_object(Bucket=BUCKET, Key="growing.jsonl", Body=posts(600))
    until(lambda: len(kubectl.status("growing").get("runs", [])) == 2, 180)
    until(lambda: kubectl.status("growing")["runs"][0]["outcome"] == "Succeeded", 180)
    newer, older = kubectl.status("growing")["runs"]
    assert newer["initialModel"]["uri"] == first["model"]["uri"]
    assert newer["posts"] > older["posts"]
    assert kubectl.status("growing")["model"]["uri"] == newer["modelUri"]

    kubectl("delete", "jobs", "-l", "tweetmodel.dev/name=growing")
    document["spec"]["pinnedRun"] = older["id"]
    kubectl.apply(document)
    until(lambda: kubectl.status("growing").get("model", {}).get("uri") == older["modelUri"], 120)
    assert kubectl.wait_ready("growing")["samples"] == first["samples"]


@pytest.fixture
def claim(kubectl: Kubectl) -> Iterator[str]:
    """A claim bound to a folder of the node, which has no storage class of its own."""
    name = f"{kubectl.namespace}-cache"
    core: dict[str, Any] = {"apiVersion": "v1", "metadata": {"name": name}}
    asked = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    room = {"storage": "1Gi"}
    there = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}
    node = {"local": {"path": "/mnt"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [there]}}}
    kubectl.apply(core | {"kind": "PersistentVolume", "spec": asked | {"capacity": room} | node})
    spec = asked | {"volumeName": name, "resources": {"requests": room}}
    kubectl.apply(core | {"kind": "PersistentVolumeClaim", "spec": spec})
    yield name
    kubectl("delete", "tm,pvc", "--all", "--timeout=2m")
    kubectl("delete", "pv", name)


def test_a_base_model_is_fetched_once_into_a_claim(kubectl: Kubectl, s3: Any, claim: str) -> None:
    """Posts that were not there before make a base model that no earlier test has left in the cache."""
    s3.put_object(Bucket=BUCKET, Key="new.jsonl", Body=posts(400, f"gull of {time.time()}"))
    sources = [{"handle": "ada", "s3": {"uri": f"s3://{BUCKET}/new.jsonl"}}]
    kubectl.apply(tweetmodel("base", sources=sources, training=SHORT))
    base = kubectl.wait_ready("base")["model"]["uri"]
    cached = {"sources": sources, "baseModel": {"s3": {"uri": base}}, "podTemplate": {"cacheClaimName": claim}}

    kubectl.apply(tweetmodel("first", training=SHORT, **cached))
    kubectl.wait_ready("first")
    s3.delete_object(Bucket=BUCKET, Key=base.removeprefix(f"s3://{BUCKET}/") + "/model.safetensors")
    kubectl.apply(tweetmodel("second", training=SHORT | {"seed": 2}, **cached))
    kubectl.wait_ready("second")

    kubectl.apply(tweetmodel("without", training=SHORT, **cached | {"podTemplate": {}}))
    assert kubectl.wait_stalled("without")["reason"] == "BaseModelInvalid"
