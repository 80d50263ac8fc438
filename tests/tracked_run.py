"""A run that is reported to trackers, the keys of the trackers, and specs that name the trackers."""

import hostile
import tracker_servers
from tweetmodel_api.trackers import ReportTo
from tweetmodel_trainer.trackers.events import Results, Started
from tweetmodel_trainer.trackers.lineage import Reference, TrackedRun

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
