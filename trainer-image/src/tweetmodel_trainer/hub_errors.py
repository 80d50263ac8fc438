"""What it means when the Hugging Face Hub's client raises; who asked turns that into a reason and a sentence."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is its HTTP client's, whichever that is
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tweetmodel_trainer.failure import Failure

logger = logging.getLogger(__name__)

HubErrorKind = Literal["missing", "gated", "denied", "unreachable"]
"""Where it says that something is missing, it may be private too."""

MAX_DETAIL_CHARACTERS = 200
"""Characters."""

_MISSING = (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError)
_BUSY = (408, 429)
_NO_ANSWER = (HTTPError, OSError, RuntimeError)
"""The last is what its transfer library raises of the network."""
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError)
"""What the Hub's client, which trusts the Hub, stumbles over in an answer that is none."""


@contextmanager
def translate_hub_errors(
    failure: Callable[[HubErrorKind, str], Failure], but: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Within it, what the Hub's client raises becomes a failure, made of what it means and a few words on it."""
    try:
        yield
    except but:
        raise
    except (*_NO_ANSWER, *_NONSENSE) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        if not isinstance(error, _NO_ANSWER):
            logger.warning("an answer of the Hub is none of those that its client knows", exc_info=error)
        raise failure(*_meaning(error)) from None


def _meaning(error: Exception) -> tuple[HubErrorKind, str]:
    """What an error of the Hub's client means, and a few words on it."""
    if isinstance(error.__cause__, HTTPError) and not isinstance(error, HTTPError):
        error = error.__cause__  # wrapped where a copy on the disk was looked for, or a card was not accepted
    kind, words = _kind(error), type(error).__name__
    if isinstance(error, HfHubHTTPError):
        words = f"HTTP {error.response.status_code}"
        if kind != "unreachable" and error.server_message:
            words += f": {error.server_message}"
    elif isinstance(error, HFValidationError):
        words = str(error)
    elif not isinstance(error, _NO_ANSWER):
        words = "what came is none of its answers"
    return kind, " ".join(words.split())[:MAX_DETAIL_CHARACTERS]


def _kind(error: Exception) -> HubErrorKind:
    if isinstance(error, GatedRepoError):
        return "gated"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, _MISSING) or status == 404:
        return "missing"
    return "denied" if status and status < 500 and status not in _BUSY else "unreachable"
