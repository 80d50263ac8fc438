"""What went wrong with a tracker, in a few words that quote nothing: a library's own may hold an address or a key."""

from pathlib import Path

_REFUSED = {401, 403}
_ABSENT = ("ConnectError", "ConnectionError", "ConnectTimeout", "ReadTimeout", "CommError", "Timeout", "NotSent")
_MLFLOW_STATUS = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403}


def words(error: Exception) -> str:
    """What an error comes to."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or _MLFLOW_STATUS.get(getattr(error, "error_code", ""))
    name = type(error).__name__
    if status in _REFUSED or name in ("AuthenticationError", "LocalTokenNotFoundError"):
        return "it refuses the key"
    if name in _ABSENT or _is_unanswered(error):
        return "it does not answer"
    return f"{name}, {status}" if isinstance(status, int) else name


def _is_unanswered(error: Exception) -> bool:
    """Whether the cause is one; MLflow and httpx wrap what their transport raised."""
    cause = error.__cause__ or error.__context__
    return isinstance(cause, Exception) and (type(cause).__name__ in _ABSENT or _is_unanswered(cause))


def told(folder: Path, what: str) -> None:
    """Writes it down for the run."""
    with (folder / "trouble").open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


def heard(folder: Path) -> str | None:
    """The first trouble of a tracker; None where there is none."""
    try:
        first, *_ = (folder / "trouble").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return None
    return first
