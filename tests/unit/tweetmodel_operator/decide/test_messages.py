"""Messages of conditions."""

from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_operator.decide.messages import explain, sentences


def test_each_part_becomes_one_sentence() -> None:
    assert sentences("Job a failed", "", "no room.", "Run `b`..") == "Job a failed. no room. Run `b`."


def test_a_reason_is_explained_by_meaning_cause_and_remedy() -> None:
    info = REASONS[Reason.UNSCHEDULABLE]
    assert explain(Reason.UNSCHEDULABLE, "train", "0/1 nodes") == f"{info.meaning} 0/1 nodes. {info.advice}"


def test_steps_with_the_administrators_resources_have_a_remedy_of_their_own() -> None:
    assert REASONS[Reason.OUT_OF_MEMORY].admin_advice in explain(Reason.OUT_OF_MEMORY, "collect")


def test_a_remedy_for_the_case_replaces_the_general_one() -> None:
    message = explain(Reason.SECRET_INVALID, "train", advice="Add the key token")
    assert message == f"{REASONS[Reason.SECRET_INVALID].meaning} Add the key token."
