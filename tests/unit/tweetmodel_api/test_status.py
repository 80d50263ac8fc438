"""Access to conditions of a status."""

import pytest

from makers import NOW, finished_status
from tweetmodel_api.status import Condition, TweetModelStatus

CONDITION = Condition(
    type="Ready", status="False", reason="Suspended", message="", last_transition_time=NOW, observed_generation=1
)
STATUS = TweetModelStatus(observed_generation=1, conditions=(CONDITION,))


def test_a_condition_is_found_by_its_type() -> None:
    assert STATUS.condition("Ready") is CONDITION
    assert STATUS.condition("Stalled") is None


@pytest.mark.parametrize(("status", "is_true"), [("True", True), ("False", False), ("Unknown", False)])
def test_only_the_status_true_is_true(status: str, is_true: bool) -> None:
    condition = CONDITION.model_copy(update={"status": status})
    assert STATUS.model_copy(update={"conditions": (condition,)}).is_true("Ready") is is_true
    assert not STATUS.is_true("Stalled")


def test_a_status_is_unchanged_by_json_without_defaults() -> None:
    status = finished_status()
    written = status.model_dump_json(by_alias=True, exclude_defaults=True)
    assert TweetModelStatus.model_validate_json(written) == status
