"""The process of a tracker: `python -m tweetmodel_trainer.trackers KIND EVENTS FOLDER`.

The process reads the events of a run, calls the client of the tracker, and records errors in the folder for the
trainer. PyTorch and transformers are not imported: they take seconds and hundreds of megabytes.
"""

import os
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import cast

from tweetmodel_api.trackers import AnyTracker, MLflow, TensorBoard, TrackerKind, Trackio, Wandb
from tweetmodel_trainer.trackers.errors import record
from tweetmodel_trainer.trackers.events import Ended, Event, Logged, Opened, Started, follow
from tweetmodel_trainer.trackers.lineage import TrackedRun
from tweetmodel_trainer.trackers.tracker import Tracker

NICENESS = 5
"""Training has priority on the CPUs."""

MAX_MEMORY_BYTES = 1 << 30
"""Data segment of the process. Each client needs less than 280 MiB on two CPUs."""


def create(settings: AnyTracker, folder: Path) -> Tracker:
    """Return the tracker. Only the client of this tracker is imported."""
    match settings:
        case Wandb():
            from tweetmodel_trainer.trackers.wandb import WandbTracker

            return WandbTracker(settings, folder)
        case MLflow():
            from tweetmodel_trainer.trackers.mlflow import MLflowTracker

            return MLflowTracker(settings)
        case Trackio():
            from tweetmodel_trainer.trackers.trackio import TrackioTracker

            return TrackioTracker(settings, folder)
        case TensorBoard():
            from tweetmodel_trainer.trackers.tensorboard import TensorBoardTracker

            return TensorBoardTracker(folder / "events")


def report(tracker: Tracker, run: TrackedRun, events: Iterator[Event], folder: Path) -> None:
    """Pass the events to the tracker. Errors are recorded; an error in `start` ends the report."""
    attempt = partial(_attempt, folder)
    attempt(tracker.log_dataset, run)
    first = next(events, None)
    if first is None:
        return
    started = first if isinstance(first, Started) else Started()
    if not attempt(tracker.start, run, started):
        return
    attempt(tracker.log_inputs, run)
    for event in chain([first], events):
        match event:
            case Logged():
                attempt(tracker.log_metrics, event.step, event.metrics)
            case Ended():
                if event.results:
                    attempt(tracker.log_model, event.results)
                attempt(tracker.finish, event.outcome)


def _attempt(folder: Path, call: Callable[..., object], *arguments: object) -> bool:
    """Call the tracker; return False after an error."""
    try:
        call(*arguments)
    except Exception as error:  # clients raise anything
        record(error, folder)
        return False
    return True


def main() -> None:
    """Report a run to a tracker until the run ends."""
    kind, events_file, folder = cast(TrackerKind, sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    os.chdir(folder)
    events = follow(events_file)
    opened = next(events)
    assert isinstance(opened, Opened)
    try:
        tracker = create(opened.report_to.kinds[kind], folder)
    except Exception as error:
        record(error, folder)
        return
    report(tracker, opened.run, events, folder)


if __name__ == "__main__":
    main()
