"""Adds namespace, name and run of a TweetModel to log lines as fields of the JSON format, so that logs can be filtered.

A reconcile sets the subject once (`about`) and adds details as they become known (`add_subject`). All log lines in
between contain the fields, whichever module logs them. Plain logs contain the name of the TweetModel in their text
only.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from pythonjsonlogger.core import BaseJsonFormatter

from tweetmodel_api import KIND
from tweetmodel_operator.observed import Key

_subject: ContextVar[Mapping[str, str | None] | None] = ContextVar("subject", default=None)

_RENAMED = {"tweetmodel": "name"}
"""`name` in a log record is the name of the logger; the JSON logs omit the logger."""


@contextmanager
def log_context(key: Key) -> Iterator[None]:
    """Add a TweetModel to all log lines in the context."""
    token = _subject.set({"namespace": key.namespace, "tweetmodel": key.name, "run": None})
    try:
        yield
    finally:
        _subject.reset(token)


def add_to_log_context(run: str | None, job: str | None) -> None:
    """Add the run and the active Job to the following log lines in the context of `about`."""
    _subject.set({**(_subject.get() or {}), "run": run, **({"job": job} if job else {})})


def install() -> None:
    """Add the fields to the log handlers of kopf."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_add_fields)
        if isinstance(handler.formatter, BaseJsonFormatter):
            handler.formatter.rename_fields = _RENAMED


def _add_fields(record: logging.LogRecord) -> bool:
    vars(record).update(_subject.get() or _subject_of_kopf(record))
    return True


def _subject_of_kopf(record: logging.LogRecord) -> Mapping[str, str | None]:
    """Return the TweetModel that a log line of kopf is about."""
    reference = getattr(record, "k8s_ref", {})
    if reference.get("kind") != KIND:
        return {}
    return {"namespace": reference["namespace"], "tweetmodel": reference["name"], "run": None}
