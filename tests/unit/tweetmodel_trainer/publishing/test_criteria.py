"""Tests of the criteria of a publication."""

import pytest

from tweetmodel_api.spec import PublishCriteria
from tweetmodel_api.status import Evaluation
from tweetmodel_trainer.publishing.criteria import rejection

NUMBERS = {"loss_before": "6", "loss": "3", "perplexity_before": "403.4", "perplexity": "20.09", "bits_per_byte": "1"}


@pytest.mark.parametrize(
    ("criteria", "memorized", "reason"),
    [
        ({}, "1", None),
        ({"maxPerplexity": "20.09"}, None, None),
        ({"maxPerplexity": "20.08"}, "0", "its perplexity 20.09 exceeds the maximum of 20.08"),
        ({"maxLoss": "3", "maxBitsPerByte": "1"}, None, None),
        ({"maxLoss": "2.9"}, None, "its held-out loss 3 exceeds the maximum of 2.9"),
        ({"maxLoss": "3.1", "maxBitsPerByte": "0.9"}, None, "its bits per byte 1 exceeds the maximum of 0.9"),
        ({"maxMemorizedFraction": "0.1"}, "0.1", None),
        (
            {"maxMemorizedFraction": "0.1"},
            "0.1001",
            "its memorized fraction 0.1001 exceeds the maximum of 0.1",
        ),
        ({"maxMemorizedFraction": "0"}, "0.0167", "its memorized fraction 0.0167 exceeds the maximum of 0"),
        ({"maxMemorizedFraction": "0.1"}, None, "its memorized fraction is unknown without samples"),
    ],
)
def test_a_model_that_exceeds_a_limit_is_rejected(
    criteria: dict[str, str], memorized: str | None, reason: str | None
) -> None:
    evaluation = Evaluation(**NUMBERS, memorized_fraction=memorized)
    assert rejection(PublishCriteria.model_validate(criteria), evaluation) == reason


def test_every_model_is_published_without_criteria() -> None:
    assert rejection(None, Evaluation(**NUMBERS)) is None


def test_a_model_must_be_better_than_the_current_model() -> None:
    evaluation = Evaluation.model_validate(NUMBERS)
    assert rejection(None, evaluation, baseline_loss="3.1") is None
    assert (
        rejection(None, evaluation, baseline_loss="3")
        == "its held-out loss 3 is not below 3, the loss of the current model"
    )
