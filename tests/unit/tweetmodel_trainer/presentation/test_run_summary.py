"""Tests of the run summary."""

from typing import Any

import pytest

from finished import finished_run
from tweetmodel_api.spec import BaseModelSource, HubModel, S3Model, ScratchModel


def test_accounts_are_named_in_a_phrase() -> None:
    assert finished_run(handles=("bob",)).authors == "@bob"
    assert finished_run(handles=("eve", "Bob", "ada")).authors == "@ada, @Bob and @eve"


@pytest.mark.parametrize(
    ("base", "commit", "phrase"),
    [
        ({"hub": HubModel(name="gpt2")}, "c" * 40, f"gpt2 at main (commit {'c' * 40})"),
        ({"hub": HubModel(name="gpt2", revision="c" * 40)}, "c" * 40, f"gpt2 at {'c' * 40}"),
        ({"s3": S3Model(uri="s3://bucket/base")}, None, "s3://bucket/base"),
        ({"scratch": ScratchModel()}, None, "a new, randomly initialized GPT-2"),
    ],
)
def test_the_base_model_is_named_with_its_commit(base: dict[str, Any], commit: str | None, phrase: str) -> None:
    source = BaseModelSource(**base)
    assert finished_run(base_model=source, base_commit=commit).base_model == phrase
    warm = finished_run(base_model=source, base_commit=None, initial_model="ab" * 32).base_model
    assert warm.endswith(", through the earlier model abababababababab")


def test_losses_leave_out_undefined_values() -> None:
    log = ({"step": 1, "loss": 4.0}, {"step": 2, "heldout_loss": None}, {"step": 3, "heldout_loss": 3.0})
    summary = finished_run(log=log)
    assert summary.losses == ((1, 4.0),)
    assert summary.held_out_losses == ((3, 3.0),)
