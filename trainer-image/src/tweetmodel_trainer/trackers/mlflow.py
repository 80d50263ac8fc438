"""MLflow: raw posts and data set are inputs of the run, the model is an external one of its outputs."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tweetmodel_api.trackers import MLflow
from tweetmodel_trainer.trackers.events import Outcome, Results
from tweetmodel_trainer.trackers.lineage import Reference, Run
from tweetmodel_trainer.trackers.tracker import Tracker
from tweetmodel_trainer.trackers.trainer_stub import Trainer

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

TAG = "tweetmodel.run"
"""By which a run is found again: MLflow gives ids of its own."""

LONGEST_DIGEST = 36

STATUS: dict[Outcome, str] = {"Succeeded": "FINISHED", "Failed": "FAILED", "Interrupted": "KILLED"}


class MLflowTracker(Tracker):
    """A run of an experiment."""

    def __init__(self, to: MLflow, folder: Path) -> None:
        os.environ |= {
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "HF_MLFLOW_LOG_ARTIFACTS": "false",  # else transformers uploads the checkpoints
            "GIT_PYTHON_REFRESH": "quiet",
        }
        import mlflow
        from transformers.integrations import MLflowCallback

        self._mlflow: Any = mlflow
        self._client: Any = mlflow.MlflowClient(to.tracking_uri)
        self._to = to
        self._id = self._experiment = ""
        self.callback = MLflowCallback()

    def begin(self, run: Run, trainer: Trainer) -> None:
        self._mlflow.set_tracking_uri(self._to.tracking_uri)
        self._experiment = self._mlflow.set_experiment(self._to.experiment).experiment_id
        found = self._client.search_runs([self._experiment], f"tags.`{TAG}` = '{run.id}'", max_results=1)
        there = found[0] if found else None
        opened = self._mlflow.start_run(run_id=there and there.info.run_id, run_name=run.id, tags={TAG: run.id})
        self._id = opened.info.run_id
        for given in (trainer.arguments, trainer.model.config):  # a parameter that was logged can't be changed
            given.values = {k: v for k, v in given.values.items() if not there or k not in there.data.params}

    def used(self, run: Run) -> None:
        inputs = [_input(raw, "raw") for raw in run.raw]
        made_of = [raw.uri for raw in run.raw]
        self._client.log_inputs(self._id, datasets=[*inputs, _input(run.dataset, "training", made_of=made_of)])

    def made(self, results: Results) -> None:
        model = results.model
        self._client.set_tag(self._id, "tweetmodel.model", model.uri)
        self._client.set_tag(self._id, "tweetmodel.model.digest", model.digest)
        columns = list(results.samples[0]) if results.samples else []
        rows = [list(sample.values()) for sample in results.samples]
        self._client.log_dict(self._id, {"columns": columns, "data": rows}, "samples.json")
        # What mlflow.create_external_model does, which imports pandas.
        tags = {"uri": model.uri, "digest": model.digest, "mlflow.model.isExternal": "true"}
        listed = self._client.create_logged_model(self._experiment, model.name, source_run_id=self._id, tags=tags)
        self._client.finalize_logged_model(listed.model_id, "READY")
        self._client.log_outputs(self._id, [self._mlflow.entities.LoggedModelOutput(listed.model_id, step=0)])

    def finish(self, outcome: Outcome) -> None:
        self._mlflow.flush_async_logging()
        self._mlflow.end_run(STATUS[outcome])


def _input(reference: Reference, context: str, **more: object) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": reference.uri, **more})
    digest = (reference.digest or reference.name)[:LONGEST_DIGEST]
    dataset = Dataset(name=reference.name, digest=digest, source_type=reference.uri.partition(":")[0], source=source)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])
