"""Tests of data-parallel training in several processes, on the CPU instead of GPUs."""

import operator
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed

from small_models import TWELVE_BLOCKS, small_model
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import EarlyStopping, Training
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.models import lora
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training.fine_tuning import FineTuningConfig, FineTuningResult, fine_tune
from tweetmodel_trainer.training.parallel import all_reduce_any, worker_group

TRAINING = Training(learning_rate="1e-2", precision="Float32")


@pytest.fixture(autouse=True)
def _without_group() -> Iterator[None]:
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def config(workdir: Path, training: Training, gpus: int, **changes: Any) -> FineTuningConfig:
    return replace(FineTuningConfig(training, workdir, lambda *_: None, Progress({}), gpus=gpus), **changes)


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    """The last of two steps has four of eight blocks, so one process has only padding."""
    one, two, untrained = (small_model(dropout=0.0) for _ in range(3))
    training = TRAINING.model_copy(update={"global_batch_size": 8})
    logs = [
        fine_tune(model, TWELVE_BLOCKS, config(tmp_path, training, gpus)).log
        for gpus, model in enumerate((one, two), 1)
    ]
    for row, same in zip(*logs, strict=True):
        assert same["loss"] == pytest.approx(row["loss"], rel=1e-5)
    changed = False
    for (name, weight), same, before in zip(
        one.named_parameters(), two.parameters(), untrained.parameters(), strict=True
    ):
        torch.testing.assert_close(same, weight, rtol=1e-3, atol=1e-5, msg=name)
        changed = changed or not torch.allclose(weight, before, rtol=1e-3, atol=1e-3)
    assert changed


def test_two_processes_train_lora_and_stop_early_like_one(tmp_path: Path) -> None:
    """Epochs end at steps 3, 5 and 6; the held-out loss rises in the second epoch."""
    changes = {"method": "LoRA", "lora_rank": 4, "global_batch_size": 2, "early_stopping": EarlyStopping(patience=1)}
    training = TRAINING.model_copy(update=changes)

    def train(gpus: int) -> tuple[FineTuningResult, dict[str, torch.Tensor]]:
        losses = iter((3.0, 3.5))
        model = lora.attach(small_model(dropout=0.0), 4)
        settings = config(tmp_path / str(gpus), training, gpus, evaluate_loss=lambda: next(losses))
        result = fine_tune(model, TWELVE_BLOCKS, settings)
        return result, {name: weight.clone() for name, weight in model.named_parameters() if weight.requires_grad}

    (one, weights), (two, same) = train(1), train(2)
    assert (one.steps, one.kept_step) == (two.steps, two.kept_step) == (5, 3)
    assert any(weight.abs().max() > 1e-3 for name, weight in weights.items() if "lora_B" in name)
    for name, weight in weights.items():
        torch.testing.assert_close(same[name], weight, rtol=1e-3, atol=1e-5, msg=name)


def test_a_stop_ends_all_processes_at_a_checkpoint_that_resumes_exactly(tmp_path: Path) -> None:
    """One run is not interrupted; the other resumes from its second checkpoint and is stopped at the third."""
    training = TRAINING.model_copy(update={"global_batch_size": 2, "checkpoint_interval_seconds": 0})

    class StopAtThree(Progress):
        def report(self, percentage: float, remaining: float | None = None, **metrics: float) -> None:
            if percentage == 50:
                os.kill(os.getpid(), signal.SIGTERM)

    def run(name: str, progress: Progress, resume: Path | None = None) -> None:
        def keep(step: int, folder: Path) -> None:
            shutil.copytree(folder, tmp_path / name / "kept" / str(step))

        settings = config(tmp_path / name, training, 2, progress=progress, resume_from=resume)
        fine_tune(small_model(), TWELVE_BLOCKS, replace(settings, upload_checkpoint=keep))

    run("uninterrupted", Progress({}))
    with pytest.raises(Interrupted):
        run("stopped", StopAtThree({}), tmp_path / "uninterrupted" / "kept" / "2")
    uninterrupted, stopped = (tmp_path / name / "kept" for name in ("uninterrupted", "stopped"))
    assert sorted(path.name for path in stopped.iterdir()) == ["3"], "the signal preceded the checkpoint"
    for file in ("model.safetensors", "optimizer.pt", "rng_state_0.pth", "rng_state_1.pth"):
        assert (stopped / "3" / file).read_bytes() == (uninterrupted / "3" / file).read_bytes(), file


def test_a_failed_worker_fails_the_group_with_a_message() -> None:
    with pytest.raises(Failure, match="GPU 1 ended before the others") as failure, worker_group(2, operator.truediv, 0):
        all_reduce_any(True)
    assert failure.value.reason is Reason.INTERNAL_ERROR


def test_a_single_process_reduces_its_own_flags() -> None:
    with worker_group(1, operator.truediv, 0):
        assert all_reduce_any(True, False) == [True, False]
