"""TweetModels for the tests, and the objects of their runs in the bucket."""

from typing import Any

from kubectl import Kubectl, Object

S3_NAMESPACE = "demo"
BUCKET = "tweets"
ENDPOINT = f"http://s3.{S3_NAMESPACE}.svc:7070"
ABSENT_IMAGE = "localhost:5001/absent:1"
"""An image that `install` allows and that does not exist."""

SHORT = {"epochs": 1, "learningRate": "3e-3", "blockSize": 128, "globalBatchSize": 16}
"""A training of some seconds."""
LONG = {"epochs": 8, "learningRate": "3e-3", "blockSize": 64, "globalBatchSize": 8, "checkpointIntervalSeconds": 5}
"""A training that is long enough to be disrupted after a checkpoint."""


def tweetmodel(name: str, **spec: Any) -> Object:
    """Return a TweetModel with the sample archive that trains for some seconds; `spec` replaces fields."""
    return {
        "apiVersion": "tweetmodel.dev/v1alpha1",
        "kind": "TweetModel",
        "metadata": {"name": name},
        "spec": {
            "sources": [{"handle": "lighthouse_ada", "archive": {"uri": f"s3://{BUCKET}/archives/lighthouse_ada.zip"}}],
            "baseModel": {"scratch": {"preset": "Tiny"}},
            "training": SHORT | {"epochs": 2},
            "gpus": 0,
            "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}},  # the node has two cores for everything
            "storage": {"uri": f"s3://{BUCKET}/tests", "endpoint": ENDPOINT, "secretRef": {"name": "s3"}},
        }
        | spec,
    }


def secret(name: str, **data: str) -> Object:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def keys(s3: Any, prefix: str) -> list[str]:
    """Return all keys below a prefix."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def checkpoints(kubectl: Kubectl, s3: Any, name: str) -> list[str]:
    """Return the manifests of the complete checkpoints of a TweetModel."""
    found = keys(s3, f"tests/{kubectl.namespace}/{name}/runs/")
    return [key for key in found if "/checkpoints/" in key and key.endswith("MANIFEST.json")]


def wait_checkpoint(kubectl: Kubectl, s3: Any, name: str) -> None:
    """Wait until a TweetModel has a complete checkpoint."""
    kubectl.wait_until(lambda: checkpoints(kubectl, s3, name), f"checkpoint of {name}")
