"""Tests of scores on held-out posts."""

import math

import pytest

from tweetmodel_trainer.evaluation.scores import MAX_LOSS, ScoreComparison, Scores


def test_scores_are_means_over_tokens_and_bytes() -> None:
    scores = Scores(nats=8 * math.log(2), tokens=4, bytes=16)
    assert scores.loss == pytest.approx(2 * math.log(2))
    assert scores.perplexity == pytest.approx(4)
    assert scores.bits_per_byte == pytest.approx(0.5)


def test_the_total_weights_accounts_by_their_tokens() -> None:
    before = {"ada": Scores(60.0, 30, 100), "bob": Scores(10.0, 10, 50)}
    comparison = ScoreComparison(before, {"ada": Scores(30.0, 30, 100)})
    assert comparison.total_before == Scores(70.0, 40, 150)
    assert comparison.total_after == Scores(30.0, 30, 100)


def test_the_perplexity_of_a_very_high_loss_is_infinite() -> None:
    assert Scores(MAX_LOSS, 1, 1).perplexity == math.inf
    assert math.isfinite(Scores(MAX_LOSS - 1, 1, 1).perplexity)
