"""Speed, memory and held-out loss of the default recipe, the stock recipe and variants, from the same base model."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch.utils.data import Dataset
from transformers import PreTrainedModel, TrainingArguments

from parts.bench import LEARNING_RATE, Bench, Figures
from parts.models import blocks_of, load_base, peak_gib, reset_peak
from recipes import DEVICE, Clock, flops_per_token, padded_rows, train_default, train_stock
from tweetmodel_trainer.evaluation.scoring import score_texts
from tweetmodel_trainer.training import fine_tuning
from tweetmodel_trainer.training.blocks import Blocks

TRAINER_VARIANTS: dict[str, dict[str, Any]] = {
    "ours_non_blocking": {"accelerator_config": {"non_blocking": True}},
    "ours_without_clipping": {"max_grad_norm": 0.0},
}
"""Changes of TrainingArguments that may make the default recipe faster."""


class IsolatedPosts(Dataset[dict[str, torch.Tensor]]):
    """Blocks in which each post starts at position 0, by which transformers lets a post attend only to itself."""

    def __init__(self, blocks: Blocks, end_token: int) -> None:
        self.blocks, self.size, self.epoch_ends, self.end_token = blocks, blocks.size, blocks.epoch_ends, end_token

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        block = self.blocks[index]
        positions = torch.arange(self.size)
        is_end = block["input_ids"] == self.end_token
        starts = torch.where(is_end, positions, torch.zeros_like(positions)).cummax(0).values
        return block | {"position_ids": positions - starts}


def measure(bench: Bench, figures: Figures) -> None:
    """Train by each recipe over all epochs, one after the other."""
    train, held_out = bench.posts()
    model, tokenizer = load_base(bench)
    blocks = blocks_of(bench, train, tokenizer)
    tokens = len(blocks) * blocks.size
    figures["blocks"], figures["tokens"] = len(blocks), tokens
    figures["flops_per_token"] = flops_per_token(model.config, blocks.size)
    texts = [post.text for post in train[: bench.scale.padded_posts]]
    rows, padded_tokens = padded_rows(texts, tokenizer, blocks.size)
    warm_up = blocks_of(bench, train[: bench.scale.warm_up_posts], tokenizer, epochs=1)
    for recipe in (train_default, train_stock):  # kernels are loaded at their first use
        recipe(load_base(bench)[0], warm_up)
    for name, recipe in _recipes(blocks, IsolatedPosts(blocks, tokenizer.eos_token_id), rows).items():
        model, _ = load_base(bench)
        reset_peak()
        clock = recipe(model)
        figures[name] = {
            "seconds": round(clock.seconds, 3),
            "tokens_per_second": round((padded_tokens if name == "padded_rows" else tokens) / clock.seconds),
            "median_step_ms": clock.median_step_ms(),
            "heldout_loss": round(score_texts(model, tokenizer, held_out).loss, 4),
            "peak_gib": peak_gib(),
        }
    for name, changes in TRAINER_VARIANTS.items():
        figures[name] = {"tokens_per_second": round(tokens / _train_variant(bench, blocks, changes).seconds)}
    if DEVICE == "cuda":
        torch.set_float32_matmul_precision("high")
        clock = train_stock(load_base(bench)[0], blocks)
        figures["stock_tf32"] = {"tokens_per_second": round(tokens / clock.seconds)}


def _recipes(blocks: Blocks, isolated: IsolatedPosts, rows: list[Any]) -> dict[str, Callable[[PreTrainedModel], Clock]]:
    eight = {"global_batch_size": 8, "learning_rate": str(LEARNING_RATE * 8**0.5)}
    return {
        "ours": lambda model: train_default(model, blocks),
        "stock_fp32": lambda model: train_stock(model, blocks),
        "ours_again": lambda model: train_default(model, blocks),
        "stock_bf16": lambda model: train_stock(model, blocks, bf16=DEVICE == "cuda"),
        "ours_fp32": lambda model: train_default(model, blocks, precision="Float32"),
        "ours_batch_8_lr_x2.8": lambda model: train_default(model, blocks, **eight),
        "ours_isolated_posts": lambda model: train_default(model, isolated),
        "padded_rows": lambda model: train_stock(model, rows),
    }


def _train_variant(bench: Bench, blocks: Blocks, changes: dict[str, Any]) -> Clock:
    """Train by the default recipe with other arguments of the Trainer."""

    def arguments(**named: Any) -> TrainingArguments:
        return TrainingArguments(**(named | changes))

    with mock.patch.object(fine_tuning, "TrainingArguments", arguments):
        return train_default(load_base(bench)[0], blocks)
