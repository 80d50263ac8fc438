"""A post before cleaning, and the common fields of all sources.

Most sources use X's field names (API v1.1, API v2 and the archive mostly agree), so one function reads the fields
beside the text: id, time, language, and the recipient of a reply.
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
    """A post of an account. A tuple, since a data set may have millions of posts."""

    handle: str
    id: str
    text: str
    created: str = ""
    """Time of the post in the notation of the source; empty if unknown."""
    language: str = ""
    """Language code by X, such as "en"; empty if unknown."""
    is_reply: bool = False
    """True if the source marks the post as a reply to another account."""
    is_numbered: bool = False
    """True if the source has no ids, and `id` is the number of the row."""
    author: str = ""
    """Handle of the author in an upstream data set; empty if `handle` is the author."""


def from_fields(handle: str, text: str, fields: Mapping[str, object], number: int) -> Post:
    """Return the post with these fields.

    Args:
        handle: handle of the account.
        text: text of the post.
        fields: the other fields, by X's names.
        number: number of the row, used if the fields contain no id.
    """
    id_ = _as_id(fields.get("id_str")) or _as_id(fields.get("id"))
    return Post(
        handle,
        id_ or str(number),
        text,
        str(fields.get("created_at") or ""),
        str(fields.get("lang") or ""),
        _is_reply_to_other(handle, fields),
        is_numbered=not id_,
    )


def _as_id(value: object) -> str:
    """Return an id as a string; empty for None and for NaN, the missing number of some formats."""
    return "" if value is None or value != value else str(value)


def _is_reply_to_other(handle: str, fields: Mapping[str, object]) -> bool:
    """Return whether a post is a reply to another account, not a continued thread."""
    user_id = fields.get("in_reply_to_user_id")
    if not user_id:
        return False
    name = str(fields.get("in_reply_to_screen_name") or "")
    return str(user_id) != str(fields.get("author_id")) and name.lower() != handle.lower()


def to_utc_time(created: str) -> str:
    """Return the time of a post in UTC, as 2018-10-10T20:19:24Z; empty if the time is invalid.

    Args:
        created: `Wed Oct 10 20:19:24 +0000 2018`, as in X's archives, or ISO 8601, as in API v2. A time without a zone
            is taken as UTC.
    """
    if match := _X_TIME.match(created):
        month, day, clock, year = match.groups()
        created = f"{year}-{_MONTHS.index(month) // 3 + 1:02d}-{day}T{clock}Z"
    if not _DATE.match(created):  # fromisoformat accepts plain numbers too
        return ""
    try:
        time = datetime.fromisoformat(created)
        if _UTC_TIME.match(created):  # the common case: slicing is three times as fast as formatting
            return f"{created[:19]}Z"
        in_utc = time.astimezone(UTC) if time.utcoffset() else time
    except (ValueError, OverflowError):
        return ""
    return f"{in_utc.isoformat()[:19]}Z"
