"""The table of steps, and the remedies in their pods."""

import pytest

from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.steps import ACTIVE_REASONS, STEP_KINDS, STEP_NAMES, StepName, remedy


def test_every_step_has_a_kind() -> None:
    assert tuple(STEP_KINDS) == STEP_NAMES


def test_every_step_has_an_active_reason_of_its_own() -> None:
    assert len(ACTIVE_REASONS) == len(STEP_KINDS)


def test_only_training_and_sampling_use_the_resources_of_the_spec() -> None:
    assert {step for step, kind in STEP_KINDS.items() if kind.uses_spec_resources} == {"train", "sample"}
    assert all(kind.uses_spec_resources for kind in STEP_KINDS.values() if kind.trains or kind.samples)


@pytest.mark.parametrize("step", STEP_NAMES)
def test_the_remedy_depends_on_the_step(step: StepName) -> None:
    memory = REASONS[Reason.OUT_OF_MEMORY]
    advice = {"train": memory.advice, "sample": memory.sampling_advice}.get(step, memory.admin_advice)
    assert remedy(Reason.OUT_OF_MEMORY, step) == advice
    assert remedy(Reason.ACCESS_DENIED, step) == REASONS[Reason.ACCESS_DENIED].advice
