"""Weights & Biases: artifacts are references, so that its servers get no posts and no weights."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tweetmodel_api.trackers import Wandb
from tweetmodel_trainer.trackers.events import Outcome, Results
from tweetmodel_trainer.trackers.lineage import Reference, Run
from tweetmodel_trainer.trackers.tracker import Tracker
from tweetmodel_trainer.trackers.trainer_stub import Trainer

if TYPE_CHECKING:
    from wandb import Artifact
    from wandb import Run as WandbRun

INIT_SECONDS = 30


class WandbTracker(Tracker):
    """A run for the data set and one for the model, so that the graph of artifacts has both steps."""

    def __init__(self, to: Wandb, folder: Path) -> None:
        os.environ |= {
            "WANDB_BASE_URL": to.base_url,
            "WANDB_DIR": str(folder),
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_LOG_MODEL": "false",  # else transformers uploads the weights
            "WANDB_WATCH": "false",
        }
        import wandb
        from transformers.integrations import WandbCallback

        self._wandb: Any = wandb
        self._to = to
        self._run: Any = None
        self.callback = WandbCallback()

    def _init(self, name: str, job_type: str) -> "WandbRun":
        settings = self._wandb.Settings(
            init_timeout=INIT_SECONDS, console="off", disable_git=True, disable_job_creation=True, silent=True
        )
        return self._wandb.init(
            project=self._to.project,
            entity=self._to.entity,
            id=name,
            name=name,
            job_type=job_type,
            resume="allow",
            settings=settings,
        )

    def collected(self, run: Run) -> None:
        with self._init(run.collection, "collect") as collection:
            for raw in run.raw:
                collection.use_artifact(self._artifact(raw, "raw"))
            collection.log_artifact(self._artifact(run.dataset, "dataset"), aliases=[run.dataset.digest[:16]])

    def begin(self, run: Run, trainer: Trainer) -> None:
        self._run = self._init(run.id, "train")

    def used(self, run: Run) -> None:
        self._run.use_artifact(self._artifact(run.dataset, "dataset"))

    def made(self, results: Results) -> None:
        columns = list(results.samples[0]) if results.samples else []
        table = self._wandb.Table(columns=columns, data=[list(sample.values()) for sample in results.samples])
        self._run.log({"samples": table})
        self._run.log_artifact(self._artifact(results.model, "model"))

    def finish(self, outcome: Outcome) -> None:
        if outcome == "Interrupted":
            self._run.mark_preempting()  # it is shown as preempted, until the next attempt goes on
        self._run.finish(exit_code=0 if outcome == "Succeeded" else 1)

    def _artifact(self, reference: Reference, kind: str) -> "Artifact":
        artifact = self._wandb.Artifact(reference.name, kind, metadata={"digest": reference.digest})
        artifact.add_reference(reference.uri, name=kind, checksum=False)  # nothing is read
        return artifact
