"""Tests of the training result."""

from hypothesis import given
from hypothesis import strategies as st

from finished import training_result
from tweetmodel_trainer.evaluation.scores import ScoreComparison, Scores
from tweetmodel_trainer.training.result import TrainingResult

finite = st.floats(0, allow_infinity=False, allow_nan=False)
scores = st.builds(Scores, finite, st.integers(1, 10**9), st.integers(0, 10**9))
by_account = st.dictionaries(st.sampled_from(["ada", "bob"]), scores, min_size=1)
rows = st.dictionaries(st.sampled_from(["step", "loss", "heldout_loss", "time"]), st.none() | finite)


@given(by_account, by_account, st.lists(rows, max_size=3).map(tuple))
def test_json_restores_the_result_exactly(
    before: dict[str, Scores], after: dict[str, Scores], log: tuple[dict[str, float | None], ...]
) -> None:
    result = training_result(scores=ScoreComparison(before, after), log=log)
    assert TrainingResult.model_validate_json(result.model_dump_json(by_alias=True, indent=2)) == result


def test_the_note_names_the_step_of_the_kept_weights() -> None:
    assert training_result().note == ""
    assert "the weights of step 130 of 390" in training_result(kept_step=130).note
