"""Handles SIGTERM: the signal ends the process immediately, except in the training loop, where a stop is requested.

Ending immediately is safe, since manifests are written last and an incomplete folder does not count. An exception would
not end the process: libraries swallow exceptions in callbacks, or wait for their threads first. The training loop has
work worth saving, so the signal sets a flag, and the loop saves a checkpoint and returns.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(BaseException):
    """The training loop has stopped on request. Not an `Exception`, since libraries swallow exceptions."""


@dataclass
class StopRequest:
    """A request to stop, set by the signal handler."""

    requested: bool = False
    """True if the loop must stop."""


def on_termination(end: Callable[[], None]) -> None:
    """Call `end` in the main thread on SIGTERM; `end` should write the report and exit the process."""
    signal.signal(signal.SIGTERM, lambda _signal, _frame: end())


@contextmanager
def defer_termination() -> Iterator[StopRequest]:
    """Record SIGTERM during the `with` block; the block must check the request and stop in time.

    Raises:
        Interrupted: at the end of the block, if a stop was requested.
    """
    request = StopRequest()

    def record(_signal: int, _frame: FrameType | None) -> None:
        request.requested = True

    previous = signal.signal(signal.SIGTERM, record)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if request.requested else previous)
    if request.requested:
        raise Interrupted


def ignore_termination() -> None:
    """Ignore SIGTERM from now on: the remaining work is too short to be interrupted."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
