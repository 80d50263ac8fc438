"""The process of one tracker: reads the events of a run and hands them to the tracker's library.

What goes wrong is written to a file in a few words of our own, since a library's may quote an address or a key.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from transformers import TrainerControl, TrainerState

from tweetmodel_api.credentials import BASE_MODEL, PUBLISH, SOURCE_PREFIX, TRACKERS
from tweetmodel_api.trackers import AnyTracker, MLflow, TensorBoard, TrackerKind, Trackio, Wandb
from tweetmodel_trainer.trackers.errors import tell, words
from tweetmodel_trainer.trackers.events import Began, Ended, Row, follow
from tweetmodel_trainer.trackers.lineage import Run
from tweetmodel_trainer.trackers.tracker import Tracker
from tweetmodel_trainer.trackers.trainer_stub import Trainer

NICENESS = 5
"""On a pod without a GPU training comes first."""

EVENT_FILES = "events"
"""TensorBoard's folder."""

_FOREIGN = ("AWS_", PUBLISH.variable, BASE_MODEL.variable, SOURCE_PREFIX, "KUBEFLOW_TRAINER_")
"""What environment variables begin with that are no tracker's business."""


def tracker_of(to: AnyTracker, folder: Path) -> Tracker:
    """The tracker, with its library, of which only this one is imported."""
    match to:
        case Wandb():
            from tweetmodel_trainer.trackers.wandb import WandbTracker

            return WandbTracker(to, folder)
        case MLflow():
            from tweetmodel_trainer.trackers.mlflow import MLflowTracker

            return MLflowTracker(to, folder)
        case Trackio():
            from tweetmodel_trainer.trackers.trackio import TrackioTracker

            return TrackioTracker(to, folder)
        case TensorBoard():
            from tweetmodel_trainer.trackers.tensorboard import TensorBoardTracker

            return TensorBoardTracker(to, folder / EVENT_FILES)


def report(tracker: Tracker, run: Run, events: Path, trouble: Callable[[str], None]) -> None:
    """Tells the tracker everything until the end; goes on after an error, unless the run could not be opened."""

    def attempt(step: Callable[[], object]) -> bool:
        try:
            step()
        except Exception as error:  # of any library, for any reason
            trouble(words(error))
            return False
        return True

    trainer: Trainer | None = None
    state, control = TrainerState(), TrainerControl()
    for event in follow(events):
        if trainer is None:
            trainer = Trainer.of(run, event if isinstance(event, Began) else Began())
            attempt(partial(tracker.collected, run))
            if not attempt(partial(tracker.begin, run, trainer)):
                return
            begin = tracker.callback.on_train_begin
            attempt(partial(begin, trainer.arguments, state, control, model=trainer.model))
            attempt(partial(tracker.used, run))
        if isinstance(event, Row):
            state.global_step = event.step
            attempt(partial(tracker.callback.on_log, trainer.arguments, state, control, logs=dict(event.numbers)))
        if isinstance(event, Ended):
            if event.results:
                attempt(partial(tracker.made, event.results))
            attempt(partial(tracker.finish, event.outcome))


def environment(kind: TrackerKind, environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment of a tracker's process: no key but its own, and files in a folder of its own."""
    keys = {credential.variable for credentials in TRACKERS.values() for credential in credentials}
    own = {credential.variable for credential in TRACKERS[kind]}
    kept = {k: v for k, v in environ.items() if k not in keys and not k.startswith(_FOREIGN)}
    stripped = {k: environ[k].strip() for k in own if k in environ}  # `echo KEY | base64` ends in a line break
    return {**kept, **stripped, "HOME": str(home)}


def main(kind: TrackerKind, to: AnyTracker, run: Run, folder: Path, events: Path) -> None:
    """What a forked process does until the run has ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    os.chdir(folder)
    os.nice(NICENESS)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # what a library prints may hold an address or a key
        os.dup2(nothing, stream)
    sys.stdout = sys.stderr = os.fdopen(nothing, "w")
    own = environment(kind, os.environ, folder)
    os.environ.clear()
    os.environ |= own
    trouble = partial(tell, folder)
    try:
        tracker = tracker_of(to, folder)
    except Exception as error:
        trouble(words(error))
        return
    report(tracker, run, events, trouble)
