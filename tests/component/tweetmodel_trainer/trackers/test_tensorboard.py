"""TensorBoard: event files of a real training loop that is interrupted and resumed."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from transformers import TrainerCallback

from small_models import TWELVE_BLOCKS, small_model
from tracked_run import DATASET, EVALUATION, RESULTS, RUN, TENSORBOARD
from tweetmodel_api.spec import EarlyStopping, Training
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.trackers.tracking import Tracking
from tweetmodel_trainer.training.fine_tuning import FineTuningConfig, fine_tune


def events(folder: Path) -> list[Event]:
    """Return the events in a folder's files (TFRecord: length, checksum of the length, data, checksum of the data)."""
    found = []
    for file in folder.iterdir():
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def scalars(folder: Path, tag: str) -> dict[int, float]:
    return {e.step: value.simple_value for e in events(folder) for value in e.summary.value if value.tag == tag}


def texts(folder: Path) -> dict[str, str]:
    values = [value for event in events(folder) for value in event.summary.value if value.tensor.string_val]
    return {value.tag: value.tensor.string_val[0].decode() for value in values}


def train(
    folder: Path,
    callbacks: list[TrainerCallback],
    resume: Path | None,
    keep: Callable[[int, Path], None],
    patience: int = 9,
) -> Any:
    training = Training(learning_rate="1e-3", early_stopping=EarlyStopping(patience=patience))
    training = training.model_copy(update={"checkpoint_interval_seconds": 0})
    config = FineTuningConfig(
        training, folder, keep, Progress({}), resume_from=resume, evaluate_loss=lambda: 2.0, callbacks=callbacks
    )
    return fine_tune(small_model(), TWELVE_BLOCKS, config)


def test_a_resumed_run_has_the_whole_curve_once(tmp_path: Path) -> None:
    published: list[Path] = []

    def publish(folder: Path) -> None:
        published.append(tmp_path / f"published-{len(published)}")
        shutil.copytree(folder, published[-1])

    def keep_fifth(step: int, folder: Path) -> None:
        if step == 5:
            shutil.copytree(folder, tmp_path / "fifth")
            raise Interrupted

    with pytest.raises(Interrupted), Tracking(TENSORBOARD, RUN, tmp_path / "1", publish) as tracking:
        train(tmp_path / "first", tracking.callbacks, None, keep_fifth)
    assert set(scalars(published[-1], "train/loss")) == {1, 2, 3, 4, 5}
    with Tracking(TENSORBOARD, RUN, tmp_path / "2", publish) as tracking:
        log = train(tmp_path / "second", tracking.callbacks, tmp_path / "fifth", lambda *_: None).log
        assert tracking.finish(12, EVALUATION, RESULTS) == ""
    losses = {row["step"]: row["loss"] for row in log if "loss" in row}
    assert scalars(published[-1], "train/loss") == pytest.approx(losses)
    assert scalars(published[-1], "eval/loss") == {5: 2.0, 9: 2.0, 12: 1.5}
    tags = [value.tag for event in events(published[-1]) for value in event.summary.value]
    assert tags.count("train/loss") == 12
    shown = texts(published[-1])
    assert DATASET.uri in shown["lineage/inputs/text_summary"]
    assert "<script>" not in shown["samples/text_summary"]
    assert json.loads(shown["args/text_summary"])["spec.training.epochs"] == 4


def test_an_attempt_without_remaining_steps_has_the_whole_curve(tmp_path: Path) -> None:
    def keep_ninth(step: int, folder: Path) -> None:
        if step == 9:
            shutil.copytree(folder, tmp_path / "ninth")

    def publish(folder: Path) -> None:
        shutil.copytree(folder, tmp_path / "published")

    train(tmp_path / "first", [], None, keep_ninth, patience=1)
    with Tracking(TENSORBOARD, RUN, tmp_path / "t", publish) as tracking:
        train(tmp_path / "second", tracking.callbacks, tmp_path / "ninth", lambda *_: None, patience=1)
        tracking.finish(9, EVALUATION, RESULTS)
    assert set(scalars(tmp_path / "published", "train/loss")) == set(range(1, 10))
    assert scalars(tmp_path / "published", "eval/loss") == {5: 2.0, 9: 1.5}
