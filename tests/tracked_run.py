"""A run that is reported to trackers in two attempts, and the values that the trackers should show."""

from contextlib import suppress
from pathlib import Path

import hostile
import tracker_servers
from tweetmodel_api.trackers import ReportTo
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.trackers.events import Logged, Results, Started
from tweetmodel_trainer.trackers.lineage import Reference, TrackedRun
from tweetmodel_trainer.trackers.tracking import Tracking

RAW = Reference("default-ada-raw-ada", "s3://bucket/archive.zip")
DATASET = Reference("default-ada-dataset", "s3://bucket/datasets/dd", "d" * 64)
MODEL = Reference("default-ada-model", "s3://bucket/runs/ab/model", "e" * 64)
RUN = TrackedRun("default-ada-ab", "default-ada-dd", {"spec.training.epochs": 4}, (RAW,), DATASET)
STARTED = Started(arguments={"learning_rate": 1e-3, "output_dir": "/work/first"}, model={"n_layer": 1}, parameters=1000)
RESULTS = Results(
    model=MODEL,
    samples=[{"prompt": "", "text": text, "copy": "none", "duplicate": False} for text in hostile.POSTS],
)
EVALUATION = {"eval_loss_before": 3.0, "eval_loss": 1.5, "eval_memorized_fraction": 0.1}

API_KEY = "k" * 40
SECRETS = {
    "WANDB_API_KEY": API_KEY,
    "TRACKIO_TOKEN": tracker_servers.TOKEN + "\n",
    "MLFLOW_TRACKING_USERNAME": "ada",
    "MLFLOW_TRACKING_PASSWORD": "password-of-ada",
    "HF_TOKEN": "hf_token-of-the-hub",
}


def wandb_at(url: str) -> ReportTo:
    return ReportTo.model_validate({"wandb": {"baseURL": url, "secretRef": {"name": "wandb"}}})


def mlflow_at(url: str) -> ReportTo:
    return ReportTo.model_validate({"mlflow": {"trackingURI": url}})


def trackio_at(url: str) -> ReportTo:
    return ReportTo.model_validate({"trackio": {"serverURL": url, "secretRef": {"name": "trackio"}}})


TENSORBOARD = ReportTo.model_validate({"tensorBoard": {}})


def report(to: ReportTo, folder: Path, started: Started = STARTED, steps: range = range(1, 3)) -> str:
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
    assert report(to, folder / "2", resumed, range(3, 5)) == ""


def _log(tracking: Tracking, started: Started, steps: range) -> None:
    tracking.send(started)
    for step in steps:
        tracking.send(Logged(step=step, metrics={"loss": 5.0 - step}))
