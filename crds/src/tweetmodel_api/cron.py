"""Translates cron expressions of CronJobs (github.com/robfig/cron, parser.go) into the syntax of cronsim."""

import re

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def five_fields(cron: str) -> str:
    """Return the expression with macros and steps of days expanded; an invalid expression stays unchanged."""
    fields = cron.split()
    if len(fields) != 5:
        return MACROS.get(" ".join(fields), cron)
    minute, hour, day, month, weekday = (field.replace("?", "*") for field in fields)
    return " ".join((minute, hour, _expand_days(day, 1, 31), month, _expand_days(weekday, 0, 6)))


def _expand_days(field: str, first: int, last: int) -> str:
    """Expand the steps in a field of days.

    In cron a day matches one of the two fields of days, unless one of them is a plain star: then only the other
    counts. A field such as */2 is no plain star, and is therefore expanded.
    """
    items = field.split(",")
    if any(re.fullmatch(r"\*(/0*1)?", item) for item in items):
        return "*"
    return ",".join(_expand_step(item, first, last) for item in items)


def _expand_step(item: str, first: int, last: int) -> str:
    begin, _, step = item.partition("/")
    if not step.isdecimal() or not int(step):
        return item
    if begin == "*":
        start = first
    elif begin.isdecimal():
        start = int(begin)
    elif begin.upper() in _WEEKDAYS:
        start = _WEEKDAYS.index(begin.upper())
    else:
        return item  # a range
    return ",".join(map(str, range(start, last + 1, int(step)))) or item
