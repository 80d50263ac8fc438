"""SIGTERM, in every stage: by default it ends the stage on the spot, in the training loop it only asks.

A stage that is ended on the spot leaves nothing that counts, since manifests are written last. The training
loop has work worth saving, so there the signal sets a flag; the loop saves, uploads and stops by itself.
Whoever has caught it calls `ignore`, so that a second signal does not lose the report of the first.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(BaseException):
    """The pod was told to stop. No `Exception`, so that no library swallows it."""


@dataclass
class Request:
    """Whether a stop was asked for."""

    asked: bool = False


@contextmanager
def on_termination() -> Iterator[None]:
    """Within it the first SIGTERM raises Interrupted in the main thread."""
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deferred() -> Iterator[Request]:
    """Within it SIGTERM sets `asked` instead; it is for the body to stop in time.

    Raises:
        Interrupted: on leaving, where a stop was asked for.
    """
    request = Request()

    def remember(_signal: int, _frame: FrameType | None) -> None:
        request.asked = True

    before = signal.signal(signal.SIGTERM, remember)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if request.asked else before)
    if request.asked:
        raise Interrupted


def ignore() -> None:
    """From now on SIGTERM does nothing: what is left to do is too short to be stopped."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _raise(_signal: int, _frame: FrameType | None) -> None:
    raise Interrupted
