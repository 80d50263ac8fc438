"""Has experiment trackers follow a run: each in a process of its own, which reads what the run writes to a file.

So nothing that a tracker's library does reaches the training: it can't hang it, stop it, print a key, draw from the
random numbers that a resumed run depends on, or hold up the pod's end, because the process is killed then. It is
forked, before posts and model are loaded and CUDA is touched: a new one would import PyTorch again, in seconds and
400 MB.
"""

import logging
import multiprocessing
import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tweetmodel_api.trackers import AnyTracker, ReportTo, TrackerKind
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.trackers import events
from tweetmodel_trainer.trackers.errors import heard
from tweetmodel_trainer.trackers.events import Began, Ended, Event, Outcome, Results, Row
from tweetmodel_trainer.trackers.lineage import Run
from tweetmodel_trainer.trackers.process import EVENT_FILES, main

logger = logging.getLogger(__name__)

FAREWELL_SECONDS: dict[Outcome, float] = {"Succeeded": 60.0, "Failed": 20.0, "Interrupted": 10.0}
"""How long a tracker may take for the rest at the end."""

NAMES: dict[TrackerKind, str] = {
    "wandb": "Weights & Biases",
    "mlflow": "MLflow",
    "trackio": "Trackio",
    "tensorBoard": "TensorBoard",
}


_FORKED = multiprocessing.get_context("fork")


@dataclass
class _Follower:
    """A tracker's process."""

    kind: TrackerKind
    folder: Path
    process: ForkProcess
    warned: str = ""
    """What was said of it."""

    def look(self, over: bool) -> None:
        """Says once what is wrong with it; `over`: whether it should have ended by now."""
        code = self.process.exitcode
        ended = None if code in (None, 0) else "its client crashed"
        what = heard(self.folder) or ended or ("it took too long" if over and code is None else None)
        if what and not self.warned:
            self.warned = f"{NAMES[self.kind]} was not told everything ({what}): check spec.reportTo.{self.kind}."
            logger.warning("%s The run goes on.", self.warned)

    def end(self, until: float) -> None:
        """Waits for it until a time, then kills it and what it started."""
        self.process.join(max(0.0, until - time.monotonic()))
        self.look(over=True)
        self.process.kill()
        if self.process.pid:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # what it has started
        self.process.join()


@dataclass
class Tracking:
    """The trackers of one attempt at a run; as a context manager it ends them, whatever happens within."""

    report_to: ReportTo | None
    run: Run
    workdir: Path
    publish: Callable[[Path], object]
    """Takes the folder of TensorBoard's event files."""
    _followers: list[_Follower] = field(default_factory=list)
    _over: bool = False

    def __enter__(self) -> Self:
        if self.report_to:
            self.workdir.mkdir()
            self._events.touch()
            for kind, tracker in self.report_to.kinds.items():
                self._followers.append(self._start(kind, tracker))
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if not self._over:
            outcome: Outcome = "Interrupted" if isinstance(error, Interrupted) else "Failed" if error else "Succeeded"
            self._end(Ended(outcome))

    @property
    def callbacks(self) -> list[TrainerCallback]:
        """What the training loop is to tell."""
        return [Telling(self)] if self._followers else []

    def tell(self, event: Event) -> None:
        """Tells all trackers; returns at once."""
        if self._followers:
            events.write(event, self._events)
        for follower in self._followers:
            follower.look(over=False)

    def save(self) -> None:
        """Publishes what TensorBoard has written so far."""
        files = self.workdir / "tensorBoard" / EVENT_FILES
        if files.is_dir():
            copy = self.workdir / "copy"  # the files grow meanwhile
            shutil.copytree(files, copy)
            try:
                self.publish(copy)
            except Failure as failure:
                logger.warning("TensorBoard's files are not in storage, and the run goes on: %s", failure)
            shutil.rmtree(copy)

    def finish(self, step: int, figures: Mapping[str, float], results: Results) -> str:
        """Tells what came of the run and waits a while for the trackers; returns what a person should know."""
        self.tell(Row(step, figures))
        self._end(Ended("Succeeded", results))
        return "".join(f" {follower.warned}" for follower in self._followers if follower.warned)

    @property
    def _events(self) -> Path:
        return self.workdir / "events.jsonl"

    def _start(self, kind: TrackerKind, to: AnyTracker) -> _Follower:
        folder = self.workdir / kind
        folder.mkdir()
        follower = _FORKED.Process(target=main, args=(kind, to, self.run, folder, self._events), daemon=True)
        with warnings.catch_warnings():
            # Of Python 3.12, since a lock that another thread holds stays locked in the fork: it would be killed then.
            warnings.simplefilter("ignore", DeprecationWarning)
            follower.start()
        return _Follower(kind, folder, follower)

    def _end(self, ended: Ended) -> None:
        self._over = True
        self.tell(ended)
        until = time.monotonic() + FAREWELL_SECONDS[ended.outcome]
        for follower in self._followers:
            follower.end(until)
        self.save()


@dataclass
class Telling(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Writes down what transformers' integrations would be told in the loop, and the held-out losses with it."""

    tracking: Tracking
    _told: int = 0
    """Rows of the log so far."""

    def on_train_begin(
        self,
        arguments: TrainingArguments,
        state: TrainerState,
        _: TrainerControl,
        model: PreTrainedModel,
        **__: object,
    ) -> None:
        history = [{"step": row["step"], **numbers(row)} for row in state.log_history if numbers(row)]
        self._told = len(state.log_history)
        config = model.config.to_dict()
        self.tracking.tell(Began(arguments.to_dict(), config, model.num_parameters(), history))

    def on_step_end(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: object) -> None:
        self._tell_new(state)

    def on_log(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: object) -> None:
        self._tell_new(state)

    def on_save(self, _: TrainingArguments, __: TrainerState, ___: TrainerControl, **____: object) -> None:
        self.tracking.save()

    def _tell_new(self, state: TrainerState) -> None:
        for row in state.log_history[self._told :]:
            if numbers(row):
                self.tracking.tell(Row(int(row["step"]), numbers(row)))
        self._told = len(state.log_history)


def numbers(row: Mapping[str, float]) -> dict[str, float]:
    """The numbers in a row of the log, by the names that trackers know; epochs are laid out in the blocks."""
    if not {"loss", "heldout_loss"} & row.keys():
        return {}
    names = {"heldout_loss": "eval_loss"}
    return {names.get(name, name): value for name, value in row.items() if name not in ("step", "time", "epoch")}
