"""The table of reasons."""

import pytest

from tweetmodel_api.reasons import PERMANENT_EXIT_CODES, REASONS, ExitCode, Reason


def test_every_reason_is_described() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_meaning_and_advice_are_sentences(reason: Reason) -> None:
    info = REASONS[reason]
    assert info.meaning.endswith(".")
    assert info.advice.endswith(".")
    assert not info.admin_advice or info.admin_advice.endswith(".")


def test_a_retry_can_help_after_every_temporary_failure() -> None:
    temporary = [info for info in REASONS.values() if info.exit_code in (ExitCode.TEMPORARY, ExitCode.INTERRUPTED)]
    assert all(info.retry_can_succeed for info in temporary)
    assert not {ExitCode.DONE, ExitCode.BUG, ExitCode.TEMPORARY, ExitCode.INTERRUPTED} & set(PERMANENT_EXIT_CODES)
