"""What Helm's uninstall leaves behind: TweetModels that nobody holds, and an operator that can come back to them."""

import subprocess
from pathlib import Path

from kube import CONTEXT, OPERATOR_NAMESPACE, Kubectl, tweetmodel, until

INSTALL = Path(__file__).parent / "install"


def finalizers(kubectl: Kubectl) -> list[str]:
    return kubectl.get("tm", "left")["metadata"].get("finalizers", [])


def test_an_uninstalled_operator_holds_no_tweetmodel_and_comes_back_to_it(kubectl: Kubectl) -> None:
    kubectl.apply(tweetmodel("left", deletionPolicy="Delete", suspend=True))
    until(lambda: finalizers(kubectl), 30)
    helm = ["helm", "--kube-context", CONTEXT, "--namespace", OPERATOR_NAMESPACE]
    try:
        subprocess.run([*helm, "uninstall", "tweetmodel-operator", "--wait", "--timeout", "5m"], check=True)
        assert not finalizers(kubectl)
        kubectl("delete", "tm/left", "--timeout=30s")
        kubectl.apply(tweetmodel("left", deletionPolicy="Delete", suspend=True))
    finally:
        subprocess.run([INSTALL], check=True)
    until(lambda: kubectl.condition("left", "Ready").get("reason") == "Suspended", 60)
