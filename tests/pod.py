"""Runs a step in a process of its own, as a pod does, and can send a signal at a chosen function call.

The processes are forked from one that has imported torch, so that a step starts in one second instead of ten.
"""

import gc
import importlib.util
import multiprocessing
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

import boto3

from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report, decode

TINY_SHAPE = {"vocabulary": 280, "n_layer": 1, "n_head": 1, "n_embd": 8, "n_positions": 64}
"""Shape of a model that trains in an instant."""

_PRELOADED = [f"tweetmodel_trainer.{name}" for name in ("command", "model_steps", "publishing.publication")]
assert all(map(importlib.util.find_spec, _PRELOADED)), "the fork server ignores missing modules"

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, *_PRELOADED])

_SESSION = boto3.Session()  # all processes share the parsed description of S3
_SESSION.client("s3", region_name="us-east-1")

Moment = tuple[str, int]
"""A function, as module:name, and the number of the call."""


def run(plan: Plan, folder: Path, signal: int = 0, moment: Moment | None = None) -> tuple[int, Report | None]:
    """Run a step, and return its exit code and report.

    The model is tiny, and each optimizer step writes a checkpoint.

    Args:
        plan: plan of the step.
        folder: folder for all files.
        signal: signal that the process gets at `moment`.
        moment: function call before which the process gets the signal.
    """
    file, log = folder / "plan.json", folder / "log"
    file.write_text(plan.model_dump_json(by_alias=True))
    log.write_text("")
    options = {"--plan": file, "--workdir": folder / "work", "--termination-log": log}
    arguments = [plan.step, *(str(part) for option in options.items() for part in option)]
    process = _FORKS.Process(target=_run_step, args=(arguments, signal, moment))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "the step hangs"
    return process.exitcode, decode(log.read_text())


def _run_step(arguments: list[str], signal: int, moment: Moment | None) -> None:
    from tweetmodel_trainer import command
    from tweetmodel_trainer.models import base_model
    from tweetmodel_trainer.publishing import hub_repository
    from tweetmodel_trainer.training import fine_tuning

    gc.freeze()  # objects that all processes share are no garbage
    boto3.Session = lambda: _SESSION  # type: ignore[misc,assignment]
    base_model.PRESETS["Tiny"] = TINY_SHAPE
    hub_repository.push = lambda *_: "https://hub/ada"
    callback = fine_tuning.CheckpointCallback
    fine_tuning.CheckpointCallback = lambda _, *rest: callback(0, *rest)  # a checkpoint after each optimizer step
    if moment:
        _call_before(moment, lambda: os.kill(os.getpid(), signal))
    sys.exit(command.main(arguments))


def _call_before(moment: Moment, action: Any) -> None:
    """Patch a function so that `action` is called before one of its calls."""
    (place, number), calls = moment, 0
    owner_name, _, name = place.replace(":", ".").rpartition(".")
    owner = pkgutil.resolve_name(owner_name)
    real = getattr(owner, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            action()
        return real(*arguments, **options)

    setattr(owner, name, counted)
