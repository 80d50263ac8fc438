import os
import signal
from collections.abc import Iterator

import pytest

from tweetmodel_trainer import interrupt
from tweetmodel_trainer.interrupt import Interrupted


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Ended(BaseException):
    """The process is gone."""


def end() -> None:
    raise Ended


def test_a_stop_ends_a_stage_on_the_spot() -> None:
    interrupt.on_termination(end)
    with pytest.raises(Ended):
        stop()


def test_a_stage_that_may_finish_its_step_is_interrupted_when_it_leaves() -> None:
    seen = []

    def step() -> None:
        with interrupt.defer_termination() as request:
            seen.append(request.requested)
            stop()
            stop()
            seen.append(request.requested)

    interrupt.on_termination(end)
    with pytest.raises(Interrupted):
        step()
    assert seen == [False, True]


def test_a_stop_after_the_loop_ends_the_stage_again() -> None:
    interrupt.on_termination(end)
    with interrupt.defer_termination():
        pass
    with pytest.raises(Ended):
        stop()


def test_a_stop_that_comes_when_all_is_done_is_ignored() -> None:
    interrupt.on_termination(end)
    interrupt.ignore_termination()
    stop()


def test_no_library_can_swallow_it() -> None:
    assert not issubclass(Interrupted, Exception)
