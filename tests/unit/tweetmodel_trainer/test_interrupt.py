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
    """The process has ended."""


def end() -> None:
    raise Ended


def test_sigterm_ends_a_step() -> None:
    interrupt.on_termination(end)
    with pytest.raises(Ended):
        stop()


def test_deferred_sigterm_interrupts_at_the_end_of_the_block() -> None:
    seen = []

    def loop() -> None:
        with interrupt.defer_termination() as request:
            seen.append(request.requested)
            stop()
            stop()
            seen.append(request.requested)

    interrupt.on_termination(end)
    with pytest.raises(Interrupted):
        loop()
    assert seen == [False, True]


def test_sigterm_after_the_block_ends_the_step() -> None:
    interrupt.on_termination(end)
    with interrupt.defer_termination():
        pass
    with pytest.raises(Ended):
        stop()


def test_ignored_sigterm_does_nothing() -> None:
    interrupt.on_termination(end)
    interrupt.ignore_termination()
    stop()


def test_interrupted_is_not_a_subclass_of_exception() -> None:
    assert not issubclass(Interrupted, Exception)
