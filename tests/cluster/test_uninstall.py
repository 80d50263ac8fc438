"""Uninstalling, and an operator that may do nothing outside the namespaces it serves.

The cluster's own operator is away meanwhile, and installed again at the end.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubectl import CONTEXT, OPERATOR_NAMESPACE, Kubectl, tweetmodel, until

ROOT = Path(__file__).parents[2]
INSTALL = Path(__file__).parent / "install"
RELEASE = "tweetmodel-operator"
SHORT = {"epochs": 1, "learningRate": "3e-3", "blockSize": 128, "globalBatchSize": 16}


def helm(*arguments: str) -> str:
    command = ["helm", "--kube-context", CONTEXT, "--namespace", OPERATOR_NAMESPACE, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module", autouse=True)
def installed_again() -> Iterator[None]:
    yield
    subprocess.run([INSTALL], check=True)


@pytest.fixture(scope="module")
def values() -> str:
    """The values that the operator was installed with."""
    return helm("get", "values", RELEASE, "--output", "json")


def finalizers(kubectl: Kubectl) -> list[str]:
    return kubectl.get("tm", "left")["metadata"].get("finalizers", [])


def test_an_uninstalled_operator_holds_no_tweetmodel_that_is_deleted_later(kubectl: Kubectl, values: str) -> None:
    kubectl.apply(tweetmodel("left", deletionPolicy="Delete", suspend=True))
    until(lambda: finalizers(kubectl), 30)
    helm("uninstall", RELEASE, "--wait", "--timeout", "5m")
    assert not finalizers(kubectl)
    kubectl("delete", "tm/left", "--timeout=30s")


def test_an_operator_with_roles_alone_serves_its_namespace_and_no_other(kubectl: Kubectl, values: str) -> None:
    kubectl.apply(tweetmodel("waiting", training=SHORT))
    switches = {"progress.enabled": "false", "rbac.aggregate": "false", "watchNamespaces": f"{{{kubectl.namespace}}}"}
    chosen = [argument for name, value in switches.items() for argument in ("--set", f"{name}={value}")]
    arguments = ["upgrade", "--install", RELEASE, str(ROOT / "charts" / RELEASE), "--wait", "--timeout", "5m"]
    command = ["helm", "--kube-context", CONTEXT, "--namespace", OPERATOR_NAMESPACE, *arguments, *chosen]
    subprocess.run([*command, "--values", "-"], input=values, text=True, check=True, capture_output=True)
    manifest = helm("get", "manifest", RELEASE)
    assert "kind: Role\n" in manifest
    assert "kind: ClusterRole\n" not in manifest
    kubectl("wait", "tm/waiting", "--for=condition=Ready", "--timeout=300s")

    elsewhere = Kubectl("default")
    elsewhere.apply(tweetmodel("elsewhere"))
    kubectl.apply(tweetmodel("here", suspend=True))
    until(lambda: kubectl.condition("here", "Ready"), 30)
    conditions = elsewhere.get("tm", "elsewhere").get("status", {}).get("conditions")
    elsewhere("delete", "tm/elsewhere", "--timeout=30s")
    assert not conditions
    assert not json.loads(helm("list", "--output", "json", "--failed"))
    helm("uninstall", RELEASE, "--wait", "--timeout", "5m")
