"""What is said of a trained model, in numbers and in words."""

import json
import math

import pytest

from tweetmodel_trainer.evaluation.assessment import LARGEST, Assessment, assess
from tweetmodel_trainer.evaluation.sample import Sample
from tweetmodel_trainer.evaluation.scores import Scores, total

POSTS = ["a gull took my sandwich and flew off to the north", "the kettle is on", "fog again, @bob"]
MIX = {"ada": POSTS, "bob": ["The kettle is on!", "so @ada"]}
TOKENS = {"ada": 30, "bob": 20}
HELD_OUT = ["the tide is late", "yesterday a gull took my sandwich and flew off to sea"]


def scores(loss: float, tokens: int = 100) -> Scores:
    return Scores(loss * tokens, tokens, tokens * 4)


def assessed(before: float = 6.0, after: float = 3.0, samples: tuple[str, ...] = ("a new thing", "new")) -> Assessment:
    drawn = [Sample("", text) for text in samples]
    return assess({"ada": scores(before)}, {"ada": scores(after)}, drawn, {"ada": POSTS}, HELD_OUT, {"ada": 30})


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [(6, 3, "learnt"), (6, 5.95, "barely learnt"), (6, 6, "did not learn"), (6, 7, "did not learn")],
)
def test_the_sentence_says_whether_it_learnt_anything(before: float, after: float, verdict: str) -> None:
    told = assessed(before, after)
    assert told.verdict == verdict
    assert told.sentence.startswith(f"The model {verdict}: perplexity on held-out posts went from 403.4 to ")
    assert ("Try other values" in told.sentence) is (verdict != "learnt")


def test_a_model_that_recites_is_told_so() -> None:
    told = assessed(samples=(*POSTS, "new"))
    assert "75% of its samples repeat a training post (of the author's own other posts 50% do)" not in told.sentence
    told = assessed(samples=(*POSTS, *(text + "!!" for text in POSTS)))
    assert "100% of its samples repeat a training post (of the author's own other posts 50% do)" in told.sentence
    assert told.evaluation.memorized_fraction == "1"


def test_scores_of_accounts_add_up() -> None:
    both = {"ada": scores(2, 300), "bob": scores(4, 100)}
    assert total(both.values()).loss == 2.5
    told = assess({"ada": scores(6, 300), "bob": scores(6)}, both, [Sample("", "new")], MIX, HELD_OUT, TOKENS)
    by_author = told.to_json()["byAuthor"]
    assert {handle: row["after"]["loss"] for handle, row in by_author.items()} == {"ada": 2, "bob": 4}
    assert told.evaluation.loss == "2.5"


def test_each_author_of_a_mix_is_told_apart() -> None:
    both = {"ada": scores(2), "bob": scores(4)}
    drawn = [Sample("", "the kettle is on"), Sample("", "a gull took my sandwich and flew off to the moon")]
    told = assess(both, both, drawn, MIX, HELD_OUT, TOKENS).to_json()
    ada, bob = (told["byAuthor"][handle] for handle in ("ada", "bob"))
    assert (ada["copiedBySamples"], bob["copiedBySamples"]) == (1, 0.5)
    assert (told["samples"]["exactCopies"], told["samples"]["overlaps"]) == (0.5, 0.5)
    assert [row["voice"]["mentions"] for row in (ada, bob)] == [pytest.approx(1 / 3), 0.5]
    assert told["voice"]["author"]["mentions"] == 0.4
    assert (told["trainTokens"], ada["trainTokens"], bob["trainTokens"]) == (50, 30, 20)
    assert (told["heldOut"]["tokens"], ada["tokens"]) == (200, 100)


def test_variety_is_compared_over_equally_many_texts_also_where_an_account_has_few() -> None:
    """Bob has two posts; over all ten samples the model's words would be three of twenty."""
    both, drawn = {"ada": scores(2), "bob": scores(4)}, [Sample("", "gull one"), Sample("", "gull two")] * 5
    few = {"ada": POSTS, "bob": ["the kettle", "is on"]}
    told = assess(both, both, drawn, few, HELD_OUT, TOKENS)
    assert told.model
    assert told.authors["bob"].voice.distinct_1 == 1
    assert told.model.distinct_1 == 0.75


def test_an_account_of_which_nothing_was_held_out_is_told_of_without_a_score() -> None:
    told = assess({"ada": scores(2)}, {"ada": scores(2)}, [], MIX, HELD_OUT, TOKENS).to_json()
    assert "after" not in told["byAuthor"]["bob"]
    assert told["byAuthor"]["bob"]["trainTokens"] == 20


def test_the_voice_of_the_model_is_that_of_its_unprompted_samples() -> None:
    drawn = [Sample("", "hi @bob"), Sample("I'm", "I'm @ada")]
    told = assess({"ada": scores(6)}, {"ada": scores(3)}, drawn, {"ada": POSTS}, HELD_OUT, {"ada": 30})
    assert told.model
    assert (told.model.texts, told.model.characters) == (1, 7)
    assert told.author.mentions == pytest.approx(1 / 3)


def test_without_samples_nothing_is_said_of_them() -> None:
    told = assessed(samples=())
    assert told.model is None
    assert told.evaluation.memorized_fraction is None
    assert json.loads(json.dumps(told.to_json()))["samples"]["count"] == 0


def test_an_account_whose_held_out_posts_are_all_empty_has_figures() -> None:
    empty = {"ada": Scores(12.0, 4, 0)}
    told = assess(empty, empty, [], {"ada": POSTS}, HELD_OUT, {"ada": 30})
    assert told.evaluation.bits_per_byte == "17.31"


def test_an_infinite_perplexity_stays_a_number() -> None:
    told = assessed(before=800)
    assert math.isinf(total(told.before.values()).perplexity)
    assert json.loads(json.dumps(told.to_json(), allow_nan=False))["heldOut"]["before"]["perplexity"] == LARGEST
    assert told.evaluation.perplexity_before == "9.999e+99"
