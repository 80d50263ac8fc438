"""Tests of the evaluation of a trained model, in numbers and in words."""

import json
import math

import pytest

from tweetmodel_trainer.evaluation.evaluation_report import MAX_DECIMAL, EvaluationReport, build_evaluation_report
from tweetmodel_trainer.evaluation.sample import Sample
from tweetmodel_trainer.evaluation.scores import ScoreComparison, Scores

POSTS = ["a gull took my sandwich and flew off to the north", "the kettle is on", "fog again, @bob"]
MIX = {"ada": POSTS, "bob": ["The kettle is on!", "so @ada"]}
TOKENS = {"ada": 30, "bob": 20}
HELD_OUT = ["the tide is late", "yesterday a gull took my sandwich and flew off to sea"]


def scores(loss: float, tokens: int = 100) -> Scores:
    return Scores(loss * tokens, tokens, tokens * 4)


def report_of(
    before: float = 6.0, after: float = 3.0, samples: tuple[str, ...] = ("a new thing", "new")
) -> EvaluationReport:
    comparison = ScoreComparison({"ada": scores(before)}, {"ada": scores(after)})
    drawn = [Sample("", text) for text in samples]
    return build_evaluation_report(comparison, TOKENS, drawn, {"ada": POSTS}, HELD_OUT)


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [(6, 3, "learned"), (6, 5.95, "barely learned"), (6, 6, "did not learn"), (6, 7, "did not learn")],
)
def test_the_message_states_whether_the_model_learned(before: float, after: float, outcome: str) -> None:
    report = report_of(before, after)
    assert report.learning_outcome == outcome
    assert report.message.startswith(f"The model {outcome}: perplexity on held-out posts went from 403.4 to ")
    assert ("Try other values" in report.message) is (outcome != "learned")


def test_the_message_warns_of_memorization() -> None:
    warning = "of the samples repeat a training post (among held-out posts of the author 50% do)"
    assert f"75% {warning}" not in report_of(samples=(*POSTS, "new")).message
    report = report_of(samples=(*POSTS, *(text + "!!" for text in POSTS)))
    assert f"100% {warning}" in report.message
    assert report.status.memorized_fraction == "1"


def test_scores_of_accounts_add_up() -> None:
    after = {"ada": scores(2, 300), "bob": scores(4, 100)}
    comparison = ScoreComparison({"ada": scores(6, 300), "bob": scores(6)}, after)
    assert comparison.total_after.loss == 2.5
    report = build_evaluation_report(comparison, TOKENS, [Sample("", "new")], MIX, HELD_OUT)
    by_account = report.to_json()["byAccount"]
    assert {handle: row["after"]["loss"] for handle, row in by_account.items()} == {"ada": 2, "bob": 4}
    assert report.status.loss == "2.5"


def test_each_account_has_its_own_figures() -> None:
    both = {"ada": scores(2), "bob": scores(4)}
    drawn = [Sample("", "the kettle is on"), Sample("", "a gull took my sandwich and flew off to the moon")]
    content = build_evaluation_report(ScoreComparison(both, both), TOKENS, drawn, MIX, HELD_OUT).to_json()
    ada, bob = (content["byAccount"][handle] for handle in ("ada", "bob"))
    assert (ada["memorizedFraction"], bob["memorizedFraction"]) == (1, 0.5)
    assert (content["samples"]["exactFraction"], content["samples"]["overlapFraction"]) == (0.5, 0.5)
    assert [row["textStats"]["mentions"] for row in (ada, bob)] == [pytest.approx(1 / 3), 0.5]
    assert content["textStats"]["author"]["mentions"] == 0.4
    assert (content["trainTokens"], ada["trainTokens"], bob["trainTokens"]) == (50, 30, 20)
    assert (content["heldOut"]["tokens"], ada["tokens"]) == (200, 100)


def test_variety_is_compared_over_equal_numbers_of_texts() -> None:
    """Bob has two posts; over all ten samples the distinct words of the model would be three of twenty."""
    both, drawn = {"ada": scores(2), "bob": scores(4)}, [Sample("", "gull one"), Sample("", "gull two")] * 5
    few = {"ada": POSTS, "bob": ["the kettle", "is on"]}
    report = build_evaluation_report(ScoreComparison(both, both), TOKENS, drawn, few, HELD_OUT)
    assert report.model_stats
    assert report.accounts["bob"].text_stats.distinct_1 == 1
    assert report.model_stats.distinct_1 == 0.75


def test_an_account_without_held_out_posts_has_no_scores() -> None:
    comparison = ScoreComparison({"ada": scores(2)}, {"ada": scores(2)})
    content = build_evaluation_report(comparison, TOKENS, [], MIX, HELD_OUT).to_json()
    assert "after" not in content["byAccount"]["bob"]
    assert content["byAccount"]["bob"]["trainTokens"] == 20


def test_model_statistics_are_those_of_samples_without_a_prompt() -> None:
    drawn = [Sample("", "hi @bob"), Sample("I'm", "I'm @ada")]
    comparison = ScoreComparison({"ada": scores(6)}, {"ada": scores(3)})
    report = build_evaluation_report(comparison, TOKENS, drawn, {"ada": POSTS}, HELD_OUT)
    assert report.model_stats
    assert (report.model_stats.texts, report.model_stats.characters) == (1, 7)
    assert report.author_stats.mentions == pytest.approx(1 / 3)


def test_an_evaluation_without_samples_has_no_model_statistics() -> None:
    report = report_of(samples=())
    assert report.model_stats is None
    assert report.status.memorized_fraction is None
    assert json.loads(json.dumps(report.to_json()))["samples"]["count"] == 0


def test_empty_held_out_posts_have_finite_figures() -> None:
    empty = {"ada": Scores(12.0, 4, 0)}
    report = build_evaluation_report(ScoreComparison(empty, empty), TOKENS, [], {"ada": POSTS}, HELD_OUT)
    assert report.status.bits_per_byte == "17.31"


def test_an_infinite_perplexity_is_written_as_a_number() -> None:
    report = report_of(before=800)
    assert math.isinf(report.scores.total_before.perplexity)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["heldOut"]["before"]["perplexity"] == MAX_DECIMAL
    assert report.status.perplexity_before == "9.999e+99"
