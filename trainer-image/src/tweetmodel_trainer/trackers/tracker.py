"""The interface of a tracker. Methods without a counterpart in a service do nothing."""

from collections.abc import Mapping

from tweetmodel_trainer.trackers.events import Outcome, Results, Started
from tweetmodel_trainer.trackers.lineage import TrackedRun


class Tracker:
    """A client. The methods are called in this order and may raise any exception."""

    def log_dataset(self, run: TrackedRun) -> None:
        """Record the raw posts as inputs of the data set."""

    def start(self, run: TrackedRun, started: Started) -> None:
        """Create the run, or reopen the run of an earlier attempt, and record the settings."""

    def log_inputs(self, run: TrackedRun) -> None:
        """Record the data set as an input of the run."""

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of an optimizer step."""

    def log_model(self, results: Results) -> None:
        """Record the samples, and the model as an output of the run."""

    def finish(self, outcome: Outcome) -> None:
        """Close the run after everything was sent."""


def grouped(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics under the names of transformers' integrations: train/loss, eval/loss."""
    return {
        f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}": value
        for name, value in metrics.items()
    }
