"""Fixtures for tests in the kind cluster, with its kubelet, the real images and an S3 server (versitygw).

`make install` creates all of it, and uploads the sample archive. The tests refuse to run in another cluster. Each
module has its own namespace, which enforces the restricted Pod Security Standard.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bucket import connect
from debug_info import debug_info
from kubectl import CONTEXT, TEST_LABEL, Kubectl
from tweetmodels import S3_NAMESPACE

_NAMESPACE = pytest.StashKey[str]()
"""Namespace of the module that runs."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Delete the namespaces that an interrupted session has left: their pods use the node's resources."""
    is_worker = hasattr(session.config, "workerinput")  # of xdist
    if not is_worker and not session.config.option.collectonly:
        Kubectl("default").delete("namespace", "-l", TEST_LABEL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the state of the namespace to the report of a failed test."""
    report = yield
    namespace = item.session.stash.get(_NAMESPACE, "")
    if report.failed and namespace:
        report.sections.append((f"State of namespace {namespace}", debug_info(namespace)))
    return report


@pytest.fixture(scope="session", autouse=True)
def cluster() -> None:
    """Refuse to run in another cluster than the test cluster."""
    nodes = json.loads(Kubectl("default")("get", "nodes", "-o", "json"))["items"]
    assert all(node["metadata"]["name"].startswith(CONTEXT.removeprefix("kind-")) for node in nodes)


@pytest.fixture(scope="module")
def kubectl(request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl in the module's own namespace, which has the Secret of the S3 server."""
    module = request.module.__name__.rpartition(".")[2].replace("_", "-")
    namespace = f"{module}-{int(time.time()) % 100_000}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted", TEST_LABEL: ""}
    kubectl = Kubectl(namespace)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    request.session.stash[_NAMESPACE] = namespace
    data = Kubectl(S3_NAMESPACE).get("secret", "s3")["data"]
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "data": data})
    yield kubectl
    kubectl.delete("namespace", namespace)  # the next module needs the node's resources
    del request.session.stash[_NAMESPACE]


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """A client of the cluster's S3 server, through a port-forward."""
    with connect(CONTEXT, S3_NAMESPACE) as client:
        yield client
