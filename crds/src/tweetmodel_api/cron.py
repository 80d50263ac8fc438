"""Cron expressions as CronJob reads them (github.com/robfig/cron, parser.go), in the words that cronsim knows."""

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
    """The same times in plain minutes, hours, days, months and weekdays; what can't be read stays as it is."""
    fields = cron.split()
    if len(fields) != 5:
        return MACROS.get(" ".join(fields), cron)
    minute, hour, day, month, weekday = (field.replace("?", "*") for field in fields)
    return " ".join((minute, hour, _days(day, 1, 31), month, _days(weekday, 0, 6)))


def _days(field: str, first: int, last: int) -> str:
    """A field of days with its steps counted out: only a star leaves it to the other field which days are meant."""
    items = field.split(",")
    if any(re.fullmatch(r"\*(/0*1)?", item) for item in items):
        return "*"
    return ",".join(_counted(item, first, last) for item in items)


def _counted(item: str, first: int, last: int) -> str:
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
