"""Tests of the waits of the cluster suites."""

import pytest
from waiting import ProgressDeadline, WaitTimeout


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deadline(clock: Clock) -> ProgressDeadline:
    return ProgressDeadline("checkpoint", stall_seconds=10, max_seconds=100, clock=clock)


def test_wait_without_change_fails(clock: Clock, deadline: ProgressDeadline) -> None:
    deadline.observe("pending")
    clock.now = 9
    deadline.observe("pending")
    clock.now = 10
    with pytest.raises(WaitTimeout, match="no checkpoint after 10 s, and no change for 10 s"):
        deadline.observe("pending")


def test_change_postpones_the_deadline(clock: Clock, deadline: ProgressDeadline) -> None:
    for clock.now in range(0, 99, 9):
        deadline.observe(clock.now)


def test_wait_despite_changes_is_bounded(clock: Clock, deadline: ProgressDeadline) -> None:
    clock.now = 100
    with pytest.raises(WaitTimeout, match="no checkpoint after 100 s, despite changes"):
        deadline.observe("running")
