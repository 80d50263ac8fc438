"""The command line: which exit code and which sentence a stage ends with."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import ExitCode, Reason
from tweetmodel_api.report import Report, decode
from tweetmodel_trainer.__main__ import exit_code, main
from tweetmodel_trainer.failure import Failure

Main = Callable[[Plan | str], tuple[int, Report]]


@pytest.fixture
def run(tmp_path: Path) -> Main:
    def run_collect(plan: Plan | str) -> tuple[int, Report]:
        file, log = tmp_path / "plan.json", tmp_path / "termination-log"
        file.write_text(plan if isinstance(plan, str) else plan.model_dump_json(by_alias=True))
        code = main(
            ["collect", "--plan", str(file), "--workdir", str(tmp_path / "work"), "--termination-log", str(log)]
        )
        report = decode(log.read_text())
        assert report
        return code, report

    return run_collect


@pytest.mark.parametrize("reason", Reason)
def test_a_failure_never_exits_as_done(reason: Reason) -> None:
    assert exit_code(Report(outcome="Failed", reason=reason, message="no")) is not ExitCode.DONE


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [("{", "its JSON"), ("{}", "stage in the plan"), ('{"stage": "collect", "spec": {"storage": 1}}', "in the plan")],
)
def test_a_plan_that_cannot_be_read_is_told_by_its_field(run: Main, plan: str, sentence: str) -> None:
    code, report = run(plan)
    assert (code, report.reason) == (ExitCode.BUG, Reason.INVALID_SPEC)
    assert sentence in report.message
    assert "\n" not in report.message


def test_a_plan_that_is_not_there_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    arguments = ["collect", "--plan", str(tmp_path / "absent"), "--termination-log", str(tmp_path / "log")]
    assert main(arguments) == ExitCode.BUG
    assert "absent can't be read (No such file or directory)" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("long", ["x", "\U0001f426", "\0", '"'])
def test_the_longest_sentence_fits_the_termination_message(
    run: Main, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, long: str
) -> None:
    def fail(*_: Any) -> Report:
        raise Failure(Reason.INVALID_STORAGE, long * 5000)

    monkeypatch.setattr("tweetmodel_trainer.pipeline.collect", fail)
    code, report = run(make_plan())
    assert code == ExitCode.CONFIGURATION
    assert report.message.endswith("…")


def test_nothing_is_left_in_the_work_folder(
    run: Main, make_plan: Callable[..., Plan], put: Any, tmp_path: Path
) -> None:
    put("archive.zip", b"no archive")
    run(make_plan())
    assert list((tmp_path / "work").iterdir()) == []


def test_a_pod_that_is_stopped_while_it_waits_for_storage_exits_as_interrupted(
    make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        file, log = tmp_path / "plan.json", tmp_path / "log"
        file.write_text(
            make_plan(storage={"uri": "s3://bucket/x", "endpoint": endpoint}).model_dump_json(by_alias=True)
        )
        command = [sys.executable, "-m", "tweetmodel_trainer", "collect", "--plan", str(file)]
        pod = subprocess.Popen(
            [*command, "--workdir", str(tmp_path), "--termination-log", str(log)], stderr=subprocess.PIPE, text=True
        )
        silent.settimeout(30)
        waiting, _ = silent.accept()
        os.kill(pod.pid, signal.SIGTERM)
        began = time.monotonic()
        _, said = pod.communicate(timeout=20)
        waiting.close()
    assert time.monotonic() - began < 15
    assert pod.returncode == ExitCode.INTERRUPTED
    assert decode(log.read_text()).outcome == "Interrupted"
    assert "Traceback" not in said
