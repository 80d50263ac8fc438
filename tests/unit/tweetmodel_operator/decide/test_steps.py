"""Holds, steps, and the answers that satisfy a step."""

import pytest

from makers import dataset, model, spec, success
from tweetmodel_api.identities import generation_hash, publish_hash
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.status import Publication
from tweetmodel_api.steps import STEP_KINDS, StepName
from tweetmodel_operator.decide.steps import Step, StepState, active, complete_step, hold_for, is_published
from tweetmodel_operator.observed import PolicyResult

PUBLISH_HASH = publish_hash(spec(publish={"huggingFace": {"secretRef": {"name": "hub"}}})) or ""
PUBLISHED = model("a" * 16).model_copy(update={"publication": Publication(spec_hash=PUBLISH_HASH)})


@pytest.mark.parametrize(
    ("suspend", "violation", "reason", "deletes_jobs"),
    [
        (True, "", Reason.SUSPENDED, False),
        (False, "gpus 8 are too many", Reason.NOT_ALLOWED, True),
        (True, "gpus 8 are too many", Reason.NOT_ALLOWED, True),
    ],
    ids=["suspended", "forbidden", "both"],
)
def test_a_suspension_or_a_violation_holds_all_jobs(
    suspend: bool, violation: str, reason: Reason, deletes_jobs: bool
) -> None:
    hold = hold_for(spec(suspend=suspend), PolicyResult(violation))
    assert hold
    assert (hold.reason, hold.deletes_jobs) == (reason, deletes_jobs)
    assert hold.message == (violation or "spec.suspend is true")


def test_an_allowed_spec_is_not_held() -> None:
    assert hold_for(spec(), PolicyResult()) is None


@pytest.mark.parametrize(
    ("step", "generation", "publish", "is_answered"),
    [
        ("train", "another", PUBLISH_HASH, True),
        ("sample", generation_hash(spec()), PUBLISH_HASH, True),
        ("sample", "another", None, False),
        ("publish", "another", None, True),
        ("publish", "another", PUBLISH_HASH, False),
    ],
    ids=["train", "sampled", "other-samples", "nothing-to-publish", "unpublished"],
)
def test_a_step_is_answered_by_a_model_with_the_required_result(
    step: StepName, generation: str, publish: str | None, is_answered: bool
) -> None:
    required = Step(step, "a" * 16, "b" * 16, generation_hash=generation, publish_hash=publish)
    assert required.is_satisfied_by(model("a" * 16)) is is_answered
    assert not required.is_satisfied_by(None)


@pytest.mark.parametrize(
    ("publish", "is_done"), [(None, True), (PUBLISH_HASH, True), ("another", False)], ids=["none", "same", "another"]
)
def test_a_publication_is_done_for_its_own_settings_only(publish: str | None, is_done: bool) -> None:
    assert is_published(PUBLISHED, publish) is is_done


def test_a_complete_step_has_a_message() -> None:
    assert complete_step("train", "a" * 16, "It is ready.").is_complete
    assert not Step("train", "a" * 16, "b" * 16).is_complete


def test_a_state_has_the_results_of_its_report() -> None:
    state = StepState("Succeeded", Reason.SUCCEEDED, "", success(dataset=dataset(), model=model("a" * 16)))
    assert (state.dataset, state.model, state.succeeded) == (dataset(), model("a" * 16), True)
    without = StepState("Active", Reason.TRAINING, "")
    assert (without.dataset, without.model, without.succeeded) == (None, None, False)


@pytest.mark.parametrize("step", STEP_KINDS)
def test_an_active_step_has_the_reason_of_its_kind(step: StepName) -> None:
    reason = STEP_KINDS[step].active_reason
    assert active(step) == StepState("Active", reason, REASONS[reason].meaning)
