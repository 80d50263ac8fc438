"""SIGTERM, in every stage: by default it ends the process on the spot, in the training loop it only asks.

A stage that is ended on the spot leaves nothing that counts, since manifests are written last. An exception would
not end it: libraries swallow those that come in a callback, or wait for their threads first. The training loop
has work worth saving, so there the signal sets a flag; the loop saves, uploads and stops by itself.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(BaseException):
    """The training loop was told to stop, and has. No `Exception`, so that no library swallows it."""


@dataclass
class StopRequest:
    """Whether a stop was asked for."""

    requested: bool = False


def on_termination(end: Callable[[], None]) -> None:
    """From now on SIGTERM calls `end`, in the main thread; it should leave the report and the process."""
    signal.signal(signal.SIGTERM, lambda _signal, _frame: end())


@contextmanager
def defer_termination() -> Iterator[StopRequest]:
    """Within it SIGTERM sets `asked` instead; it is for the body to stop in time.

    Raises:
        Interrupted: on leaving, where a stop was asked for.
    """
    request = StopRequest()

    def remember(_signal: int, _frame: FrameType | None) -> None:
        request.requested = True

    before = signal.signal(signal.SIGTERM, remember)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if request.requested else before)
    if request.requested:
        raise Interrupted


def ignore_termination() -> None:
    """From now on SIGTERM does nothing: what is left to do is too short to be stopped."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
