"""Times of the Kubernetes API: RFC 3339 text in JSON, aware datetimes everywhere else."""

from datetime import UTC, datetime


def parse_time(text: str | None) -> datetime | None:
    """Parse a time of the API server; None for an absent field."""
    return datetime.fromisoformat(text) if text else None


def format_time(moment: datetime) -> str:
    """Return a time as the API server writes metav1.Time: in UTC, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_between(earlier: datetime, later: datetime) -> float:
    """Return the seconds between two times."""
    return (later - earlier).total_seconds()
