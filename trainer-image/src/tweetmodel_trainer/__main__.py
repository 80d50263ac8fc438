"""`python -m tweetmodel_trainer collect|train --plan FILE`: one stage of a plan, in a pod or on a laptop.

The one place where a result or an error becomes a report, a line of the log and an exit code.
"""

import argparse
import logging
import os
import sys
import uuid
from pathlib import Path

from pydantic import ValidationError

from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import FACTS, ExitCode, Reason
from tweetmodel_api.report import Report, encode
from tweetmodel_trainer import interrupt, pipeline
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.storage import Storage

logger = logging.getLogger("tweetmodel_trainer")

MOST_SENTENCE = 1024


def main(arguments: list[str] | None = None) -> int:
    """Runs one stage; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tweetmodel_trainer", description="Runs one stage of a plan.")
    parser.add_argument("stage", choices=["collect", "train"])
    parser.add_argument("--plan", type=Path, required=True, help="the plan, as JSON")
    parser.add_argument("--workdir", type=Path, default=Path("/work"), help="folder for files on the way")
    parser.add_argument(
        "--termination-log", type=Path, default=Path("/dev/termination-log"), help="where the report goes"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    interrupt.on_termination()
    report = _run(options.stage, options.plan, options.workdir)
    _leave(report, options.termination_log)
    return int(FACTS[report.reason].exit_code or ExitCode.DONE)


def _run(stage: str, plan_file: Path, workdir: Path) -> Report:
    try:
        plan = Plan.model_validate_json(plan_file.read_text())
        workdir.mkdir(parents=True, exist_ok=True)
        storage, progress = Storage(plan.spec.storage), Progress(os.environ)
        if stage == "collect":
            return pipeline.collect(plan, workdir, storage, progress)
        attempt = os.environ.get("POD_UID", str(uuid.uuid4()))[:8]
        return pipeline.train(plan, workdir, storage, progress, attempt)
    except Failure as failure:
        return _failed(failure.reason, str(failure))
    except Interrupted:
        fact = FACTS[Reason.INTERRUPTED]
        return Report(outcome="Interrupted", reason=Reason.INTERRUPTED, message=fact.meaning)
    except MemoryError:
        fact = FACTS[Reason.OUT_OF_MEMORY]
        return _failed(Reason.OUT_OF_MEMORY, f"{fact.meaning} {fact.advice}")
    except (OSError, ValidationError) as error:
        logger.exception("%s could not go on", stage)
        return _failed(Reason.INTERNAL_ERROR, f"{stage} could not go on: {error}. Read the pod's log and report it.")
    except Exception as error:
        logger.exception("%s failed in a way it does not know", stage)
        sentence = f"{stage} failed ({type(error).__name__}: {error}). Read the pod's log and report it."
        return _failed(Reason.INTERNAL_ERROR, sentence)


def _failed(reason: Reason, sentence: str) -> Report:
    return Report(outcome="Failed", reason=reason, message=sentence[:MOST_SENTENCE])


def _leave(report: Report, termination_log: Path) -> None:
    """Hands the report to the kubelet; on a laptop, where that file is missing, the log has it."""
    logger.info("%s: %s", report.reason, report.message)
    try:
        termination_log.write_text(encode(report))
    except OSError as error:
        logger.warning("the report was not written to %s: %s", termination_log, error)


if __name__ == "__main__":
    sys.exit(main())
