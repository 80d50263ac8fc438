"""What went wrong with a tracker, in a few words that quote nothing: a library's own may hold an address or a key."""

import re
from collections.abc import Iterator
from pathlib import Path

_REFUSED = {401, 403}
_KEY_ERRORS = {"AuthenticationError", "LocalTokenNotFoundError"}
_ABSENT = {"ConnectError", "ConnectionError", "ConnectTimeout", "ReadTimeout", "CommError", "Timeout", "NotSent"}
_MLFLOW = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}
"""Its words for a status."""


def words(error: Exception) -> str:
    """What an error comes to."""
    name, status = type(error).__name__, _status(error)
    if status in _REFUSED or name in _KEY_ERRORS:
        return "it refuses the key"
    if status:
        return f"{name}, {status}"
    return "it does not answer" if any(type(cause).__name__ in _ABSENT for cause in _causes(error)) else name


def _status(error: Exception) -> int | None:
    """The HTTP status behind an error; W&B has it in its text alone."""
    response = getattr(error, "response", None)
    told = re.search(r"\b(?:error|HTTP) (\d{3})\b", str(error)) if type(error).__name__ == "CommError" else None
    known = getattr(response, "status_code", None) or _MLFLOW.get(getattr(error, "error_code", ""))
    return int(told[1]) if told else known


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from: MLflow and httpx wrap what their transport raised."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


def tell(folder: Path, what: str) -> None:
    """Writes it down for the run."""
    with (folder / "trouble").open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


def heard(folder: Path) -> str | None:
    """The first trouble of a tracker; None where there is none."""
    file = folder / "trouble"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return lines[0] if lines else None
