"""Operators of the tests' own, each in a namespace of its own: the one that is installed rests meanwhile.

The cluster is that of the other suites. No pod of these tests reaches its node (`world.NOBODY`).
"""

import json

import pytest
from kubectl import OPERATOR_NAMESPACE, Kubectl, until


def _scale(replicas: int) -> None:
    """Has the installed operator rest or work; it is gone, or ready, on return."""
    system = Kubectl(OPERATOR_NAMESPACE)
    system("scale", "deployment/tweetmodel-operator", f"--replicas={replicas}")
    selector = "app.kubernetes.io/name=tweetmodel-operator"
    if replicas:
        system("rollout", "status", "deployment/tweetmodel-operator", "--timeout=120s")
    else:
        until(lambda: not json.loads(system("get", "pods", "-l", selector, "-o", "json"))["items"])


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # once, and not for each of xdist's workers
        _scale(0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        _scale(1)
