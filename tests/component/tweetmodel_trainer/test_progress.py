import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_server import QuietHandler, QuietServer
from tweetmodel_trainer import progress as module
from tweetmodel_trainer.progress import Progress


class Server:
    """Receives progress as the operator does."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.received = threading.Event()
        outer = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.posts.append((self.headers["Authorization"], body))
                self.respond(200)
                outer.received.set()

        self.http = QuietServer(Handler)

    def wait(self) -> dict[str, Any]:
        assert self.received.wait(5)
        self.received.clear()
        return self.posts[-1][1]["trainerStatus"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.05)
    server = Server()
    with server.http:
        yield server


@pytest.fixture
def environ(server: Server, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "token").write_text("first\n")
    return {
        "KUBEFLOW_TRAINER_SERVER_URL": f"{server.http.url}/status",
        "KUBEFLOW_TRAINER_SERVER_TOKEN": str(tmp_path / "token"),
    }


def test_progress_follows_the_protocol_of_kubeflow_trainer(server: Server, environ: dict[str, str]) -> None:
    Progress(environ).report(45.7, 60.4, loss=3.14159)
    status = server.wait()
    assert status.pop("lastUpdatedTime")
    metrics = [{"name": "loss", "value": "3.142"}]
    assert status == {"progressPercentage": 45, "estimatedRemainingSeconds": 60, "metrics": metrics}
    assert server.posts[0][0] == "Bearer first"


def test_renewed_token_is_used(server: Server, environ: dict[str, str]) -> None:
    progress = Progress(environ)
    progress.report(1)
    server.wait()
    Path(environ["KUBEFLOW_TRAINER_SERVER_TOKEN"]).write_text("second")
    progress.report(2)
    server.wait()
    assert server.posts[-1][0] == "Bearer second"


def test_only_the_latest_value_is_sent(server: Server, environ: dict[str, str]) -> None:
    progress = Progress(environ)
    for percentage in range(90):
        progress.report(percentage)
    while server.wait()["progressPercentage"] != 89:
        pass
    assert len(server.posts) < 10


def test_percentage_stays_below_100(server: Server, environ: dict[str, str]) -> None:
    Progress(environ).report(100)
    assert server.wait()["progressPercentage"] == 99


def test_unreachable_server_causes_a_warning(
    environ: dict[str, str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = threading.Event()
    monkeypatch.setattr(module.logger, "warning", lambda *_: warned.set())
    Progress(environ | {"KUBEFLOW_TRAINER_SERVER_URL": "http://127.0.0.1:9/"}).report(1)
    assert warned.wait(5)


def test_last_value_is_sent_on_exit(server: Server, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 60)
    with Progress(environ) as progress:
        progress.report(1)
        server.wait()
        progress.report(2)
        progress.report(99)
    assert [body["trainerStatus"]["progressPercentage"] for _, body in server.posts] == [1, 99]


def test_proxy_does_not_receive_the_token(
    server: Server, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Progress(environ) as progress:
        progress.report(1)
    assert len(server.posts) == 1


def test_hanging_server_delays_the_exit_by_the_timeout_only(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHUTDOWN_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        with Progress(environ | {"KUBEFLOW_TRAINER_SERVER_URL": address}) as progress:
            progress.report(1)
        assert time.monotonic() - began < 2
