"""The table of reasons."""

import pytest

from tweetmodel_api.reasons import PERMANENT, REASONS, ExitCode, Reason, ReasonInfo


def test_every_reason_is_described() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_meaning_and_advice_are_sentences(reason: Reason) -> None:
    info = REASONS[reason]
    assert info.meaning.endswith(".")
    assert info.advice.endswith(".")
    assert not info.cpu_advice or info.cpu_advice.endswith(".")


def test_a_retry_can_help_after_every_temporary_failure() -> None:
    temporary = [info for info in REASONS.values() if info.exit_code in (ExitCode.TEMPORARY, ExitCode.INTERRUPTED)]
    assert all(info.retry for info in temporary)
    assert not {ExitCode.DONE, ExitCode.BUG, ExitCode.TEMPORARY, ExitCode.INTERRUPTED} & set(PERMANENT)


@pytest.mark.parametrize(
    ("step", "advice"),
    [("collect", "cpu"), ("publish", "cpu"), ("purge", "cpu"), ("train", "gpu"), ("sample", "gpu")],
)
def test_the_advice_depends_on_the_resources_of_the_step(step: str, advice: str) -> None:
    assert ReasonInfo("meaning", "gpu", cpu_advice="cpu").advice_for(step) == advice
    assert ReasonInfo("meaning", "both").advice_for(step) == "both"
