"""Tests of the callback that controls checkpoints and stops."""

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from small_models import TWELVE_BLOCKS, small_model
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Training
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import Interrupted, StopRequest
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training.checkpoint_callback import CheckpointCallback
from tweetmodel_trainer.training.fine_tuning import FineTuningConfig, fine_tune

TRAINING = Training(global_batch_size=1, learning_rate="1e-3", checkpoint_interval_seconds=86400)
EACH_STEP = TRAINING.model_copy(update={"checkpoint_interval_seconds": 0})


def run(
    workdir: Path,
    publish: Callable[[int, Path], None],
    training: Training = EACH_STEP,
    progress: Progress = Progress({}),  # noqa: B008  # sends nothing without a server
) -> None:
    fine_tune(small_model(), TWELVE_BLOCKS, FineTuningConfig(training, workdir, publish, progress))


def test_checkpoints_are_saved_periodically_and_at_the_end() -> None:
    now = 0.0

    class State:
        global_step, max_steps = 0, 100

    class Control:
        should_save = should_training_stop = False

    callback = CheckpointCallback(60, StopRequest(), lambda *_: None, lambda *_: None, clock=lambda: now)
    callback.on_train_begin(None, State, Control)

    def saves(step: int, time: float) -> bool:
        nonlocal now
        now, State.global_step, Control.should_save = time, step, False
        callback.on_step_end(None, State, Control)
        return Control.should_save

    assert [saves(1, 59), saves(2, 60), saves(100, 61)] == [False, True, True]


def test_a_stop_during_training_saves_a_checkpoint_and_interrupts(tmp_path: Path) -> None:
    published: list[int] = []

    class StopAtThree(Progress):
        def report(self, percentage: float, remaining: float | None = None, **metrics: float) -> None:
            if percentage == 25:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(tmp_path, lambda step, _: published.append(step), TRAINING, StopAtThree({}))
    assert published == [4], "requested during step 3, saved at the end of the next step"


def test_a_stop_during_an_upload_ends_at_that_checkpoint(tmp_path: Path) -> None:
    published: list[int] = []

    def publish(step: int, _: Path) -> None:
        published.append(step)
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(tmp_path, publish)
    assert published == [1, 2, 3, 4, 5]


def test_unreachable_storage_fails_only_the_last_checkpoint(tmp_path: Path) -> None:
    steps: list[int] = []

    def unreachable(step: int, _: Path) -> None:
        steps.append(step)
        if step in (3, 4):
            raise Failure(Reason.STORAGE_UNREACHABLE, "no answer")

    run(tmp_path / "periodic", unreachable)
    assert steps == list(range(1, 13))

    def unreachable_at_the_end(step: int, _: Path) -> None:
        if step == 12:
            raise Failure(Reason.STORAGE_UNREACHABLE, "no answer")

    with pytest.raises(Failure, match="no answer"):
        run(tmp_path / "end", unreachable_at_the_end)


def test_published_checkpoints_are_deleted_from_the_disk(tmp_path: Path) -> None:
    run(tmp_path, lambda _, folder: (folder / "trainer_state.json").stat() and None)
    assert list(tmp_path.glob("checkpoint-*")) == []


def test_a_nan_loss_fails_the_run_at_once(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(Failure, match=r"at step 1\): lower training\.learningRate") as failure:
        fine_tune(model, TWELVE_BLOCKS, FineTuningConfig(TRAINING, tmp_path, lambda *_: None, Progress({})))
    assert failure.value.reason is Reason.DIVERGED
