"""Tests of scores on held-out posts."""

import math

import pytest
import torch

from small_models import TEXTS, TOKENIZER, small_model
from tweetmodel_trainer.evaluation.scoring import score_texts
from tweetmodel_trainer.models.tokens import encode


def test_each_token_of_a_long_text_is_scored_once() -> None:
    long = " ".join(TEXTS)
    assert len(encode(TOKENIZER, [long])[0]) > 3 * 64
    assert score_texts(small_model(), TOKENIZER, [long]).tokens == len(encode(TOKENIZER, [long])[0]) + 1


def test_the_loss_does_not_depend_on_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    together = score_texts(model, TOKENIZER, TEXTS)
    monkeypatch.setattr("tweetmodel_trainer.evaluation.scoring.MAX_BATCH_TOKENS", 1)
    alone = score_texts(model, TOKENIZER, TEXTS)
    assert together.tokens == alone.tokens == sum(len(ids) + 1 for ids in encode(TOKENIZER, TEXTS))
    assert together.loss == pytest.approx(alone.loss, rel=1e-5)


def test_uniform_predictions_score_the_logarithm_of_the_vocabulary() -> None:
    model = small_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    scores = score_texts(model, TOKENIZER, TEXTS)
    assert scores.loss == pytest.approx(math.log(len(TOKENIZER)), rel=1e-6)
    assert scores.perplexity == pytest.approx(len(TOKENIZER), rel=1e-5)
    assert scores.bits_per_byte == pytest.approx(
        math.log2(len(TOKENIZER)) * scores.tokens / sum(len(t) for t in TEXTS), rel=1e-6
    )
