"""The command line. The one place where a result or an error becomes a report, a line of the log and an exit code."""

import argparse
import errno
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
from tweetmodel_api.steps import STEP_NAMES, StepName, remedy
from tweetmodel_trainer import interrupt, pipeline
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.models.cache import Cache
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.storage import Storage

logger = logging.getLogger("tweetmodel_trainer")

MAX_MESSAGE_BYTES = 1000
"""Of a sentence, so that it fits the termination message whatever it quotes."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one stage; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tweetmodel_trainer", description="Runs one stage of a plan.")
    parser.add_argument("stage", choices=STEP_NAMES)
    parser.add_argument("--plan", type=Path, required=True, help="the plan, as JSON")
    parser.add_argument("--workdir", type=Path, default=Path("/work"), help="folder for files on the way")
    parser.add_argument("--cache", type=Path, help="folder that keeps base models; none where it is not given")
    parser.add_argument(
        "--termination-log", type=Path, default=Path("/dev/termination-log"), help="where the report goes"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it says where it found credentials

    def stop() -> None:
        interrupt.ignore_termination()
        _write_termination_message(_interrupted_report(), options.termination_log)
        os._exit(ExitCode.INTERRUPTED)

    interrupt.on_termination(stop)
    try:
        report = _run(options.stage, options.plan, options.workdir, Cache(options.cache))
    except Interrupted:
        report = _interrupted_report()
    interrupt.ignore_termination()  # the stage is over: a stop that comes now must not change how it ended
    _write_termination_message(report, options.termination_log)
    return int(exit_code(report))


def _interrupted_report() -> Report:
    return Report(outcome="Interrupted", reason=Reason.INTERRUPTED, message=REASONS[Reason.INTERRUPTED].meaning)


def exit_code(report: Report) -> ExitCode:
    """The code of a report's reason; a reason that has none of its own never ends as done."""
    if report.outcome == "Succeeded":
        return ExitCode.DONE
    return REASONS[report.reason].exit_code or ExitCode.BUG


def _run(stage: StepName, plan_file: Path, workdir: Path, cache: Cache) -> Report:
    try:
        plan = _read_plan(plan_file)
        storage = Storage(plan.spec.storage)
        workdir.mkdir(parents=True, exist_ok=True)
        with (
            TemporaryDirectory(prefix=f"{stage}-", dir=workdir, ignore_cleanup_errors=True) as folder,
            Progress(os.environ) as progress,
        ):
            if stage == "purge":
                return pipeline.purge(plan, storage)
            if stage == "collect":
                return pipeline.collect(plan, Path(folder), storage, progress)
            attempt = os.environ.get("POD_UID", str(uuid.uuid4()))[:8]
            return pipeline.train(plan, Path(folder), storage, progress, attempt, cache)
    except Failure as failure:
        return _failure_report(failure.reason, str(failure), failure.model)
    except MemoryError:
        fact = REASONS[Reason.OUT_OF_MEMORY]
        return _failure_report(Reason.OUT_OF_MEMORY, f"{fact.meaning} {remedy(Reason.OUT_OF_MEMORY, stage)}")
    except Exception as error:
        if _is_full_disk(error):
            fact = REASONS[Reason.DISK_FULL]
            return _failure_report(Reason.DISK_FULL, f"{fact.meaning} {fact.advice}")
        logger.exception("%s failed in a way it does not know", stage)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _failure_report(Reason.INTERNAL_ERROR, f"{stage} failed ({what}): read the pod's log and report it.")


def _is_full_disk(error: Exception) -> bool:
    """Whether it says so: Python by its number, safetensors in its text, PyTorch by where its writer stopped."""
    said = str(error)
    return (
        (isinstance(error, OSError) and error.errno == errno.ENOSPC)
        or "No space left on device" in said
        or ("inline_container.cc" in said and "unexpected pos" in said)
    )


def _read_plan(file: Path) -> Plan:
    try:
        return Plan.model_validate_json(file.read_text())
    except OSError as error:
        raise Failure(
            Reason.INVALID_SPEC, f"the plan {file} can't be read ({error.strerror}): correct --plan."
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its JSON"
        raise Failure(
            Reason.INVALID_SPEC, f"{where} in the plan {file} is wrong ({first['msg']}): correct it."
        ) from None


def _failure_report(reason: Reason, sentence: str, model: TrainedModel | None = None) -> Report:
    printable = "".join(c if c.isprintable() else " " for c in sentence)
    message = printable.encode()[:MAX_MESSAGE_BYTES].decode(errors="ignore")
    told = message if message == printable else f"{message}…"
    return Report(outcome="Failed", reason=reason, message=told, model=model)


def _write_termination_message(report: Report, termination_log: Path) -> None:
    """Hands the report to the kubelet; on a laptop, where that file is missing, the log has it."""
    try:
        termination_log.write_text(encode(report))
    except OSError as error:
        logger.warning("the report was not written to %s: %s", termination_log, error)
    logger.info("%s: %s", report.reason, report.message)
