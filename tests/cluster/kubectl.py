"""The words in which cluster tests speak: kubectl in a namespace, waiting, and TweetModels to apply."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CONTEXT = f"kind-{os.environ.get('CLUSTER', 'tweetmodel')}"
OPERATOR_NAMESPACE = "tweetmodel-system"
S3_NAMESPACE = "demo"
BUCKET = "tweets"
ABSENT_IMAGE = "localhost:5001/absent:1"
"""An image that `install` allows and nobody has pushed."""
ENDPOINT = f"http://s3.{S3_NAMESPACE}.svc:7070"

TESTS = "tweetmodel-tests"
"""Label of the namespaces that tests make: one that was ended may have left some, whose pods take room."""

LONG = {"epochs": 8, "learningRate": "3e-3", "blockSize": 64, "globalBatchSize": 8, "checkpointIntervalSeconds": 5}
"""A training that something can happen to."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace of the test cluster."""

    namespace: str

    def __call__(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        command = ["kubectl", "--context", CONTEXT, "--namespace", self.namespace, *arguments]
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command)}: {result.stderr.strip()}")
        return result.stdout if check else result.stdout + result.stderr

    def get(self, kind: str, name: str = "", selector: str = "") -> Object:
        arguments = ["get", kind, *([name] if name else []), *(["-l", selector] if selector else []), "-o", "json"]
        return json.loads(self(*arguments))

    def apply(self, document: Object) -> str:
        # JSON, because YAML's two versions do not agree on whether "3e-3" is a number.
        return self("apply", "-f", "-", stdin=json.dumps(document))

    def refuse(self, document: Object) -> str:
        """What the API server says to an object that it does not take."""
        said = self("apply", "-f", "-", stdin=json.dumps(document), check=False)
        assert "created" not in said
        return said

    def jobs(self, name: str, stage: str = "") -> list[Object]:
        selector = f"tweetmodel.dev/name={name}" + (f",tweetmodel.dev/step={stage}" if stage else "")
        return self.get("jobs", selector=selector)["items"]

    def pods(self, name: str, stage: str) -> list[Object]:
        return self.get("pods", selector=f"tweetmodel.dev/name={name},tweetmodel.dev/step={stage}")["items"]

    def status(self, name: str) -> Object:
        """The status of the present generation; empty while the operator has not seen it."""
        found = self.get("tm", name)
        status = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    def condition(self, name: str, kind: str) -> Object:
        return next((c for c in self.status(name).get("conditions", []) if c["type"] == kind), {})

    def wait_ready(self, name: str, seconds: int = 300) -> Object:
        """As a user waits; returns the status."""
        self("wait", f"tm/{name}", "--for=condition=Ready", f"--timeout={seconds}s")
        return self.status(name)

    def wait_stalled(self, name: str, seconds: int = 300) -> Object:
        """Waits until a person must act; returns the condition Ready, which says why."""
        until(lambda: self.condition(name, "Stalled").get("status") == "True", seconds)
        return self.condition(name, "Ready")


def until(true: Callable[[], object], seconds: float = 120, every: float = 0.5) -> None:
    """Waits until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(every)


def tweetmodel(name: str, **spec: Any) -> Object:
    """A TweetModel over the sample archive that trains for some seconds."""
    return {
        "apiVersion": "tweetmodel.dev/v1alpha1",
        "kind": "TweetModel",
        "metadata": {"name": name},
        "spec": {
            "sources": [{"handle": "lighthouse_ada", "archive": {"uri": f"s3://{BUCKET}/archives/lighthouse_ada.zip"}}],
            "baseModel": {"scratch": {"preset": "Tiny"}},
            "training": {"epochs": 2, "learningRate": "3e-3", "blockSize": 128, "globalBatchSize": 16},
            "gpus": 0,
            "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}},  # the node has two cores for everything
            "storage": {"uri": f"s3://{BUCKET}/tests", "endpoint": ENDPOINT, "secretRef": {"name": "s3"}},
        }
        | spec,
    }


def keys(s3: Any, prefix: str) -> list[str]:
    """Every key below a prefix."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def train_pod(kubectl: Kubectl, name: str) -> str:
    """Name of the train pod, once it runs."""

    def running() -> list[Object]:
        return [pod for pod in kubectl.pods(name, "train") if pod["status"]["phase"] == "Running"]

    until(running, 180)
    return running()[0]["metadata"]["name"]


def checkpoints(kubectl: Kubectl, s3: Any, name: str) -> list[str]:
    """Complete checkpoints in storage."""
    found = keys(s3, f"tests/{kubectl.namespace}/{name}/runs/")
    return [key for key in found if "/checkpoints/" in key and key.endswith("MANIFEST.json")]
