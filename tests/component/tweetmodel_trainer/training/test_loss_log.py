"""Tests of the losses of a training."""

import json
import math

from transformers import TrainerState

from tweetmodel_trainer.training.loss_log import LossLog, json_row


def test_the_log_contains_rows_with_a_loss_as_json() -> None:
    log = LossLog()
    assert log.rows == []
    history = [{"step": 1, "loss": math.nan}, {"step": 1, "epoch": 1.0}, {"step": 2, "heldout_loss": 3.0}]
    log.on_train_begin(None, TrainerState(log_history=history), None)
    assert log.rows == [{"step": 1, "loss": None}, {"step": 2, "heldout_loss": 3.0}]
    json.dumps(log.rows, allow_nan=False)


def test_infinite_values_become_none() -> None:
    assert json_row({"step": 1, "loss": math.inf}) == {"step": 1, "loss": None}
