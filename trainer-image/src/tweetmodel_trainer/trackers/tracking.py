"""Reports a run to experiment trackers without any influence on the run.

Each tracker has a separate process, which reads the events of the run from a file. The run never waits for a tracker,
except for a limited time at the end.
"""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tweetmodel_api.trackers import ReportTo, TrackerKind
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.trackers import events
from tweetmodel_trainer.trackers.errors import describe
from tweetmodel_trainer.trackers.events import Ended, Event, Logged, Opened, Outcome, Results, Started
from tweetmodel_trainer.trackers.lineage import TrackedRun
from tweetmodel_trainer.trackers.process import TrackerProcess

logger = logging.getLogger(__name__)

FINISH_TIMEOUT_SECONDS: dict[Outcome, float] = {"Succeeded": 60.0, "Failed": 20.0, "Interrupted": 10.0}
"""Seconds for the trackers at the end of a run."""

METRICS = {"loss": "loss", "heldout_loss": "eval_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}
"""Columns of the Trainer's log for trackers, with their names in trackers."""

NAMES: dict[TrackerKind, str] = {
    "wandb": "Weights & Biases",
    "mlflow": "MLflow",
    "trackio": "Trackio",
    "tensorBoard": "TensorBoard",
}


@dataclass
class Tracking:
    """The trackers of an attempt of a run. Leaving the context ends all trackers."""

    report_to: ReportTo | None
    run: TrackedRun
    workdir: Path
    upload: Callable[[Path], object]
    """Uploads the folder of TensorBoard's event files."""
    _processes: dict[TrackerKind, TrackerProcess] = field(default_factory=dict)
    _warnings: dict[TrackerKind, str] = field(default_factory=dict)
    _ended: bool = False

    def __enter__(self) -> Self:
        if self.report_to:
            self.workdir.mkdir()
            self.send(Opened(report_to=self.report_to, run=self.run))
            for kind in self.report_to.kinds:
                self._start(kind)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if self._ended:
            return
        if error is None:
            self._end(Ended(outcome="Succeeded"))
        elif isinstance(error, Interrupted):
            self._end(Ended(outcome="Interrupted"))
        else:
            self._end(Ended(outcome="Failed"))

    @property
    def callbacks(self) -> list[TrainerCallback]:
        """Callbacks for the training loop."""
        return [TrackerCallback(self)] if self.report_to else []

    def send(self, event: Event) -> None:
        """Send an event to all trackers and return at once."""
        if not self.report_to:
            return
        events.append(event, self._events)
        for kind, process in self._processes.items():
            self._warn(kind, process.problem)

    def upload_event_files(self) -> None:
        """Upload the event files of TensorBoard."""
        files = self.workdir / "tensorBoard" / "events"
        if not files.is_dir():
            return
        snapshot = self.workdir / "snapshot"  # TensorBoard's process continues to write
        shutil.copytree(files, snapshot)
        try:
            self.upload(snapshot)
        except Failure as failure:
            logger.warning("TensorBoard's files were not stored, and the run continues: %s", failure)
        shutil.rmtree(snapshot)

    def finish(self, step: int, metrics: Mapping[str, float], results: Results) -> str:
        """Send the results and wait for the trackers; return warnings for the report, each after a space.

        Args:
            step: the last optimizer step.
            metrics: evaluation of the model.
            results: model and samples.
        """
        self.send(Logged(step=step, metrics=metrics))
        self._end(Ended(outcome="Succeeded", results=results))
        return "".join(f" {warning}" for warning in self._warnings.values())

    def _start(self, kind: TrackerKind) -> None:
        folder = self.workdir / kind
        folder.mkdir()
        try:
            self._processes[kind] = TrackerProcess(kind, self._events, folder)
        except OSError as error:
            self._warn(kind, describe(error))

    @property
    def _events(self) -> Path:
        return self.workdir / "events.jsonl"

    def _end(self, ended: Ended) -> None:
        self._ended = True
        self.send(ended)
        deadline = time.monotonic() + FINISH_TIMEOUT_SECONDS[ended.outcome]
        for kind, process in self._processes.items():
            self._warn(kind, process.finish(deadline))
        self.upload_event_files()

    def _warn(self, kind: TrackerKind, problem: str | None) -> None:
        """Log the first problem of a tracker, also for the report."""
        if problem and kind not in self._warnings:
            name = NAMES[kind]
            self._warnings[kind] = f"Some metrics were not sent to {name} ({problem}): check spec.reportTo.{kind}."
            logger.warning("%s The run continues.", self._warnings[kind])


@dataclass
class TrackerCallback(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Sends the log of the training loop, including the held-out losses of early stopping."""

    tracking: Tracking
    _sent: int = 0
    """Number of log rows sent."""

    def on_train_begin(
        self,
        arguments: TrainingArguments,
        state: TrainerState,
        _: TrainerControl,
        model: PreTrainedModel,
        **__: object,
    ) -> None:
        self._sent = len(state.log_history)
        started = Started(
            arguments=arguments.to_dict(),
            model=model.config.to_dict(),
            parameters=model.num_parameters(),
            history=logged(state.log_history),
        )
        self.tracking.send(started)

    def on_step_end(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: object) -> None:
        self._send_new(state)

    def on_log(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: object) -> None:
        self._send_new(state)

    def on_save(self, _: TrainingArguments, __: TrainerState, ___: TrainerControl, **____: object) -> None:
        self.tracking.upload_event_files()

    def _send_new(self, state: TrainerState) -> None:
        for event in logged(state.log_history[self._sent :]):
            self.tracking.send(event)
        self._sent = len(state.log_history)


def logged(rows: Sequence[Mapping[str, float]]) -> list[Logged]:
    """Return the events of log rows; rows without metrics, such as the Trainer's summary, are left out."""
    known = [(row, {METRICS[name]: value for name, value in row.items() if name in METRICS}) for row in rows]
    return [Logged(step=int(row["step"]), metrics=metrics) for row, metrics in known if metrics]
