"""The training loop: the Trainer of transformers over blocks in a fixed order, which can be stopped and resumed.

Blocks are read in order and checkpoints contain all random states. On a CPU, a run that is killed and resumed ends with
the same weights as an uninterrupted run on the same hardware and software. On a GPU the results are equal up to
rounding only: attention kernels sum gradients in an undefined order unless deterministic algorithms are enabled.

Several GPUs share the blocks of each optimizer step. Without dropout, the number of GPUs changes the result by rounding
only. With dropout, each process draws its own masks, so another number of GPUs gives another result.
"""

import math
import os
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

from tweetmodel_api.spec import Training
from tweetmodel_trainer.evaluation.scoring import IGNORE_INDEX
from tweetmodel_trainer.interrupt import StopRequest, defer_termination
from tweetmodel_trainer.models import lora
from tweetmodel_trainer.models.device import supports_bfloat16
from tweetmodel_trainer.models.silence import silence_transformers
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training.blocks import Blocks
from tweetmodel_trainer.training.checkpoint_callback import CheckpointCallback
from tweetmodel_trainer.training.early_stopping import EarlyStopping
from tweetmodel_trainer.training.loss_log import Row, loss_rows
from tweetmodel_trainer.training.parallel import worker_group

LOG_ROWS = 50
"""Approximate number of loss rows per run."""


@dataclass(frozen=True)
class PaddedBlocks(Dataset[dict[str, torch.Tensor]]):
    """Blocks, followed by blocks without loss, so that all processes read the same number of blocks."""

    blocks: Blocks
    multiple: int
    """The number of blocks is padded to a multiple of this number."""

    def __len__(self) -> int:
        return math.ceil(len(self.blocks) / self.multiple) * self.multiple

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if index < len(self.blocks):
            return self.blocks[index]
        block = torch.zeros(self.blocks.size, dtype=torch.long)
        return {"input_ids": block, "labels": torch.full_like(block, IGNORE_INDEX)}


class SequentialTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
    """A Trainer that reads blocks in order; `Blocks` has shuffled the posts."""

    def _get_train_sampler(self, *_: object) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


@dataclass(frozen=True)
class FineTuningConfig:
    """Configuration of a training loop."""

    training: Training
    """spec.training."""
    workdir: Path
    """Folder in which checkpoints are written before they are uploaded."""
    upload_checkpoint: Callable[[int, Path], None]
    """Takes the optimizer step and the folder of each checkpoint; the folder is deleted afterwards."""
    progress: Progress
    progress_range: tuple[float, float] = (0.0, 100.0)
    """Percentages at the begin and end of the loop."""
    resume_from: Path | None = None
    """Folder of the checkpoint to resume from; None starts a new training."""
    gpus: int = 1
    """Number of processes that share the blocks of each optimizer step; the model is on the device of rank 0."""
    evaluate_loss: Callable[[], float] | None = None
    """Returns the loss of the model on held-out posts, for early stopping."""
    callbacks: Sequence[TrainerCallback] = ()
    """Additional callbacks of rank 0."""

    def report_progress(self, fraction: float, remaining_seconds: float, loss: float) -> None:
        """Report the completed fraction of the loop within `progress_range`."""
        begin, end = self.progress_range
        metrics = {} if math.isnan(loss) else {"loss": loss}
        self.progress.report(begin + fraction * (end - begin), remaining_seconds, **metrics)


@dataclass(frozen=True)
class LoopConfig:
    """The part of the configuration that all processes share; picklable."""

    blocks: Blocks
    training: Training
    workdir: Path
    resume_from: Path | None
    gpus: int

    @property
    def steps(self) -> int:
        """Number of optimizer steps in all epochs."""
        return math.ceil(len(self.blocks) / self.training.global_batch_size)


@dataclass(frozen=True)
class FineTuningResult:
    """Outcome of a training loop, which changes the weights of the model in place."""

    steps: int
    """Number of performed optimizer steps."""
    planned_steps: int
    """Number of optimizer steps in all epochs."""
    kept_step: int
    """Optimizer step of the final weights."""
    log: list[Row]
    """Loss rows: step, loss, learning_rate, grad_norm and time (seconds since 1970) at regular intervals. With early
    stopping also step, heldout_loss and time after each epoch."""


def fine_tune(model: PreTrainedModel, blocks: Blocks, config: FineTuningConfig) -> FineTuningResult:
    """Train a model in place.

    Args:
        model: model to train; a resumed training replaces its weights.
        blocks: training text.
        config: configuration of the loop.

    Raises:
        Failure: Diverged, or InternalError if the process of another GPU failed.
        Interrupted: the training stopped on request after uploading a checkpoint.
    """
    task = LoopConfig(blocks, config.training, config.workdir, config.resume_from, config.gpus)
    early_stopping = _early_stopping(model, blocks, config)
    if early_stopping and early_stopping.should_stop:  # stopped early, but interrupted before the end of the step
        state = _skip_loop(model, task, config.callbacks)
    else:
        with defer_termination() as stop, worker_group(config.gpus, run_worker, model.config, task):
            checkpoints = CheckpointCallback(
                config.training.checkpoint_interval_seconds,
                stop,
                config.upload_checkpoint,
                config.report_progress,
                early_stopping,
            )
            state = _run_loop(model, task, checkpoints, *config.callbacks)
    kept_step = state.global_step
    if early_stopping:
        early_stopping.restore_best()
        kept_step = early_stopping.best_step
    return FineTuningResult(state.global_step, task.steps, kept_step, loss_rows(state.log_history))


def _early_stopping(model: PreTrainedModel, blocks: Blocks, config: FineTuningConfig) -> EarlyStopping | None:
    if not (config.training.early_stopping and config.evaluate_loss):
        return None
    batch_size = config.training.global_batch_size
    early_stopping = EarlyStopping(
        model,
        partial(_without_autocast, model, config.evaluate_loss),
        config.training.early_stopping.patience,
        evaluation_steps=frozenset(math.ceil(end / batch_size) for end in blocks.epoch_ends),
        folder=config.workdir / "best",
    )
    if config.resume_from:
        early_stopping.load(config.resume_from)
    return early_stopping


def _skip_loop(model: PreTrainedModel, task: LoopConfig, callbacks: Sequence[TrainerCallback]) -> TrainerState:
    """Return the state of the checkpoint to resume from, without training."""
    state = TrainerState.load_from_json(str(Path(task.resume_from or "") / TRAINER_STATE_NAME))
    for callback in callbacks:
        callback.on_train_begin(_arguments(task), state, TrainerControl(), model=model)
    return state


def _without_autocast(model: PreTrainedModel, evaluate_loss: Callable[[], float]) -> float:
    """Evaluate the model as the finished model will be evaluated: without the autocast that accelerate adds."""
    autocast_forward = model.__dict__.pop("forward", None)
    try:
        return evaluate_loss()
    finally:
        if autocast_forward:
            model.forward = autocast_forward


def run_worker(rank: int, model_config: PreTrainedConfig, task: LoopConfig) -> None:
    """Run the training loop in the process of another GPU; rank 0 sends the initial weights."""
    silence_transformers()
    with torch.device(f"cuda:{rank}" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(model_config, dtype=torch.float32)
        if task.training.method == "LoRA":
            model = lora.attach(model, task.training.lora_rank)
    follower = CheckpointCallback(math.inf, StopRequest(), lambda *_: None, lambda *_: None)
    _run_loop(model, task, follower)


def _run_loop(model: PreTrainedModel, task: LoopConfig, *callbacks: TrainerCallback) -> TrainerState:
    trainer = SequentialTrainer(
        model=model,
        args=_arguments(task),
        train_dataset=PaddedBlocks(task.blocks, task.training.global_batch_size) if task.gpus > 1 else task.blocks,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(KubeflowCallback)  # it reports 100 % when the loop is stopped
    trainer.train(resume_from_checkpoint=str(task.resume_from) if task.resume_from else None)
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # remove the autocast
    return trainer.state


def uses_bfloat16(training: Training) -> bool:
    """Return whether a training computes in bfloat16: on request, or by default if the device supports bfloat16."""
    if training.precision == "Auto":
        return supports_bfloat16()
    return training.precision == "BFloat16"


def _arguments(task: LoopConfig) -> TrainingArguments:
    training, gpu = task.training, torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(task.workdir),
        num_train_epochs=1,  # the blocks contain all epochs
        per_device_train_batch_size=training.global_batch_size // training.gradient_accumulation_steps // task.gpus,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        activation_checkpointing=training.gradient_checkpointing,
        learning_rate=float(training.learning_rate),
        lr_scheduler_type="cosine",
        bf16=uses_bfloat16(training),
        use_cpu=not gpu,
        seed=training.seed + int(os.environ.get("RANK", 0)),  # other dropout masks in each process
        save_strategy="no",  # CheckpointCallback requests checkpoints
        logging_steps=max(1, task.steps // LOG_ROWS),
        logging_nan_inf_filter=False,  # the filter would log a NaN loss as the last finite one
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=gpu,
    )
    if arguments.n_gpu > 1:  # one process per GPU: DataParallel would change the batch
        arguments._n_gpu = 1
    return arguments
