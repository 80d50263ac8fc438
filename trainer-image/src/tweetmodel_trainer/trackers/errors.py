"""Describes errors of trackers in fixed words, since the text of a client's error may contain an address or a key."""

import re
from collections.abc import Iterator
from pathlib import Path

_DENIED = {401, 403}
_KEY_ERRORS = {"AuthenticationError", "LocalTokenNotFoundError"}
_NO_RESPONSE = {"ConnectError", "ConnectionError", "ConnectTimeout", "ReadTimeout", "CommError", "Timeout", "NotSent"}
_MLFLOW_CODES = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}
"""HTTP status of the error codes of MLflow."""


def describe(error: Exception) -> str:
    """Return the cause of an error in a few words."""
    name, status = type(error).__name__, _status(error)
    if isinstance(error, MemoryError):
        return "the client ran out of memory"
    if status in _DENIED or name in _KEY_ERRORS:
        return "the key is invalid or lacks permission"
    if status:
        return f"{name}, HTTP status {status}"
    if any(type(cause).__name__ in _NO_RESPONSE for cause in _causes(error)):
        return "no response"
    return name


def _status(error: Exception) -> int | None:
    """Return the HTTP status of an error. Errors of W&B contain the status only in their text."""
    if type(error).__name__ == "CommError":
        match = re.search(r"\b(?:error|HTTP) (\d{3})\b", str(error))
        if match:
            return int(match[1])
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None) or _MLFLOW_CODES.get(getattr(error, "error_code", ""))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all causes: MLflow and httpx wrap the errors of their transport."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


def record(error: Exception, folder: Path) -> None:
    """Append the description of an error to a file for the trainer."""
    with (folder / "errors").open("a", encoding="utf-8") as file:
        file.write(f"{describe(error)}\n")


def first_error(folder: Path) -> str | None:
    """Return the description of the first error of a tracker, or None if there was no error."""
    file = folder / "errors"
    return file.read_text(encoding="utf-8").partition("\n")[0] if file.exists() else None
