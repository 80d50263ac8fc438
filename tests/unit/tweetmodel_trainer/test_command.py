import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import ExitCode, Reason
from tweetmodel_api.report import MAX_REPORT_BYTES, Report, decode
from tweetmodel_api.steps import STEP_NAMES, StepName
from tweetmodel_trainer.command import exit_code, main
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.pipeline import STEPS
from tweetmodel_trainer.step_context import StepContext

Main = Callable[..., tuple[int, Report]]
SUCCEEDED = Report(outcome="Succeeded", reason=Reason.SUCCEEDED, message="The step is done.")


@pytest.fixture
def run(tmp_path: Path) -> Main:
    def run_step(plan: Plan | str, step: StepName = "collect") -> tuple[int, Report]:
        file, log = tmp_path / "plan.json", tmp_path / "termination-log"
        file.write_text(plan if isinstance(plan, str) else plan.model_dump_json(by_alias=True))
        code = main([step, "--plan", str(file), "--workdir", str(tmp_path / "work"), "--termination-log", str(log)])
        report = decode(log.read_text())
        assert report
        return code, report

    return run_step


@pytest.mark.parametrize("reason", Reason)
def test_failure_never_exits_as_done(reason: Reason) -> None:
    assert exit_code(Report(outcome="Failed", reason=reason, message="no")) is not ExitCode.DONE


@pytest.mark.parametrize(
    ("plan", "field"),
    [("{", "its JSON"), ("{}", "(step: "), ('{"step": "collect", "spec": {"storage": 1}}', "is invalid (")],
)
def test_invalid_plan_is_reported_with_its_field(run: Main, plan: str, field: str) -> None:
    code, report = run(plan)
    assert (code, report.reason) == (ExitCode.CONFIGURATION, Reason.INVALID_SPEC)
    assert field in report.message
    assert "\n" not in report.message


def test_missing_plan_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    arguments = ["collect", "--plan", str(tmp_path / "absent"), "--termination-log", str(tmp_path / "log")]
    assert main(arguments) == ExitCode.CONFIGURATION
    assert "absent can't be read (No such file or directory)" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("long", ["x", "\U0001f426", "\0", '"'])
def test_longest_message_fits_the_termination_message(
    run: Main, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, long: str
) -> None:
    def fail(*_: Any) -> Report:
        raise Failure(Reason.INVALID_STORAGE, long * 5000)

    monkeypatch.setitem(STEPS, "collect", fail)
    code, report = run(make_plan())
    assert code == ExitCode.CONFIGURATION
    assert report.message.endswith("…")
    assert (tmp_path / "termination-log").stat().st_size <= MAX_REPORT_BYTES


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_workdir_is_empty_after_a_step(
    run: Main, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: bool
) -> None:
    def download(context: StepContext) -> Report:
        (context.workdir / "archive.zip").write_bytes(b"posts")
        if fails:
            raise Failure(Reason.INVALID_ARCHIVE, "the archive is damaged.")
        return SUCCEEDED

    monkeypatch.setitem(STEPS, "collect", download)
    run(make_plan())
    assert list((tmp_path / "work").iterdir()) == []


def test_sigterm_after_the_report_is_ignored(
    run: Main, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STEPS, "collect", lambda _: SUCCEEDED)
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
def test_full_disk_has_a_reason(
    run: Main, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any) -> Report:
        raise error

    monkeypatch.setitem(STEPS, "collect", fail)
    assert run(make_plan())[1].reason is Reason.DISK_FULL


def test_steps_are_those_of_the_plan() -> None:
    assert set(STEPS) <= set(STEP_NAMES)


def test_unknown_step_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["dance", "--plan", str(tmp_path / "plan.json")])
    assert exit_.value.code == 2
    assert "invalid choice: 'dance'" in capsys.readouterr().err


@pytest.mark.parametrize("step", STEPS)
def test_step_of_the_command_line_runs(
    run: Main, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, step: StepName
) -> None:
    report = Report(outcome="Succeeded", reason=Reason.SUCCEEDED, message=f"{step} is done.")
    monkeypatch.setitem(STEPS, step, lambda _: report)
    assert run(make_plan(), step) == (ExitCode.DONE, report)
