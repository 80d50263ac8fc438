"""Which models are good enough to be published."""

import pytest

from tweetmodel_api.spec import PublishWhen
from tweetmodel_api.status import Evaluation
from tweetmodel_trainer.gate import refusal

NUMBERS = {"loss_before": "6", "loss": "3", "perplexity_before": "403.4", "perplexity": "20.09", "bits_per_byte": "1"}


@pytest.mark.parametrize(
    ("when", "copied", "why"),
    [
        ({}, "1", None),
        ({"perplexityBelow": "20.1"}, None, None),
        ({"perplexityBelow": "20.09"}, "0", "its perplexity 20.09 is not below 20.09"),
        ({"lossBelow": "3.1", "bitsPerByteBelow": "1.1"}, None, None),
        ({"lossBelow": "3"}, None, "its held-out loss 3 is not below 3"),
        ({"lossBelow": "3.1", "bitsPerByteBelow": "0.9"}, None, "its bits per byte 1 is not below 0.9"),
        ({"maxCopyShare": "0.1"}, "0.1", None),
        ({"maxCopyShare": "0.1"}, "0.1001", "the share 0.1001 of its samples repeats a post, and 0.1 is allowed"),
        ({"maxCopyShare": "0"}, "0.0167", "the share 0.0167 of its samples repeats a post, and 0 is allowed"),
        ({"maxCopyShare": "0.1"}, None, "without samples nobody knows what it copies"),
    ],
)
def test_a_model_is_published_only_where_its_numbers_allow_it(
    when: dict[str, str], copied: str | None, why: str | None
) -> None:
    evaluation = Evaluation(**NUMBERS, copy_share=copied)
    assert refusal(PublishWhen.model_validate(when), evaluation) == why


def test_without_conditions_every_model_is_published() -> None:
    assert refusal(None, Evaluation(**NUMBERS)) is None


def test_a_model_that_is_no_better_than_the_present_one_is_not_published() -> None:
    evaluation = Evaluation.model_validate(NUMBERS)
    assert refusal(None, evaluation, beat="3.1") is None
    assert refusal(None, evaluation, beat="3") == "its held-out loss 3 is not below 3, that of the present model"
