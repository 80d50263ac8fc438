"""Exact resume: whether a run ends in the same bytes again, and after a kill.

Measured with the default kernels and with deterministic kernels, and the seconds of both.
"""

import hashlib
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedModel

from parts.bench import Bench, Figures
from parts.models import blocks_of, load_base
from recipes import Clock, train_default
from tweetmodel_trainer.training.blocks import Blocks


class Killed(Exception):
    """Ends the training loop after a checkpoint."""


def measure(bench: Bench, figures: Figures) -> None:
    """Train twice, and once with a kill at the first, the middle and the penultimate optimizer step."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS reads it once; deterministic algorithms need it
    train, _ = bench.posts()
    _, tokenizer = load_base(bench)
    blocks = blocks_of(bench, train[: bench.scale.exact_posts], tokenizer, epochs=1)
    figures["optimizer_steps"] = len(blocks)
    for mode in ("default", "deterministic"):
        torch.use_deterministic_algorithms(mode == "deterministic")
        torch.utils.deterministic.fill_uninitialized_memory = False
        results: dict[str, Any] = {}
        try:
            _compare(bench, blocks, results)
        except RuntimeError as error:  # names the operator that has no deterministic kernel
            results["error"] = str(error)[:500]
        figures[mode] = results
    torch.use_deterministic_algorithms(False)


def _compare(bench: Bench, blocks: Blocks, results: dict[str, Any]) -> None:
    first, _ = _train(bench, blocks)
    second, clock = _train(bench, blocks)
    results["repeatable"] = _digest(first) == _digest(second)
    results["seconds"] = round(clock.seconds, 3)
    results["largest_difference"] = _largest_difference(first, second)
    for step in sorted({1, len(blocks) // 2, len(blocks) - 1}):
        resumed = _train_with_kill(bench, blocks, step)
        results[f"killed_at_{step}"] = {
            "same": _digest(resumed) == _digest(first),
            "largest_difference": _largest_difference(first, resumed),
        }


def _train(bench: Bench, blocks: Blocks, **options: Any) -> tuple[PreTrainedModel, Clock]:
    model, _ = load_base(bench)
    return model, train_default(model, blocks, **options)


def _train_with_kill(bench: Bench, blocks: Blocks, kill_step: int) -> PreTrainedModel:
    """Train until a checkpoint, then resume from it with a new model."""
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint"

        def keep(step: int, files: Path) -> None:
            if step == kill_step:
                shutil.copytree(files, checkpoint)
                raise Killed

        try:
            _train(bench, blocks, publish=keep, checkpoint_interval_seconds=0)
        except Killed:
            return _train(bench, blocks, resume_from=checkpoint)[0]
    raise AssertionError(f"no checkpoint of step {kill_step}")


def _digest(model: PreTrainedModel) -> str:
    sha = hashlib.sha256()
    for _, weight in sorted(model.state_dict().items()):
        sha.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


@torch.no_grad()
def _largest_difference(one: PreTrainedModel, other: PreTrainedModel) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)
