"""Runs a stage in a process of its own, as a pod does, which a signal may end at a chosen moment.

Processes are forked from one that has imported torch already, and this module: a pod a second, not ten.
"""

import gc
import multiprocessing
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

import boto3

from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report, decode

WEIGHTLESS = {"vocabulary": 280, "n_layer": 1, "n_head": 1, "n_embd": 8, "n_positions": 64}
"""The shape of a model that is trained in no time."""

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, *(f"tweetmodel_trainer.{name}" for name in ("learn", "showcase", "hub"))])

_SESSION = boto3.Session()  # a client's description is read once for all pods
_SESSION.client("s3", region_name="us-east-1")

Moment = tuple[str, int]
"""A function, as module:name, and which call of it."""


def run(plan: Plan, folder: Path, signal: int = 0, moment: Moment | None = None) -> tuple[int, Report | None]:
    """Exit code and report of a stage; `signal` comes when the function of `moment` is called.

    The model is weightless, and each step leaves a checkpoint.
    """
    file, log = folder / "plan.json", folder / "log"
    file.write_text(plan.model_dump_json(by_alias=True))
    log.write_text("")
    places = {"--plan": file, "--workdir": folder / "work", "--termination-log": log}
    arguments = [plan.step, *(str(part) for place in places.items() for part in place)]
    process = _FORKS.Process(target=_stage, args=(arguments, signal, moment))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode, decode(log.read_text())


def _stage(arguments: list[str], signal: int, moment: Moment | None) -> None:
    from tweetmodel_trainer import command
    from tweetmodel_trainer.models import base_model
    from tweetmodel_trainer.publishing import hub_repository as hub

    gc.freeze()  # what all pods share need not be searched for garbage
    boto3.Session = lambda: _SESSION  # type: ignore[misc,assignment]
    base_model.PRESETS["Tiny"] = WEIGHTLESS
    hub.push = lambda *_: "https://hub/ada"
    read = command._read_plan
    command._read_plan = lambda file: _with_a_checkpoint_each_step(read(file))
    if moment:
        _call_in(moment, lambda: os.kill(os.getpid(), signal))
    sys.exit(command.main(arguments))


def _with_a_checkpoint_each_step(plan: Plan) -> Plan:
    training = plan.spec.training.model_copy(update={"checkpoint_interval_seconds": 0})
    return plan.model_copy(update={"spec": plan.spec.model_copy(update={"training": training})})


def _call_in(moment: Moment, first: Any) -> None:
    """Has `first` called before that call of the function goes on."""
    (place, which), calls = moment, 0
    owner_name, _, name = place.replace(":", ".").rpartition(".")
    owner = pkgutil.resolve_name(owner_name)
    real = getattr(owner, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == which:
            first()
        return real(*arguments, **options)

    setattr(owner, name, counted)
