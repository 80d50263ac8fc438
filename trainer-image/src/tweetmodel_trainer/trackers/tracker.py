"""What every tracker does, in the order in which it is asked to; what it has no place for it leaves out."""

from transformers import TrainerCallback

from tweetmodel_trainer.trackers.events import Outcome, Results
from tweetmodel_trainer.trackers.lineage import Run
from tweetmodel_trainer.trackers.trainer_stub import Trainer


class Tracker:
    """One tracker, which may raise whatever its library does."""

    callback: TrainerCallback
    """transformers' own, which is told the numbers."""

    def collected(self, run: Run) -> None:
        """Tells how the data set was made of raw posts."""

    def begin(self, run: Run, trainer: Trainer) -> None:
        """Opens the run, or the one of an earlier attempt again; the callback is told of the beginning after it."""

    def used(self, run: Run) -> None:
        """Tells that the run reads the data set."""

    def made(self, results: Results) -> None:
        """Tells of the model and what it wrote."""

    def finish(self, outcome: Outcome) -> None:
        """Closes the run, and waits until everything was sent."""
