"""Waits that last as long as there is progress.

A fixed timeout is either too short for a busy machine or too long for a run that hangs. A wait here fails if nothing
has changed for `STALL_SECONDS`, and in any case after `MAX_WAIT_SECONDS`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

STALL_SECONDS = 240.0
"""Seconds without any change after which a wait fails. Operators resync every 60 seconds, pods import PyTorch."""
MAX_WAIT_SECONDS = 1200.0
"""Seconds after which a wait fails despite changes."""


class WaitTimeout(AssertionError):
    """A condition did not become true in time."""


@dataclass
class ProgressDeadline:
    """A deadline that each change of an observed state postpones."""

    description: str
    """The condition that the wait is for."""
    stall_seconds: float = STALL_SECONDS
    max_seconds: float = MAX_WAIT_SECONDS
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)
    _changed: float = field(init=False)
    _state: object = None

    def __post_init__(self) -> None:
        self.started = self._changed = self.clock()

    def observe(self, state: object) -> None:
        """Compare the state with the last one.

        Raises:
            WaitTimeout: the state has not changed for too long, or the wait has taken too long.
        """
        now = self.clock()
        if state != self._state:
            self._state, self._changed = state, now
        waited, stalled = now - self.started, now - self._changed
        if stalled >= self.stall_seconds:
            raise WaitTimeout(f"no {self.description} after {waited:.0f} s, and no change for {stalled:.0f} s")
        if waited >= self.max_seconds:
            raise WaitTimeout(f"no {self.description} after {waited:.0f} s, despite changes")
