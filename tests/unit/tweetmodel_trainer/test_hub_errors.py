import errno
from unittest.mock import Mock

import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.hub_errors import MAX_DETAIL_CHARACTERS, HubErrorKind, translate_hub_errors


def failure(kind: HubErrorKind, detail: str) -> Failure:
    return Failure(Reason.HUB_UNREACHABLE, f"{kind} ({detail})")


def http_error(status: int, message: str = "", kind: type[HfHubHTTPError] = HfHubHTTPError) -> HfHubHTTPError:
    return kind("error", response=Mock(status_code=status, headers={}), server_message=message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (http_error(404, "no such\nfile"), "missing (HTTP 404: no such file)"),
        (http_error(401, "", RepositoryNotFoundError), "missing (HTTP 401)"),
        (http_error(403, "", GatedRepoError), "gated (HTTP 403)"),
        (http_error(403, "no rights"), "denied (HTTP 403: no rights)"),
        (http_error(429, "slower"), "unreachable (HTTP 429)"),
        (http_error(503, "down"), "unreachable (HTTP 503)"),
        (HFValidationError("bad name"), "missing (bad name)"),
        (OSError("reset"), "unreachable (OSError)"),
        (RuntimeError("transfer"), "unreachable (RuntimeError)"),
        (KeyError("files"), "unreachable (unexpected response)"),
    ],
    ids=lambda value: "" if isinstance(value, Exception) else value,
)
def test_error_is_translated(error: Exception, message: str) -> None:
    with pytest.raises(Failure) as raised, translate_hub_errors(failure):
        raise error
    assert str(raised.value) == message


def test_http_error_behind_another_one_decides() -> None:
    with pytest.raises(Failure, match="denied"), translate_hub_errors(failure):
        raise ValueError("no local copy") from http_error(403)


def test_detail_is_limited() -> None:
    with pytest.raises(Failure) as raised, translate_hub_errors(failure):
        raise http_error(403, "x" * 1000)
    assert len(str(raised.value)) == len("denied ()") + MAX_DETAIL_CHARACTERS


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space left"), KeyError("chosen"), ZeroDivisionError()])
def test_full_disk_chosen_and_unrelated_errors_are_passed_on(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translate_hub_errors(failure, (KeyError,)):
        raise error
    assert raised.value is error
