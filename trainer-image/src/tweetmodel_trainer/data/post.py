"""A post as it came from a source, before cleaning.

Sources name their fields as X does (API v1.1 and v2, and the archive agree on most), so one function reads what
is beside the text: id, time, language, and whether the post answers somebody else.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_X_TIME = re.compile(
    r"\w{3} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d\d) (\d\d:\d\d:\d\d) \+0000 (\d{4})$", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", re.ASCII)


class Post(NamedTuple):
    """One post of one account; a tuple, since there may be millions."""

    handle: str
    id: str
    text: str
    created: str = ""
    """When it was written, as the source says it; empty where it doesn't."""
    language: str = ""
    """What X took its language for, such as "en"; empty where nobody says."""
    is_reply: bool = False
    """Whether it is known to answer somebody else's post."""
    is_numbered: bool = False
    """Whether its source names no id, so that the id is its number there."""


def from_fields(handle: str, text: str, fields: Mapping[str, object], number: int) -> Post:
    """The post that these fields describe; `number` is its id where they hold none."""
    named = _id(fields.get("id_str")) or _id(fields.get("id"))
    return Post(
        handle,
        named or str(number),
        text,
        str(fields.get("created_at") or ""),
        str(fields.get("lang") or ""),
        _answers_another(handle, fields),
        is_numbered=not named,
    )


def _id(value: object) -> str:
    """An id in words; empty where there is none: a missing number is NaN in some files."""
    return "" if value is None or value != value else str(value)


def _answers_another(handle: str, fields: Mapping[str, object]) -> bool:
    """Whether a post is a reply; who goes on in a thread of their own answers nobody."""
    whom = fields.get("in_reply_to_user_id")
    if not whom:
        return False
    name = str(fields.get("in_reply_to_screen_name") or "")
    return str(whom) != str(fields.get("author_id")) and name.lower() != handle.lower()


def to_utc_time(created: str) -> str:
    """The time that a source wrote, in UTC as 2018-10-10T20:19:24Z; empty where it can't be read or never was.

    X writes `Wed Oct 10 20:19:24 +0000 2018` in archives and ISO 8601 in API v2; a time of no zone is taken for UTC.
    """
    if match := _X_TIME.match(created):
        month, day, clock, year = match.groups()
        created = f"{year}-{_MONTHS.index(month) // 3 + 1:02d}-{day}T{clock}Z"
    if not _DATE.match(created):  # Python takes numbers for dates too
        return ""
    try:
        time = datetime.fromisoformat(created)
        if _UTC_TIME.match(created):  # as most are, and cut off three times as fast as written anew
            return f"{created[:19]}Z"
        in_utc = time.astimezone(UTC) if time.utcoffset() else time
    except (ValueError, OverflowError):
        return ""
    return f"{in_utc.isoformat()[:19]}Z"
