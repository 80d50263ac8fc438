"""Several runs and steps of a TweetModel: by schedule, pinned, with new samples, and with a cached base model."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kubectl import Kubectl, Object
from tweetmodels import BUCKET, SHORT, secret, tweetmodel


def posts(count: int, author: str = "gull") -> bytes:
    lines = (json.dumps({"text": f"{author} {n} \U0001f426 has taken another sandwich from me"}) for n in range(count))
    return "\n".join(lines).encode()


def test_schedule_trains_on_new_posts_and_an_earlier_run_can_be_pinned(kubectl: Kubectl, s3: Any) -> None:
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
    newer, older = kubectl.wait_until(lambda: two_runs(kubectl), "second run of growing that succeeded")
    assert newer["initialModel"]["uri"] == first["model"]["uri"]
    assert newer["posts"] > older["posts"]
    assert kubectl.status("growing")["model"]["uri"] == newer["modelUri"]

    kubectl.delete("jobs", "-l", "tweetmodel.dev/name=growing")
    document["spec"]["pinnedRun"] = older["id"]
    kubectl.apply(document)
    kubectl.wait_until(
        lambda: kubectl.status("growing").get("model", {}).get("uri") == older["modelUri"], "pinned model of growing"
    )
    assert kubectl.wait_ready("growing")["samples"] == first["samples"]


def two_runs(kubectl: Kubectl) -> list[Object]:
    """Return the runs once the second one has succeeded."""
    runs = kubectl.status("growing").get("runs", [])
    return runs if len(runs) == 2 and runs[0]["outcome"] == "Succeeded" else []


def test_changed_generation_and_publication_train_nothing(kubectl: Kubectl) -> None:
    document = tweetmodel("prompted", training=SHORT, generation={"samplesPerPrompt": 2})
    kubectl.apply(document)
    trained = kubectl.wait_ready("prompted")

    document["spec"]["generation"]["prompts"] = ["My kettle"]
    kubectl.apply(document)
    sampled = kubectl.wait_ready("prompted")
    assert len(sampled["samples"]) == 2
    assert all(sample.startswith("My kettle") for sample in sampled["samples"])
    for field in ("uri", "digest", "optimizerSteps", "page"):
        assert sampled["model"][field] == trained["model"][field]

    kubectl.apply(secret("hub", token="hf_of_nobody"))
    document["spec"]["publish"] = {
        "huggingFace": {"secretRef": {"name": "hub"}},
        "criteria": {"maxPerplexity": "1"},  # rejects the model, so that the pod needs no Hub
    }
    kubectl.apply(document)
    published = kubectl.wait_ready("prompted")
    assert "url" not in published["model"]["publication"]
    assert "The model was not published: its perplexity" in kubectl.condition("prompted", "Ready")["message"]
    assert published["samples"] == sampled["samples"]
    steps = [job["metadata"]["labels"]["tweetmodel.dev/step"] for job in kubectl.jobs("prompted")]
    assert sorted(steps) == ["collect", "publish", "sample", "train"]


@pytest.fixture
def claim(kubectl: Kubectl) -> Iterator[str]:
    """A claim bound to a folder of the node: the cluster has no storage class."""
    name = f"{kubectl.namespace}-cache"
    head: dict[str, Any] = {"apiVersion": "v1", "metadata": {"name": name}}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    size = {"storage": "1Gi"}
    any_node = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}
    folder = {"local": {"path": "/mnt"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [any_node]}}}
    kubectl.apply(head | {"kind": "PersistentVolume", "spec": common | {"capacity": size} | folder})
    spec = common | {"volumeName": name, "resources": {"requests": size}}
    kubectl.apply(head | {"kind": "PersistentVolumeClaim", "spec": spec})
    yield name
    kubectl.delete("tm,pvc", "--all")
    kubectl.delete("pv", name)


def test_base_model_is_downloaded_once_into_the_cache(kubectl: Kubectl, s3: Any, claim: str) -> None:
    """Train the base model on new posts, so that no earlier test has left it in the cache."""
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
