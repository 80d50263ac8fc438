"""Fault tests start operators of their own, each for one namespace, and scale the installed operator to zero meanwhile.

They use the cluster of the other suites; their pods are never scheduled to its node (`harness.NO_SCHEDULER`).
"""

import pytest
from kubectl import OPERATOR, OPERATOR_NAMESPACE, Kubectl


def _scale(replicas: int) -> None:
    """Scale the installed operator, and wait until its pods are gone or ready."""
    kubectl = Kubectl(OPERATOR_NAMESPACE)
    kubectl("scale", OPERATOR, f"--replicas={replicas}")
    selector = "app.kubernetes.io/name=tweetmodel-operator"
    if replicas:
        kubectl("rollout", "status", OPERATOR, "--timeout=10m")
    else:
        kubectl.wait_until(lambda: not kubectl.get("pods", selector=selector)["items"], "end of the installed operator")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop the installed operator."""
    if _runs_tests(session):
        _scale(0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Start the installed operator."""
    if _runs_tests(session):
        _scale(1)


def _runs_tests(session: pytest.Session) -> bool:
    """Return whether this process controls a session that runs tests, and is not a worker of xdist."""
    return not hasattr(session.config, "workerinput") and not session.config.option.collectonly
