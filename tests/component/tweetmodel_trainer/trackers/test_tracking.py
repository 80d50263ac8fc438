"""A run with trackers that fail: the run neither waits nor fails, and its report names the cause."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tracked_run import EVALUATION, RESULTS, RUN, SECRETS, STARTED, TENSORBOARD, mlflow_at, trackio_at, wandb_at
from tracker_reports import report_run
from tweetmodel_api.reasons import Reason
from tweetmodel_api.trackers import ReportTo
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.trackers import tracking as tracking_module
from tweetmodel_trainer.trackers.events import Logged
from tweetmodel_trainer.trackers.tracking import Tracking
from wandb_server import Server

UNREACHABLE = "http://127.0.0.1:9"


@pytest.mark.parametrize("to", [wandb_at, mlflow_at, trackio_at])
def test_an_unreachable_tracker_is_reported(
    to: Callable[[str], ReportTo], work: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    assert "(no response): check spec.reportTo." in report_run(to(UNREACHABLE), work)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("to", [wandb_at, mlflow_at, trackio_at])
def test_a_tracker_that_hangs_does_not_delay_steps_and_is_killed(
    to: Callable[[str], ReportTo], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "FINISH_TIMEOUT_SECONDS", {"Succeeded": 3.0})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Tracking(to(url), RUN, work, lambda _: None) as tracking:
            began = time.monotonic()
            tracking.send(STARTED)
            for step in range(200):
                tracking.send(Logged(step=step, metrics={"loss": 1.0}))
            assert time.monotonic() - began < 5
            warning = tracking.finish(200, EVALUATION, RESULTS)
    assert time.monotonic() - began < 20
    assert "(the client did not finish in time)" in warning
    assert all(process._process.returncode is not None for process in tracking._processes.values())


def test_a_rejected_key_is_reported_and_shown_nowhere(
    work: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    server = Server()
    server.error_status = 401
    warning = report_run(wandb_at(server.url), work)
    server.stop()
    cause = "(the key is invalid or lacks permission)"
    assert warning == f" Some metrics were not sent to Weights & Biases {cause}: check spec.reportTo.wandb."
    out, err = capfd.readouterr()
    for secret in SECRETS.values():
        assert secret.strip() not in warning + caplog.text + out + err


def test_event_files_that_cannot_be_stored_do_not_fail_the_run(work: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Path) -> None:
        raise Failure(Reason.STORAGE_UNREACHABLE, "no answer")

    with Tracking(TENSORBOARD, RUN, work, fail) as tracking:
        tracking.send(STARTED)
        tracking.finish(1, EVALUATION, RESULTS)
    assert "TensorBoard's files were not stored" in caplog.text


def test_without_trackers_no_process_is_started_and_no_file_written(work: Path) -> None:
    with Tracking(None, RUN, work, lambda _: pytest.fail("nothing to publish")) as tracking:
        assert tracking.callbacks == []
        assert tracking.finish(1, EVALUATION, RESULTS) == ""
    assert not work.exists()
