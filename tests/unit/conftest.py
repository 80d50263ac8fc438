"""Keeps the unit tests pure: a test that opens a connection or starts a process belongs to tests/component."""

import socket
import subprocess
from typing import NoReturn

import pytest


def _forbid(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a unit test opens a connection or starts a process: move the test to tests/component")


@pytest.fixture(autouse=True)
def _pure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "tweetmodel_trainer" in request.path.parts:  # until the trainer's tests are split too
        return
    for method in ("bind", "connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, method, _forbid)
    monkeypatch.setattr(subprocess.Popen, "_execute_child", _forbid)
