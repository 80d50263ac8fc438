"""The default recipe of a TweetModel and the stock recipe of transformers, with a clock, for benchmarks.

The stock recipe is transformers' Trainer as huggingtweets called it: packed blocks, batch 1, float32, a cosine
schedule, and otherwise the defaults of the Trainer.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from tweetmodel_api.spec import Training
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training.fine_tuning import FineTuningConfig, fine_tune

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

HUGGINGTWEETS = {"learning_rate": 1.372e-4, "lr_scheduler_type": "cosine", "per_device_train_batch_size": 1}

NO_CHECKPOINTS = 86_400
"""Seconds between checkpoints, more than any benchmark takes: only the last checkpoint is written."""


class Clock(TrainerCallback):
    """Times of a training loop, by `time.perf_counter`."""

    def __init__(self) -> None:
        self.started = 0.0
        self.steps_ended: list[float] = []

    def on_train_begin(self, _: TrainingArguments, __: TrainerState, ___: TrainerControl, **____: Any) -> None:
        synchronize()
        self.started = time.perf_counter()

    def on_step_end(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: Any) -> None:
        if state.global_step == state.max_steps:
            synchronize()
        self.steps_ended.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        return self.steps_ended[-1] - self.started

    def median_step_ms(self, skipped: int = 1) -> float | None:
        """Median of an optimizer step without the first ones; None if there are too few steps."""
        ends = self.steps_ended[skipped - 1 :]
        durations = [end - start for start, end in itertools.pairwise(ends)]
        return round(statistics.median_high(durations) * 1e3, 2) if durations else None


def synchronize() -> None:
    """Wait until the GPU has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def train_default(
    model: PreTrainedModel,
    blocks: Any,
    publish: Callable[[int, Path], None] = lambda *_: None,
    resume_from: Path | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    **settings: Any,
) -> Clock:
    """Train a model as a TweetModel does by default; `settings` replace fields of spec.training."""
    clock = Clock()
    training = Training(checkpoint_interval_seconds=NO_CHECKPOINTS).model_copy(update=settings)
    with tempfile.TemporaryDirectory() as folder:
        config = FineTuningConfig(
            training, Path(folder), publish, Progress({}), resume_from=resume_from, callbacks=[clock, *callbacks]
        )
        fine_tune(model, blocks, config)
    return clock


def train_stock(model: PreTrainedModel, rows: Any, **arguments: Any) -> Clock:
    """Train a model by the stock recipe, which shuffles the rows; `arguments` are more TrainingArguments."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"num_train_epochs": 1, "save_strategy": "no", "report_to": [], "disable_tqdm": True}
        stock = TrainingArguments(output_dir=folder, **(quiet | HUGGINGTWEETS | arguments))
        Trainer(model=model, args=stock, train_dataset=rows, callbacks=[clock]).train()
    return clock


def padded_rows(texts: list[str], tokenizer: PreTrainedTokenizerBase, size: int) -> tuple[list[Any], int]:
    """Return a row for each post, padded to the model's context as in most tutorials, and the tokens of the posts."""
    end = tokenizer.eos_token_id
    ids = [[*row, end][:size] for row in tokenizer(texts)["input_ids"]]
    rows = [
        {
            "input_ids": torch.tensor(row + [end] * (size - len(row))),
            "attention_mask": torch.tensor([1] * len(row) + [0] * (size - len(row))),
            "labels": torch.tensor(row + [-100] * (size - len(row))),
        }
        for row in ids
    ]
    return rows, sum(map(len, ids))


def flops_per_token(config: GPT2Config, length: int) -> float:
    """Return the operations of forward and backward with attention (Chowdhery et al. 2022, PaLM, appendix B)."""
    with torch.device("meta"):
        parameters = sum(weight.numel() for weight in GPT2LMHeadModel(config).parameters())
    return 6 * parameters + 12 * config.n_layer * config.n_embd * length
