"""The chart is uninstalled, and installed with Roles instead of ClusterRoles.

The module uninstalls the operator of the cluster, and installs it again at the end.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubectl import CONTEXT, OPERATOR_NAMESPACE, Kubectl
from tweetmodels import SHORT, tweetmodel

ROOT = Path(__file__).parents[2]
INSTALL = Path(__file__).parent / "install"
RELEASE = "tweetmodel-operator"


def helm(*arguments: str, stdin: str | None = None) -> str:
    command = ["helm", "--kube-context", CONTEXT, "--namespace", OPERATOR_NAMESPACE, *arguments]
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module", autouse=True)
def reinstall() -> Iterator[None]:
    yield
    subprocess.run([INSTALL], check=True)


@pytest.fixture(scope="module")
def values() -> str:
    """The values of the installed release."""
    return helm("get", "values", RELEASE, "--output", "json")


def finalizers(kubectl: Kubectl) -> list[str]:
    return kubectl.get("tm", "left")["metadata"].get("finalizers", [])


def test_uninstall_removes_the_finalizers(kubectl: Kubectl, values: str) -> None:
    kubectl.apply(tweetmodel("left", deletionPolicy="Delete", suspend=True))
    kubectl.wait_until(lambda: finalizers(kubectl), "finalizer of left")
    helm("uninstall", RELEASE, "--wait", "--timeout", "10m")
    assert not finalizers(kubectl)
    kubectl.delete("tm/left")


def test_operator_with_roles_serves_only_its_namespace(kubectl: Kubectl, values: str) -> None:
    kubectl.apply(tweetmodel("waiting", training=SHORT))
    settings = {"progress.enabled": "false", "rbac.aggregate": "false", "watchNamespaces": f"{{{kubectl.namespace}}}"}
    options = [argument for name, value in settings.items() for argument in ("--set", f"{name}={value}")]
    chart = str(ROOT / "charts" / RELEASE)
    helm("upgrade", "--install", RELEASE, chart, "--wait", "--timeout", "10m", *options, "--values", "-", stdin=values)
    manifest = helm("get", "manifest", RELEASE)
    assert "kind: Role\n" in manifest
    assert "kind: ClusterRole\n" not in manifest
    kubectl.wait_ready("waiting")

    elsewhere = Kubectl("default")
    elsewhere.apply(tweetmodel("elsewhere"))
    kubectl.apply(tweetmodel("here", suspend=True))
    kubectl.wait_until(lambda: kubectl.condition("here", "Ready"), "status of here")
    conditions = elsewhere.get("tm", "elsewhere").get("status", {}).get("conditions")
    elsewhere.delete("tm/elsewhere")
    assert not conditions
    assert not json.loads(helm("list", "--output", "json", "--failed"))
    helm("uninstall", RELEASE, "--wait", "--timeout", "10m")
