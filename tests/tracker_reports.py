"""Reports runs to trackers, in one attempt or in two."""

from contextlib import suppress
from pathlib import Path

from tracked_run import EVALUATION, RESULTS, RUN, STARTED
from tweetmodel_api.trackers import ReportTo
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.trackers.events import Logged, Started
from tweetmodel_trainer.trackers.tracking import Tracking


def report_run(to: ReportTo, folder: Path, started: Started = STARTED, steps: range = range(1, 3)) -> str:
    """Report a run that logs a loss at these steps; return the warnings."""
    with Tracking(to, RUN, folder, lambda _: None) as tracking:
        _log(tracking, started, steps)
        return tracking.finish(steps[-1], EVALUATION, RESULTS)


def report_two_attempts(to: ReportTo, folder: Path) -> None:
    """Report a run that is interrupted after its second step and resumed on another disk."""
    with suppress(Interrupted), Tracking(to, RUN, folder / "1", lambda _: None) as tracking:
        _log(tracking, STARTED, range(1, 3))
        raise Interrupted
    resumed = STARTED.model_copy(update={"arguments": {**STARTED.arguments, "output_dir": "/work/second"}})
    assert report_run(to, folder / "2", resumed, range(3, 5)) == ""


def _log(tracking: Tracking, started: Started, steps: range) -> None:
    tracking.send(started)
    for step in steps:
        tracking.send(Logged(step=step, metrics={"loss": 5.0 - step}))
