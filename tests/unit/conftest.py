"""Keeps the unit tests pure: a test that connects, starts a process or imports PyTorch belongs to tests/component."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import NoReturn

import pytest

TORCH_MESSAGE = "a unit test imports PyTorch, which takes seconds: move the test to tests/component"


def _forbid(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a unit test opens a connection or starts a process: move the test to tests/component")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Fail the collection of a module that imports PyTorch."""
    was_imported = "torch" in sys.modules
    report = yield
    if "torch" in sys.modules and not was_imported:
        report.outcome, report.longrepr = "failed", f"{collector.nodeid}: {TORCH_MESSAGE}"
    return report


@pytest.fixture(autouse=True)
def _pure(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for method in ("bind", "connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, method, _forbid)
    monkeypatch.setattr(subprocess.Popen, "_execute_child", _forbid)
    was_imported = "torch" in sys.modules
    yield
    assert was_imported or "torch" not in sys.modules, TORCH_MESSAGE
