"""The command line: runs a step, and turns the result or the error into report, log line and exit code."""

import argparse
import logging
import os
import sys
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import REASONS, ExitCode, Reason
from tweetmodel_api.report import Report, encode
from tweetmodel_api.status import TrainedModel
from tweetmodel_api.steps import StepName, remedy
from tweetmodel_trainer import interrupt, pipeline
from tweetmodel_trainer.failure import Failure, is_disk_full
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.model_cache import Cache
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.step_context import StepContext
from tweetmodel_trainer.storage import Storage

logger = logging.getLogger("tweetmodel_trainer")

MAX_MESSAGE_BYTES = 1000
"""Limit of a failure message, small enough for the termination message of a container."""


def main(arguments: list[str] | None = None) -> int:
    """Run a step, and return the exit code."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # at INFO, botocore logs where it found credentials

    def stop() -> None:
        interrupt.ignore_termination()
        _write_termination_message(_interrupted_report(), options.termination_log)
        os._exit(ExitCode.INTERRUPTED)

    interrupt.on_termination(stop)
    try:
        report = _run(options.step, options.plan, options.workdir, Cache(options.cache))
    except Interrupted:
        report = _interrupted_report()
    interrupt.ignore_termination()  # the step is over: a late SIGTERM must not change its outcome
    _write_termination_message(report, options.termination_log)
    return int(exit_code(report))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tweetmodel_trainer", description="Run a step of a plan.")
    parser.add_argument("step", choices=pipeline.STEPS)
    parser.add_argument("--plan", type=Path, required=True, help="JSON file of the plan")
    parser.add_argument("--workdir", type=Path, default=Path("/work"), help="folder for temporary files")
    parser.add_argument("--cache", type=Path, help="folder that keeps base models; by default none are kept")
    parser.add_argument(
        "--termination-log", type=Path, default=Path("/dev/termination-log"), help="file to write the report to"
    )
    return parser.parse_args(arguments)


def exit_code(report: Report) -> ExitCode:
    """Return the exit code of a report: the code of the reason, and never DONE for a failure."""
    if report.outcome == "Succeeded":
        return ExitCode.DONE
    return REASONS[report.reason].exit_code or ExitCode.BUG


def _run(step: StepName, plan_file: Path, workdir: Path, cache: Cache) -> Report:
    """Run a step, and return the report also if the step fails.

    Raises:
        Interrupted: a stop was requested in the training loop.
    """
    try:
        plan = _read_plan(plan_file)
        storage = Storage(plan.spec.storage)
        workdir.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix=f"{step}-", dir=workdir, ignore_cleanup_errors=True) as folder,
            Progress(os.environ) as progress,
        ):
            pod_id = os.environ.get("POD_UID", str(uuid.uuid4()))[:8]
            return pipeline.STEPS[step](StepContext(plan, Path(folder), storage, progress, pod_id, cache))
    except Failure as failure:
        return _failure_report(failure.reason, str(failure), failure.model)
    except MemoryError:
        message = f"{REASONS[Reason.OUT_OF_MEMORY].meaning} {remedy(Reason.OUT_OF_MEMORY, step)}"
        return _failure_report(Reason.OUT_OF_MEMORY, message)
    except Exception as error:
        if is_disk_full(error):
            info = REASONS[Reason.DISK_FULL]
            return _failure_report(Reason.DISK_FULL, f"{info.meaning} {info.advice}")
        logger.exception("%s failed with an unexpected error", step)
        detail = " ".join(f"{type(error).__name__}: {error}".split())
        message = f"{step} failed with an unexpected error ({detail}): read the log of the pod, and report the bug."
        return _failure_report(Reason.INTERNAL_ERROR, message)


def _read_plan(file: Path) -> Plan:
    """Read the plan.

    Raises:
        Failure: InvalidSpec, with the first invalid field.
    """
    try:
        return Plan.model_validate_json(file.read_text())
    except OSError as error:
        message = f"the plan {file} can't be read ({error.strerror}): correct --plan."
        raise Failure(Reason.INVALID_SPEC, message) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "its JSON"
        message = f"the plan {file} is invalid ({field}: {first['msg']}): correct it."
        raise Failure(Reason.INVALID_SPEC, message) from None


def _failure_report(reason: Reason, message: str, model: TrainedModel | None = None) -> Report:
    printable = "".join(c if c.isprintable() else " " for c in message)
    shortened = printable.encode()[:MAX_MESSAGE_BYTES].decode(errors="ignore")
    if shortened != printable:
        shortened += "…"
    return Report(outcome="Failed", reason=reason, message=shortened, model=model)


def _interrupted_report() -> Report:
    return Report(outcome="Interrupted", reason=Reason.INTERRUPTED, message=REASONS[Reason.INTERRUPTED].meaning)


def _write_termination_message(report: Report, termination_log: Path) -> None:
    """Write the report for the kubelet. The log contains the report too, for runs outside Kubernetes."""
    try:
        termination_log.write_text(encode(report))
    except OSError as error:
        logger.warning("the report was not written to %s (%s): see the next line", termination_log, error)
    logger.info("%s: %s", report.reason, report.message)
