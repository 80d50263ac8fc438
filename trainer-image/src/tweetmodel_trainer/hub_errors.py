"""Translates the errors of the Hugging Face Hub's client into failures of a step."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of the HTTP library in use
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tweetmodel_trainer.failure import Failure, is_disk_full

logger = logging.getLogger(__name__)

HubErrorKind = Literal["missing", "gated", "denied", "unreachable"]
"""Kind of an error. "missing" includes private repositories, since the Hub hides them."""

MAX_DETAIL_CHARACTERS = 200

_MISSING = (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError)
_TRANSIENT_STATUS = (408, 429)
_REQUEST_ERRORS = (HTTPError, OSError, RuntimeError)
"""Errors of a request. The transfer library of the client raises RuntimeError for network errors."""
_PARSE_ERRORS = (ValueError, TypeError, LookupError, AttributeError)
"""Errors of the client in parsing an unexpected response; the client does not validate responses."""


@contextmanager
def translate_hub_errors(
    failure: Callable[[HubErrorKind, str], Failure], passed_on: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn errors of the Hub's client in the `with` block into failures.

    Args:
        failure: returns the failure for a kind of error and a detail for the message.
        passed_on: errors to raise unchanged.

    Raises:
        Failure: the result of `failure`.
        OSError: the disk is full.
    """
    try:
        yield
    except passed_on:
        raise
    except (*_REQUEST_ERRORS, *_PARSE_ERRORS) as error:
        if is_disk_full(error):
            raise
        if not isinstance(error, _REQUEST_ERRORS):
            logger.warning("unexpected response from the Hugging Face Hub", exc_info=error)
        cause = _cause(error)
        raise failure(_kind(cause), _detail(cause)) from None


def _cause(error: Exception) -> Exception:
    """Return the HTTP error that caused an error of the client, else the error.

    After a failed request the client may raise an error about a missing local copy or an invalid model card.
    """
    cause = error.__cause__
    if isinstance(cause, HTTPError) and not isinstance(error, HTTPError):
        return cause
    return error


def _detail(error: Exception) -> str:
    """Return a short description of an error, for the parentheses of a message."""
    detail = type(error).__name__
    if isinstance(error, HfHubHTTPError):
        detail = f"HTTP {error.response.status_code}"
        if error.server_message and _kind(error) != "unreachable":
            detail += f": {error.server_message}"
    elif isinstance(error, HFValidationError):
        detail = str(error)
    elif not isinstance(error, _REQUEST_ERRORS):
        detail = "unexpected response"
    return " ".join(detail.split())[:MAX_DETAIL_CHARACTERS]


def _kind(error: Exception) -> HubErrorKind:
    if isinstance(error, GatedRepoError):
        return "gated"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, _MISSING) or status == 404:
        return "missing"
    if status and status < 500 and status not in _TRANSIENT_STATUS:
        return "denied"
    return "unreachable"
