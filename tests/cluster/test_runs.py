"""Runs over time: what a schedule finds, and an older run put back."""

import json
from typing import Any

from kube import BUCKET, Kubectl, tweetmodel, until

SHORT = {"epochs": 1, "learningRate": "3e-3", "blockSize": 128, "batchSize": 16}


def posts(count: int) -> bytes:
    lines = (json.dumps({"text": f"gull {n} \U0001f426 has taken another sandwich from me"}) for n in range(count))
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
    assert newer["start"]["uri"] == first["model"]["uri"]
    assert newer["posts"] > older["posts"]
    assert kubectl.status("growing")["model"]["uri"] == newer["modelUri"]

    kubectl("delete", "jobs", "-l", "tweetmodel.dev/name=growing")
    document["spec"]["pinnedRun"] = older["id"]
    kubectl.apply(document)
    until(lambda: kubectl.status("growing").get("model", {}).get("uri") == older["modelUri"], 120)
    assert kubectl.wait_ready("growing")["samples"] == first["samples"]
