"""The table of steps."""

from typing import get_args

from tweetmodel_api.identities import StepName
from tweetmodel_operator.step_kinds import ACTIVE_REASONS, STEP_KINDS


def test_every_step_has_a_kind() -> None:
    assert set(STEP_KINDS) == set(get_args(StepName))


def test_every_step_has_an_active_reason_of_its_own() -> None:
    assert len(ACTIVE_REASONS) == len(STEP_KINDS)


def test_only_training_and_sampling_use_a_gpu() -> None:
    assert {step for step, kind in STEP_KINDS.items() if kind.uses_gpu} == {"train", "sample"}
    assert all(kind.uses_gpu for kind in STEP_KINDS.values() if kind.trains)
