"""The callback that controls checkpoints, stops and progress of the training loop."""

import logging
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import StopRequest
from tweetmodel_trainer.training.early_stopping import EarlyStopping
from tweetmodel_trainer.training.loss_log import HELD_OUT_LOSS, LOSS
from tweetmodel_trainer.training.parallel import all_reduce_any

logger = logging.getLogger(__name__)


@dataclass
class CheckpointCallback(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Requests checkpoints periodically, on a stop and at the end, uploads them, and reports progress.

    In a group of processes rank 0 decides, and uploads the files that all processes have written.
    """

    interval_seconds: float
    """Seconds between checkpoints."""
    stop: StopRequest
    """Request to stop, set by SIGTERM."""
    upload: Callable[[int, Path], None]
    """Takes the optimizer step and the folder of a checkpoint."""
    report_progress: Callable[[float, float, float], None]
    """Takes the completed fraction, the estimated remaining seconds and the latest loss (NaN before the first)."""
    early_stopping: EarlyStopping | None = None
    clock: Callable[[], float] = time.monotonic
    _last_checkpoint: float = 0.0
    _start: float = 0.0
    _first_step: int = 0
    _loss: float = float("nan")

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: object) -> None:
        self._start = self._last_checkpoint = self.clock()
        self._first_step = state.global_step

    def on_step_end(self, _: TrainingArguments, state: TrainerState, control: TrainerControl, **__: object) -> None:
        now, is_last = self.clock(), state.global_step >= state.max_steps
        stops_early = self._evaluate(state)
        is_due = now - self._last_checkpoint >= self.interval_seconds
        stop, save = all_reduce_any(self.stop.requested or stops_early, is_due)
        control.should_save = stop or save or is_last
        control.should_training_stop = control.should_training_stop or stop
        seconds_per_step = (now - self._start) / (state.global_step - self._first_step)
        remaining_seconds = seconds_per_step * (state.max_steps - state.global_step)
        self.report_progress(state.global_step / state.max_steps, remaining_seconds, self._loss)

    def _evaluate(self, state: TrainerState) -> bool:
        """Evaluate the model if an epoch has ended, and return whether early stopping ends the training."""
        if self.early_stopping is None:
            return False
        loss = self.early_stopping.evaluate(state.global_step)
        if loss is not None:
            state.log_history.append({HELD_OUT_LOSS: loss, "step": state.global_step, "time": round(time.time(), 1)})
            logger.info("step %d of %d: held-out loss %.4f", state.global_step, state.max_steps, loss)
        return self.early_stopping.should_stop

    def on_log(
        self, _: TrainingArguments, state: TrainerState, __: TrainerControl, logs: dict[str, float], **___: object
    ) -> None:
        if LOSS not in logs:
            return
        self._loss = float(logs[LOSS])
        if not math.isfinite(self._loss):
            cause = f"the loss is {self._loss} at step {state.global_step}"
            raise Failure(Reason.DIVERGED, f"training diverged ({cause}): lower training.learningRate.")
        state.log_history[-1]["time"] = round(time.time(), 1)
        logger.info("step %d of %d: loss %.4f", state.global_step, state.max_steps, self._loss)

    def on_save(self, arguments: TrainingArguments, state: TrainerState, control: TrainerControl, **__: object) -> None:
        all_reduce_any(False)  # barrier: all processes have written their files
        if state.is_world_process_zero:
            self._upload(Path(arguments.output_dir) / f"checkpoint-{state.global_step}", state)
        self._last_checkpoint = self.clock()
        [stop] = all_reduce_any(self.stop.requested)
        if stop:  # requested during the upload: the training ends at this checkpoint
            control.should_training_stop = True

    def _upload(self, folder: Path, state: TrainerState) -> None:
        if self.early_stopping:
            self.early_stopping.save(folder)
        try:
            self.upload(state.global_step, folder)
        except Failure as failure:
            is_needed = self.stop.requested or state.global_step >= state.max_steps
            if is_needed or failure.reason is not Reason.STORAGE_UNREACHABLE:
                raise
            logger.warning("the checkpoint of step %d is skipped: %s", state.global_step, failure)
        shutil.rmtree(folder, ignore_errors=True)
