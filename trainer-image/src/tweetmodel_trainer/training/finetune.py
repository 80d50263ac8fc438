"""The training loop: transformers' Trainer over blocks in a fixed order, stopped and resumed exactly.

Blocks are read one after the other and every random state is in the checkpoint, so a run that is killed after
a checkpoint ends in the same weights as one that is not (on the same hardware and software). Several GPUs share the
blocks of a step: the result is the same up to rounding.
"""

import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import (
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations import KubeflowCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Training
from tweetmodel_trainer.evaluation.evaluate import IGNORED
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import StopRequest, defer_termination
from tweetmodel_trainer.models import lora
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training.blocks import Blocks
from tweetmodel_trainer.training.early_stopping import Best
from tweetmodel_trainer.training.metrics import rows
from tweetmodel_trainer.training.parallel import agree, processes

logger = logging.getLogger(__name__)

LOGGED = 50
"""Lines of metrics in a run."""


@dataclass(frozen=True)
class Even(Dataset[dict[str, torch.Tensor]]):
    """Blocks, and after them such as nothing is learnt from, so that all processes read equally many."""

    blocks: Blocks
    multiple: int

    def __len__(self) -> int:
        return math.ceil(len(self.blocks) / self.multiple) * self.multiple

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if index < len(self.blocks):
            return self.blocks[index]
        block = torch.zeros(self.blocks.size, dtype=torch.long)
        return {"input_ids": block, "labels": torch.full_like(block, IGNORED)}


class InOrder(Trainer):  # type: ignore[misc]  # transformers is not typed
    """Reads blocks in their order: they were shuffled when they were laid out."""

    def _get_train_sampler(self, *_: object) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


@dataclass
class Saving(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Asks for checkpoints by time, when a stop is asked for, and at the end; hands them on; tells progress.

    Of several processes the first one decides, and hands on what all have written.
    """

    every: float
    """Seconds between checkpoints."""
    stop: StopRequest
    publish: Callable[[int, Path], None]
    progress: Callable[[float, float, float], None]
    best: Best | None = None
    clock: Callable[[], float] = time.monotonic
    _saved: float = 0.0
    _began: float = 0.0
    _first: int = 0
    _loss: float = float("nan")

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: object) -> None:
        self._began = self._saved = self.clock()
        self._first = state.global_step

    def on_step_end(self, _: TrainingArguments, state: TrainerState, control: TrainerControl, **__: object) -> None:
        now, last = self.clock(), state.global_step >= state.max_steps
        enough = self.best is not None and self._enough(self.best, state)
        stop, due = agree(self.stop.requested or enough, now - self._saved >= self.every)
        control.should_save = stop or due or last
        control.should_training_stop = control.should_training_stop or stop
        done = state.global_step - self._first
        remaining = (now - self._began) / done * (state.max_steps - state.global_step)
        self.progress(state.global_step / state.max_steps, remaining, self._loss)

    def _enough(self, best: Best, state: TrainerState) -> bool:
        loss = best.look(state.global_step)
        if loss is not None:
            state.log_history.append({"heldout_loss": loss, "step": state.global_step, "time": round(time.time(), 1)})
            logger.info("step %d of %d: held-out loss %.4f", state.global_step, state.max_steps, loss)
        return best.over

    def on_log(
        self, _: TrainingArguments, state: TrainerState, __: TrainerControl, logs: dict[str, float], **___: object
    ) -> None:
        if "loss" not in logs:
            return
        self._loss = float(logs["loss"])
        if not math.isfinite(self._loss):
            where = f"the loss is {self._loss} at step {state.global_step}"
            raise Failure(Reason.DIVERGED, f"training diverged ({where}): lower training.learningRate.")
        state.log_history[-1]["time"] = round(time.time(), 1)
        logger.info("step %d of %d: loss %.4f", state.global_step, state.max_steps, self._loss)

    def on_save(self, arguments: TrainingArguments, state: TrainerState, control: TrainerControl, **__: object) -> None:
        agree(False)  # all have written their part
        if state.is_world_process_zero:
            self._hand_on(Path(arguments.output_dir) / f"checkpoint-{state.global_step}", state)
        self._saved = self.clock()
        [stop] = agree(self.stop.requested)
        if stop:  # asked for during the upload: this checkpoint is the one to stop at
            control.should_training_stop = True

    def _hand_on(self, folder: Path, state: TrainerState) -> None:
        if self.best:
            self.best.save(folder)
        try:
            self.publish(state.global_step, folder)
        except Failure as failure:
            needed = self.stop.requested or state.global_step >= state.max_steps
            if needed or failure.reason is not Reason.STORAGE_UNREACHABLE:
                raise
            logger.warning("the checkpoint of step %d is passed over: %s", state.global_step, failure)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Task:
    """What the processes of all GPUs train on, and how."""

    blocks: Blocks
    training: Training
    workdir: Path
    resume_from: Path | None
    gpus: int

    @property
    def steps(self) -> int:
        """That all epochs take."""
        return math.ceil(len(self.blocks) / self.training.global_batch_size)


@dataclass(frozen=True)
class Trained:
    """What the loop leaves besides the model, which it changes in place."""

    steps: int
    planned: int
    """Steps that all epochs take."""
    kept: int
    """The step that the weights are of."""
    log: list[dict[str, float]]
    """A row every so many steps: step, loss, learning_rate, grad_norm, time (seconds since 1970); with early stopping
    one for each epoch too: step, heldout_loss, time."""


def finetune(
    model: PreTrainedModel,
    blocks: Blocks,
    training: Training,
    workdir: Path,
    resume_from: Path | None,
    publish: Callable[[int, Path], None],
    progress: Progress,
    share: tuple[float, float],
    gpus: int = 1,
    score: Callable[[], float] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> Trained:
    """Trains `model` in place.

    Args:
        model: to train; where `resume_from` is given its weights are replaced.
        blocks: what it reads.
        training: spec.training.
        workdir: where checkpoints are written before they are handed on.
        resume_from: a checkpoint's folder.
        publish: takes (step, folder) of each checkpoint; the folder is deleted afterwards.
        progress: told after each step.
        share: the percentages at which the loop begins and ends.
        gpus: that share the blocks of each step, one process for each; the first is the one that the model is on.
        score: the model's loss on held-out posts, for early stopping.
        callbacks: told besides, in the first process alone.

    Raises:
        Failure: Diverged, or InternalError where the process of another GPU failed.
        Interrupted: a stop was asked for; the checkpoint of that step was handed on.
    """
    begin, end = share

    def tell(done: float, remaining: float, loss: float) -> None:
        progress.report(begin + done * (end - begin), remaining, **({"loss": loss} if loss == loss else {}))

    task, best = Task(blocks, training, workdir, resume_from, gpus), None
    if training.early_stopping and score:
        ends = frozenset(math.ceil(read / training.global_batch_size) for read in blocks.ends)
        best = Best(model, partial(_in_float32, model, score), training.early_stopping.patience, ends, workdir / "best")
        if resume_from:
            best.restore(resume_from)
    if best and best.over:  # stopped early, then interrupted
        state = TrainerState.load_from_json(str(resume_from / TRAINER_STATE_NAME))
        for callback in callbacks:
            callback.on_train_begin(_arguments(task), state, TrainerControl(), model=model)
    else:
        with defer_termination() as stop, processes(gpus, follow, model.config, task):
            saving = Saving(training.checkpoint_interval_seconds, stop, publish, tell, best)
            state = _train(model, task, saving, *callbacks)
    if best:
        best.take()
    return Trained(state.global_step, task.steps, best.step if best else state.global_step, rows(state.log_history))


def _in_float32(model: PreTrainedModel, score: Callable[[], float]) -> float:
    """The score outside the mixed precision that accelerate puts around `forward`, as the finished model's will be."""
    mixed = model.__dict__.pop("forward", None)
    try:
        return score()
    finally:
        if mixed:
            model.forward = mixed


def follow(rank: int, config: PreTrainedConfig, task: Task) -> None:
    """What the process of another GPU does: the same steps, with weights that the first one hands it."""
    disable_progress_bar()
    set_verbosity_error()
    with torch.device(f"cuda:{rank}" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        if task.training.method == "LoRA":
            model = lora.attach(model, task.training.lora_rank)
    silent = Saving(math.inf, StopRequest(), lambda *_: None, lambda *_: None)
    _train(model, task, silent)


def _train(model: PreTrainedModel, task: Task, *callbacks: TrainerCallback) -> TrainerState:
    trainer = InOrder(
        model=model,
        args=_arguments(task),
        train_dataset=Even(task.blocks, task.training.global_batch_size) if task.gpus > 1 else task.blocks,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(KubeflowCallback)  # it says 100 % when the loop is stopped: we tell ourselves
    trainer.train(resume_from_checkpoint=str(task.resume_from) if task.resume_from else None)
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # else it stays in mixed precision
    return trainer.state


def computes_in_bfloat16() -> bool:
    """Whether the device has instructions for it: emulated, it is slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def in_bfloat16(training: Training) -> bool:
    """Whether a training computes in it, as its spec says or the device can."""
    return training.precision == "BFloat16" or (training.precision == "Auto" and computes_in_bfloat16())


def _arguments(task: Task) -> TrainingArguments:
    training, gpu = task.training, torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(task.workdir),
        num_train_epochs=1,  # the epochs are laid out in the blocks
        per_device_train_batch_size=training.global_batch_size // training.gradient_accumulation_steps // task.gpus,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        activation_checkpointing=training.gradient_checkpointing,
        learning_rate=float(training.learning_rate),
        lr_scheduler_type="cosine",
        bf16=in_bfloat16(training),
        use_cpu=not gpu,
        seed=training.seed + int(os.environ.get("RANK", 0)),  # dropout differs between the parts of a step
        save_strategy="no",  # `Saving` asks for checkpoints
        logging_steps=max(1, task.steps // LOGGED),
        logging_nan_inf_filter=False,  # else a loss that is no number is logged as the last good one
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=gpu,
    )
    if arguments.n_gpu > 1:  # one process drives one: DataParallel would make another batch, so another run, of it
        arguments._n_gpu = 1
    return arguments
