"""Memory and speed of large models: GPT-2 XL, and a model of 8 billion weights with LoRA. Weights are random."""

from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedConfig

from parts.bench import Bench, Figures
from parts.models import peak_gib, reset_peak, timed
from recipes import DEVICE, train_default
from tweetmodel_trainer.models import lora

BLOCKS = 5
SKIPPED_STEPS = 2
LORA_RANK = 16


class RandomBlocks(Dataset[dict[str, torch.Tensor]]):
    """Blocks of random tokens, with the interface of Blocks."""

    def __init__(self, size: int, vocabulary: int) -> None:
        self.size, self.vocabulary, self.epoch_ends = size, vocabulary, [BLOCKS]

    def __len__(self) -> int:
        return BLOCKS

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(index)
        row = torch.randint(0, self.vocabulary, (self.size,), generator=generator)
        return {"input_ids": row, "labels": row}


def measure(bench: Bench, figures: Figures) -> None:
    """Train some optimizer steps of each model. A failure, such as too little memory, is a figure too."""
    xl, eight_billion = _configs(bench)
    lora_settings = {"method": "LoRA"}
    checkpointing = {"gradient_checkpointing": True}
    for name, config, dtype, settings in (
        ("xl_full", xl, torch.float32, {}),
        ("xl_full_checkpointing", xl, torch.float32, checkpointing),
        ("8b_lora_fp32_base", eight_billion, torch.float32, lora_settings),
        ("8b_lora_fp32_base_checkpointing", eight_billion, torch.float32, lora_settings | checkpointing),
        ("8b_lora_bf16_base", eight_billion, torch.bfloat16, lora_settings),
        ("8b_lora_bf16_base_checkpointing", eight_billion, torch.bfloat16, lora_settings | checkpointing),
    ):
        reset_peak()
        results: dict[str, Any] = {}
        try:
            _train(config, dtype, settings, bench.scale.block_size, results)
        except Exception as error:
            results["error"] = f"{type(error).__name__}: {str(error)[:160]}"
        figures[name] = results | {"peak_gib": peak_gib()}


def _configs(bench: Bench) -> tuple[PreTrainedConfig, PreTrainedConfig]:
    if bench.dry:
        small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        vocabulary = bench.scale.vocabulary
        return GPT2Config(vocab_size=vocabulary, **bench.scale.shape), LlamaConfig(vocab_size=vocabulary, **small)
    xl = GPT2Config(n_layer=48, n_embd=1600, n_head=25)
    eight_billion = LlamaConfig(
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
    )
    return xl, eight_billion


def _train(
    config: PreTrainedConfig, dtype: torch.dtype, settings: dict[str, Any], size: int, results: dict[str, Any]
) -> None:
    with timed(results, "creation_seconds"), torch.device(DEVICE):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    if settings.get("method") == "LoRA":
        model = lora.attach(model, LORA_RANK)
    clock = train_default(model, RandomBlocks(size, config.vocab_size), **settings)
    step_ms = clock.median_step_ms(SKIPPED_STEPS)
    assert step_ms
    results["step_ms"] = step_ms
    results["tokens_per_second"] = round(size / step_ms * 1e3)
