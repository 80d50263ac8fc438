"""Weights & Biases. All artifacts are references, so the server receives neither posts nor weights."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tweetmodel_api.trackers import Wandb
from tweetmodel_trainer.trackers.events import Outcome, Results, Started
from tweetmodel_trainer.trackers.lineage import Reference, TrackedRun
from tweetmodel_trainer.trackers.tracker import Tracker, grouped

if TYPE_CHECKING:
    from wandb import Artifact, Run


class WandbTracker(Tracker):
    """A run for the data set and a run for the model, so the graph of artifacts has both steps."""

    def __init__(self, settings: Wandb, folder: Path) -> None:
        os.environ.setdefault("WANDB_INIT_TIMEOUT", "30")
        os.environ |= {
            "WANDB_BASE_URL": settings.base_url,
            "WANDB_CONSOLE": "off",
            "WANDB_DIR": str(folder),
            "WANDB_DISABLE_GIT": "true",
            "WANDB_DISABLE_JOB_CREATION": "true",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_SILENT": "true",
        }
        import wandb

        self._wandb: Any = wandb
        self._settings = settings
        self._run: Any = None

    def log_dataset(self, run: TrackedRun) -> None:
        with self._init(run.collection, "collect") as collection:
            for raw in run.raw:
                collection.use_artifact(self._artifact(raw, "raw"))
            collection.log_artifact(self._artifact(run.dataset, "dataset"), aliases=[run.dataset.digest[:16]])

    def start(self, run: TrackedRun, started: Started) -> None:
        self._run = self._init(run.id, "train")
        self._run.config.update(started.config(run), allow_val_change=True)
        self._run.define_metric("train/global_step")
        self._run.define_metric("*", step_metric="train/global_step", step_sync=True)

    def log_inputs(self, run: TrackedRun) -> None:
        self._run.use_artifact(self._artifact(run.dataset, "dataset"))

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log({**grouped(metrics), "train/global_step": step})

    def log_model(self, results: Results) -> None:
        columns = list(results.samples[0]) if results.samples else []
        table = self._wandb.Table(columns=columns, data=[list(sample.values()) for sample in results.samples])
        self._run.log({"samples": table})
        self._run.log_artifact(self._artifact(results.model, "model"))

    def finish(self, outcome: Outcome) -> None:
        if outcome == "Interrupted":
            self._run.mark_preempting()  # shown as preempted until the next attempt resumes the run
        self._run.finish(exit_code=0 if outcome == "Succeeded" else 1)

    def _init(self, name: str, job_type: str) -> "Run":
        project, entity = self._settings.project, self._settings.entity
        return self._wandb.init(project=project, entity=entity, id=name, name=name, job_type=job_type, resume="allow")

    def _artifact(self, reference: Reference, kind: str) -> "Artifact":
        artifact = self._wandb.Artifact(reference.name, kind, metadata={"digest": reference.digest})
        artifact.add_reference(reference.uri, name=kind, checksum=False)  # a checksum would read the files
        return artifact
