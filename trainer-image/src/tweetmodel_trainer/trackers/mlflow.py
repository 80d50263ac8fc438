"""MLflow. Raw posts and data set are inputs of the run, and the model is an output, as an external model."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tweetmodel_api.trackers import MLflow
from tweetmodel_trainer.trackers.events import Outcome, Results, Started
from tweetmodel_trainer.trackers.lineage import Reference, TrackedRun
from tweetmodel_trainer.trackers.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

TAG = "tweetmodel.run"
"""Tag with `TrackedRun.id`, since MLflow assigns its own ids."""

MAX_DIGEST_LENGTH = 36
MAX_BATCH = 100
"""Parameters in one request."""

STATUS: dict[Outcome, str] = {"Succeeded": "FINISHED", "Failed": "FAILED", "Interrupted": "KILLED"}


class MLflowTracker(Tracker):
    """A run of an experiment."""

    def __init__(self, settings: MLflow) -> None:
        os.environ |= {
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        }
        import mlflow

        self._mlflow: Any = mlflow
        self._client: Any = mlflow.MlflowClient(settings.tracking_uri)
        self._settings = settings
        self._id = self._experiment = ""

    def start(self, run: TrackedRun, started: Started) -> None:
        self._mlflow.set_tracking_uri(self._settings.tracking_uri)
        self._experiment = self._mlflow.set_experiment(self._settings.experiment).experiment_id
        found = self._client.search_runs([self._experiment], f"tags.`{TAG}` = '{run.id}'", max_results=1)
        run_id, logged = (found[0].info.run_id, found[0].data.params) if found else (None, {})
        opened = self._mlflow.start_run(run_id=run_id, run_name=run.id, tags={TAG: run.id})
        self._id = opened.info.run_id
        # MLflow rejects another value of a parameter, and some differ between attempts, such as output_dir.
        new = [(name, value) for name, value in started.config(run).items() if name not in logged]
        for first in range(0, len(new), MAX_BATCH):
            self._mlflow.log_params(dict(new[first : first + MAX_BATCH]))

    def log_inputs(self, run: TrackedRun) -> None:
        inputs = [_input(raw, "raw") for raw in run.raw]
        sources = [raw.uri for raw in run.raw]
        self._client.log_inputs(self._id, datasets=[*inputs, _input(run.dataset, "training", made_of=sources)])

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(metrics), step=step)

    def log_model(self, results: Results) -> None:
        model = results.model
        self._client.set_tag(self._id, "tweetmodel.model", model.uri)
        self._client.set_tag(self._id, "tweetmodel.model.digest", model.digest)
        columns = list(results.samples[0]) if results.samples else []
        rows = [list(sample.values()) for sample in results.samples]
        self._client.log_dict(self._id, {"columns": columns, "data": rows}, "samples.json")
        # mlflow.create_external_model does the same, but needs pandas.
        tags = {"uri": model.uri, "digest": model.digest, "mlflow.model.isExternal": "true"}
        logged = self._client.create_logged_model(self._experiment, model.name, source_run_id=self._id, tags=tags)
        self._client.finalize_logged_model(logged.model_id, "READY")
        self._client.log_outputs(self._id, [self._mlflow.entities.LoggedModelOutput(logged.model_id, step=0)])

    def finish(self, outcome: Outcome) -> None:
        self._mlflow.end_run(STATUS[outcome])


def _input(reference: Reference, context: str, **details: object) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": reference.uri, **details})
    digest = (reference.digest or reference.name)[:MAX_DIGEST_LENGTH]
    dataset = Dataset(name=reference.name, digest=digest, source_type=reference.uri.partition(":")[0], source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
