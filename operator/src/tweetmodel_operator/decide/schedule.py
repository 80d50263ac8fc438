"""When a TweetModel looks at its sources again: spec.schedule, with the meaning that CronJob gives its fields.

The status says when it is due next, and that stays there until the time is taken or passed over. A due time that is
taken names a collection; from there on all is as ever: equal posts are the same data set, which trains nothing.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from tweetmodel_api.cron import five_fields
from tweetmodel_api.spec import Schedule, TweetModelSpec
from tweetmodel_api.status import ScheduleStatus, TweetModelStatus
from tweetmodel_operator.state import seconds_between

SECOND = timedelta(seconds=1)


def problem(schedule: Schedule | None, now: str) -> str:
    """Why a schedule can't be followed, as a sentence without its end; empty where it can."""
    if schedule is None:
        return ""
    try:
        next_time(schedule, now)
    except CronSimError as error:
        return f"spec.schedule.cron {schedule.cron!r} is not a valid cron expression ({error})"
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"spec.schedule.timeZone {schedule.time_zone!r} is not known"
    return ""


def turn(spec: TweetModelSpec, before: TweetModelStatus, now: str) -> ScheduleStatus | None:
    """Where the schedule stands now: a due time that has come is taken, unless something holds it up.

    Of several that were missed the last one counts, unless it is too long ago. Nothing was due before the schedule.
    """
    old, schedule = before.schedule or ScheduleStatus(), spec.schedule
    if schedule is None:  # what was collected stays known by its due time
        return ScheduleStatus(last_time=old.last_time) if old.last_time else None
    due = old.next_time if old.next_time and is_due_time(schedule, old.next_time) else None
    if due is None or due > now:
        after = max(now, old.last_time or now)  # a clock that is set back brings no due time back
        return ScheduleStatus(last_time=old.last_time, next_time=next_time(schedule, after))
    if is_held_up(spec, before):
        return old
    latest = max(due, _latest_time(schedule, now) or due)
    deadline = schedule.starting_deadline_seconds
    missed = deadline is not None and seconds_between(latest, now) > deadline
    return ScheduleStatus(last_time=old.last_time if missed else latest, next_time=next_time(schedule, now))


def is_held_up(spec: TweetModelSpec, status: TweetModelStatus) -> bool:
    """Whether a due time would wait: for a person, or with Forbid for the Job at work."""
    working = status.attempt is not None and status.attempt.outcome == "Active"
    forbids = spec.schedule is not None and spec.schedule.concurrency_policy == "Forbid"
    return spec.suspend or spec.pinned_run is not None or (working and forbids)


def wake_after(spec: TweetModelSpec, status: TweetModelStatus, now: str) -> float | None:
    """Seconds until a due time is to be taken; None where nothing is due, or the end of what holds it up wakes it."""
    following = status.schedule.next_time if status.schedule else None
    return max(1.0, seconds_between(now, following)) if following and not is_held_up(spec, status) else None


def next_time(schedule: Schedule, now: str) -> str | None:
    """The next due time, RFC 3339 in UTC; None where there is none."""
    return _nearest(schedule, _parse(now))


def is_due_time(schedule: Schedule, moment: str) -> bool:
    """Whether the schedule has this due time."""
    return _nearest(schedule, _parse(moment) - SECOND) == moment


def _latest_time(schedule: Schedule, now: str) -> str | None:
    """The last due time that has come."""
    return _nearest(schedule, _parse(now) + SECOND, before=True)


def _nearest(schedule: Schedule, moment: datetime, before: bool = False) -> str | None:
    """The first due time after a moment, or the last one before it."""
    local = moment.astimezone(ZoneInfo(schedule.time_zone))
    found = next(CronSim(five_fields(schedule.cron), local, reverse=before), None)
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if found else None


def _parse(moment: str) -> datetime:
    return datetime.fromisoformat(moment)
