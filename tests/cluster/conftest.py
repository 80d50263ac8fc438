"""The real cluster: kind with a kubelet that runs the real images, and versitygw as S3.

`make install` has brought it all up, the sample archive in its bucket. Tests refuse every other context, and each
module works in a namespace of its own that is labelled `pod-security.kubernetes.io/enforce: restricted`.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bucket import bucket_service
from kubectl import CONTEXT, S3_NAMESPACE, TESTS, Kubectl


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # once, and not for each of xdist's workers
        Kubectl("default")("delete", "namespace", "-l", TESTS, "--timeout=5m")


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    nodes = json.loads(Kubectl("default")("get", "nodes", "-o", "json"))["items"]
    assert all(node["metadata"]["name"].startswith(CONTEXT.removeprefix("kind-")) for node in nodes)


@pytest.fixture(scope="module")
def kubectl(request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl in a namespace of this module's own, with the credentials of the S3 server."""
    module = request.module.__name__.rpartition(".")[2].replace("_", "-")
    namespace = f"{module}-{int(time.time()) % 100_000}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted", TESTS: ""}
    kubectl = Kubectl(namespace)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    data = Kubectl(S3_NAMESPACE).get("secret", "s3")["data"]
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "data": data})
    yield kubectl
    kubectl("delete", "namespace", namespace, "--timeout=5m")  # its pods must not take the next module's room


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """A client of the cluster's S3 server, through a port-forward."""
    with bucket_service(CONTEXT, S3_NAMESPACE) as client:
        yield client
