"""Decides when the sources are collected again, by spec.schedule, with fields as in a CronJob.

status.schedule.nextTime is the next due time. Once it has passed, it becomes lastTime, unless it is delayed or skipped.
lastTime is part of the id of a collection, so a new due time starts a new collect step. A collection with the same
posts gives the same data set and trains nothing.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from tweetmodel_api.cron import five_fields
from tweetmodel_api.spec import Schedule, TweetModelSpec
from tweetmodel_api.status import ScheduleStatus, TweetModelStatus
from tweetmodel_operator.times import format_time, parse_time, seconds_between

SECOND = timedelta(seconds=1)


def find_error(schedule: Schedule | None, now: datetime) -> str:
    """Return why a schedule is invalid, as a sentence without a full stop; empty if valid."""
    if schedule is None:
        return ""
    try:
        next_time(schedule, now)
    except CronSimError as error:
        return f"spec.schedule.cron {schedule.cron!r} is not a valid cron expression ({error}): correct the field"
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"spec.schedule.timeZone {schedule.time_zone!r} is unknown: correct the field"
    return ""


def advance(spec: TweetModelSpec, status: TweetModelStatus, is_held: bool, now: datetime) -> ScheduleStatus | None:
    """Return the status of the schedule at this time.

    A past due time becomes the last due time unless it is delayed. Of several missed due times only the latest
    counts, and none counts after startingDeadlineSeconds. Times before the schedule was set are never due.
    """
    old, schedule = status.schedule or ScheduleStatus(), spec.schedule
    last_time = parse_time(old.last_time)
    if schedule is None:  # the last due time is part of the identity of the data set
        return ScheduleStatus(last_time=old.last_time) if last_time else None
    due_time = parse_time(old.next_time)
    if due_time is None or not is_due_time(schedule, due_time) or due_time > now:
        after = max(now, last_time or now)  # a clock that is set back must not repeat a due time
        return _schedule_status(last_time, next_time(schedule, after))
    if is_delayed(spec, status, is_held):
        return old
    latest = max(due_time, _latest_time(schedule, now) or due_time)
    deadline = schedule.starting_deadline_seconds
    is_missed = deadline is not None and seconds_between(latest, now) > deadline
    return _schedule_status(last_time if is_missed else latest, next_time(schedule, now))


def _schedule_status(last_time: datetime | None, next_due_time: datetime | None) -> ScheduleStatus:
    return ScheduleStatus(
        last_time=last_time and format_time(last_time), next_time=next_due_time and format_time(next_due_time)
    )


def is_delayed(spec: TweetModelSpec, status: TweetModelStatus, is_held: bool) -> bool:
    """Return whether a due time is delayed: by a hold, by a pinned run, or by the active Job under Forbid."""
    if is_held or spec.pinned_run is not None:
        return True
    forbids = spec.schedule is not None and spec.schedule.concurrency_policy == "Forbid"
    return forbids and any(step.outcome == "Active" for step in status.steps)


def seconds_until_due(spec: TweetModelSpec, status: TweetModelStatus, is_held: bool, now: datetime) -> float | None:
    """Return the seconds until the next due time; None without a due time, or if an event ends the delay."""
    due_time = parse_time(status.schedule.next_time) if status.schedule else None
    if due_time is None or is_delayed(spec, status, is_held):
        return None
    return max(1.0, seconds_between(now, due_time))


def next_time(schedule: Schedule, now: datetime) -> datetime | None:
    """Return the next due time, or None if there is none."""
    return _nearest(schedule, now)


def is_due_time(schedule: Schedule, moment: datetime) -> bool:
    """Return whether a time is a due time of the schedule."""
    return _nearest(schedule, moment - SECOND) == moment


def _latest_time(schedule: Schedule, now: datetime) -> datetime | None:
    """Return the last due time in the past."""
    return _nearest(schedule, now + SECOND, before=True)


def _nearest(schedule: Schedule, moment: datetime, before: bool = False) -> datetime | None:
    """Return the first due time after a moment, or the last before."""
    local = moment.astimezone(ZoneInfo(schedule.time_zone))
    found = next(CronSim(five_fields(schedule.cron), local, reverse=before), None)
    return found.astimezone(UTC) if found else None
