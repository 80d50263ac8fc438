"""The command line: which exit code and which sentence a stage ends with."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from http_server import QuietHandler, QuietServer
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import ExitCode, Reason
from tweetmodel_api.report import MAX_REPORT_BYTES, Report, decode
from tweetmodel_trainer.command import exit_code, main
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
    [("{", "its JSON"), ("{}", "step in the plan"), ('{"step": "collect", "spec": {"storage": 1}}', "in the plan")],
)
def test_a_plan_that_cannot_be_read_is_told_by_its_field(run: Main, plan: str, sentence: str) -> None:
    code, report = run(plan)
    assert (code, report.reason) == (ExitCode.CONFIGURATION, Reason.INVALID_SPEC)
    assert sentence in report.message
    assert "\n" not in report.message


def test_a_plan_that_is_not_there_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    arguments = ["collect", "--plan", str(tmp_path / "absent"), "--termination-log", str(tmp_path / "log")]
    assert main(arguments) == ExitCode.CONFIGURATION
    assert "absent can't be read (No such file or directory)" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("long", ["x", "\U0001f426", "\0", '"'])
def test_the_longest_sentence_fits_the_termination_message(
    run: Main, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, long: str
) -> None:
    def fail(*_: Any) -> Report:
        raise Failure(Reason.INVALID_STORAGE, long * 5000)

    monkeypatch.setattr("tweetmodel_trainer.pipeline.collect", fail)
    code, report = run(make_plan())
    assert code == ExitCode.CONFIGURATION
    assert report.message.endswith("…")
    assert (tmp_path / "termination-log").stat().st_size <= MAX_REPORT_BYTES


def test_a_pod_that_is_stopped_while_it_starts_exits_as_interrupted(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        name == 'boto3' and os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.meta_path.insert(0, Stop())\n"
    )
    command = [sys.executable, "-m", "tweetmodel_trainer", "collect", "--plan", "absent"]
    pod = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, timeout=60)
    assert (pod.returncode, pod.stderr) == (ExitCode.INTERRUPTED, b"")


def test_nothing_is_left_in_the_work_folder(
    run: Main, make_plan: Callable[..., Plan], put: Any, tmp_path: Path
) -> None:
    put("archive.zip", b"no archive")
    run(make_plan())
    assert list((tmp_path / "work").iterdir()) == []


LISTED = b"<ListBucketResult><Name>bucket</Name></ListBucketResult>"


@pytest.mark.parametrize("answers", [0, 2], ids=["the first answer", "the rest of a file"])
def test_a_pod_that_is_stopped_while_it_waits_for_storage_exits_as_interrupted(
    make_plan: Callable[..., Plan], tmp_path: Path, answers: int
) -> None:
    """Storage falls silent at once, or after a list, a file's head and the first bytes of it."""
    silent, over = threading.Event(), threading.Event()

    class Handler(QuietHandler):
        asked = 0

        def do_GET(self) -> None:
            Handler.asked += 1
            if Handler.asked > answers:
                silent.set()
                over.wait(60)
            if "list-type" in self.path:
                self.respond(200, LISTED)
                return
            self.respond(200, b"the beginning", {"Content-Length": "1000", "ETag": "x"})
            if self.command == "GET":
                silent.set()
                over.wait(60)

        do_HEAD = do_GET

    file, log = tmp_path / "plan.json", tmp_path / "log"
    command = [sys.executable, "-m", "tweetmodel_trainer", "collect", "--plan", str(file)]
    with QuietServer(Handler) as server:
        plan = make_plan(storage={"uri": "s3://bucket/x", "endpoint": server.url})
        file.write_text(plan.model_dump_json(by_alias=True))
        pod = subprocess.Popen(
            [*command, "--workdir", str(tmp_path), "--termination-log", str(log)], stderr=subprocess.PIPE, text=True
        )
        assert silent.wait(30)
        time.sleep(0.2)
        os.kill(pod.pid, signal.SIGTERM)
        _, said = pod.communicate(timeout=20)
        over.set()
    assert pod.returncode == ExitCode.INTERRUPTED
    assert decode(log.read_text()).outcome == "Interrupted"
    assert "Traceback" not in said


def test_a_stop_after_the_report_does_not_change_how_it_ended(
    run: Main, make_plan: Callable[..., Plan], put: Any
) -> None:
    put("archive.zip", b"no archive")
    run(make_plan())
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 64 vs 0"),
    ],
)
def test_a_full_disk_is_told(
    run: Main, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any) -> Report:
        raise error

    monkeypatch.setattr("tweetmodel_trainer.pipeline.collect", fail)
    assert run(make_plan())[1].reason is Reason.DISK_FULL
