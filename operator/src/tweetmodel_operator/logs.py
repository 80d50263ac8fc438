"""Which TweetModel a log line is about: fields of their own in JSON, by which a log store filters.

Whoever works on a TweetModel says so once (`about`), and as more becomes known (`known`); every line that is logged
meanwhile has the fields, whoever logs it. Plain logs name the TweetModel in their text alone.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from pythonjsonlogger.core import BaseJsonFormatter

from tweetmodel_api import KIND
from tweetmodel_operator.state import Key

_subject: ContextVar[Mapping[str, str | None] | None] = ContextVar("subject", default=None)

_RENAMED = {"tweetmodel": "name"}
"""`name` is the logger's in a log record, which JSON does not show."""


@contextmanager
def about(key: Key) -> Iterator[None]:
    """Marks the lines logged meanwhile as this TweetModel's."""
    token = _subject.set({"namespace": key.namespace, "tweetmodel": key.name, "run": None})
    try:
        yield
    finally:
        _subject.reset(token)


def known(run: str | None, job: str | None) -> None:
    """Marks the lines that follow, while `about` lasts, with the run and the Job at work for it."""
    _subject.set({**(_subject.get() or {}), "run": run, **({"job": job} if job else {})})


def install() -> None:
    """Has the handlers that kopf has set up show the fields."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_mark)
        if isinstance(handler.formatter, BaseJsonFormatter):
            handler.formatter.rename_fields = _RENAMED


def _mark(record: logging.LogRecord) -> bool:
    vars(record).update(_subject.get() or _subject_of_kopf(record))
    return True


def _subject_of_kopf(record: logging.LogRecord) -> Mapping[str, str | None]:
    """What kopf says its line is about, where that is a TweetModel."""
    seen = getattr(record, "k8s_ref", {})
    if seen.get("kind") != KIND:
        return {}
    return {"namespace": seen["namespace"], "tweetmodel": seen["name"], "run": None}
