"""When a TweetModel looks at its sources again: spec.schedule, with the meaning that CronJob gives its fields.

A due time is taken once, in the status, and names a collection; from there on all is as ever: equal posts are the
same data set, and the same data set trains nothing.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from tweetmodel_api.spec import Schedule
from tweetmodel_api.status import TweetModelStatus
from tweetmodel_operator.state import Observed


def problem(schedule: Schedule | None, now: str) -> str:
    """Why a schedule can't be followed, as a sentence without its end; empty where it can."""
    try:
        if schedule:
            next_time(schedule, now)
    except CronSimError as error:
        return f"spec.schedule.cron {schedule.cron!r} is no cron expression ({error})" if schedule else ""
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"spec.schedule.timeZone {schedule.time_zone!r} is not known" if schedule else ""
    return ""


def taken(observed: Observed, before: TweetModelStatus, now: str) -> str:
    """The due time that the present collection is for; empty before the first.

    While a Job is at work a due time waits (Forbid) or overtakes it (Replace); of several that were missed the last
    one counts, unless it is too long ago.
    """
    spec = observed.spec
    last = before.schedule.last_time if before.schedule and before.schedule.last_time else ""
    if spec is None or spec.schedule is None or spec.suspend or spec.pinned_run:
        return last
    working = before.attempt is not None and before.attempt.outcome == "Active"
    if working and spec.schedule.concurrency_policy == "Forbid":
        return last
    latest = _latest_time(spec.schedule, now)
    if latest is None or latest <= _parse(last or observed.created or now):
        return last
    deadline = spec.schedule.starting_deadline_seconds
    late = (_parse(now) - latest).total_seconds()
    return last if deadline is not None and late > deadline else _format(latest)


def next_time(schedule: Schedule, now: str) -> str | None:
    """The next due time, RFC 3339 in UTC; None where there is none, such as the 30th of February."""
    moment = next(CronSim(schedule.cron, _local(schedule, now)), None)
    return _format(moment) if moment else None


def seconds_until(moment: str, now: str) -> float:
    """How long it is until then."""
    return (_parse(moment) - _parse(now)).total_seconds()


def _latest_time(schedule: Schedule, now: str) -> datetime | None:
    """The last due time that has come."""
    just_after = _local(schedule, now) + timedelta(seconds=1)
    return next(CronSim(schedule.cron, just_after, reverse=True), None)


def _local(schedule: Schedule, now: str) -> datetime:
    return _parse(now).astimezone(ZoneInfo(schedule.time_zone))


def _parse(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def _format(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")
