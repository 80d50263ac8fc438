"""The real cluster: kind with a kubelet that runs the real images, and versitygw as S3.

`make install` has brought it all up. Tests refuse every other context, and each module works in a namespace
of its own that is labelled `pod-security.kubernetes.io/enforce: restricted`.
"""

import contextlib
import io
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import boto3
import generate
import pytest
from botocore.config import Config
from kube import BUCKET, CONTEXT, S3_NAMESPACE, Kubectl, until


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    nodes = json.loads(Kubectl("default")("get", "nodes", "-o", "json"))["items"]
    assert all(node["metadata"]["name"].startswith(CONTEXT.removeprefix("kind-")) for node in nodes)


@pytest.fixture(scope="module")
def kubectl(request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl in a namespace of this module's own, with the credentials of the S3 server."""
    name = request.module.__name__.removeprefix("test_").replace("_", "-")
    namespace = f"test-{name.rsplit('.', 1)[-1]}-{int(time.time()) % 100_000}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl = Kubectl(namespace)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    data = Kubectl(S3_NAMESPACE).get("secret", "s3")["data"]
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "data": data})
    yield kubectl
    kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """A client of the cluster's S3 server, through a port-forward."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["kubectl", "--context", CONTEXT, "-n", S3_NAMESPACE, "port-forward", "service/s3", f"{port}:7070"]
    forward = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        until(answers, 30)
        secret = Kubectl(S3_NAMESPACE)(
            "get",
            "secret",
            "s3",
            "-o",
            "go-template={{.data.accessKeyID|base64decode}} {{.data.secretAccessKey|base64decode}}",
        )
        key, password = secret.split()
        config = Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        yield boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=password,
            config=config,
        )
    finally:
        forward.terminate()
        forward.wait()


@pytest.fixture(scope="session", autouse=True)
def archive(s3: Any) -> None:
    """The sample archive lies in the bucket."""
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        s3.create_bucket(Bucket=BUCKET)
    s3.upload_fileobj(io.BytesIO(generate.archive(1)), BUCKET, "archives/lighthouse_ada.zip")
