"""The context of a step: the plan and the resources of the pod."""

from dataclasses import dataclass
from pathlib import Path

from tweetmodel_api.layout import Layout
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_api.retry import retry_command
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.model_cache import NO_CACHE, Cache
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.run_store import RunStore
from tweetmodel_trainer.storage import IncompleteFolder, Storage

DATASET = "dataset"
"""Folder of the data set in the work folder."""


@dataclass(frozen=True)
class StepContext:
    """The plan of a step and the resources of its pod."""

    plan: Plan
    workdir: Path
    """Folder for temporary files, empty at the start of the step."""
    storage: Storage
    progress: Progress
    pod_id: str = "local"
    """Beginning of the UID of the pod, by which the checkpoints of two pods differ."""
    cache: Cache = NO_CACHE
    """Base models from earlier downloads, also of other pods."""

    @property
    def layout(self) -> Layout:
        """Folders of the TweetModel in storage."""
        return self.plan.layout

    @property
    def run(self) -> str:
        """Id of the run.

        Raises:
            Failure: InternalError if the plan has no run.
        """
        if self.plan.run is None:
            raise Failure(Reason.INTERNAL_ERROR, f"the plan of the {self.plan.step} step has no run: report the bug.")
        return self.plan.run

    @property
    def run_store(self) -> RunStore:
        """Folders of the run in storage."""
        return RunStore(self.storage, self.layout, self.run)

    @property
    def outputs(self) -> Path:
        """Folder of page and results before their upload."""
        return self.workdir / "outputs"

    def download(self, description: str, uri: str, name: str, delete: str | None = None) -> None:
        """Download a folder into the folder `name` of the work folder.

        Args:
            description: content of the folder, for the message of a failure.
            uri: folder in storage.
            name: name of the local folder.
            delete: folder whose deletion makes a retry write the folder again; by default the folder itself.

        Raises:
            Failure: SourceMissing if the folder is incomplete, or a failure of the storage.
        """
        try:
            self.storage.download_folder(uri, self.workdir / name)
        except IncompleteFolder as error:
            advice = f"delete {delete or uri}, and run `{retry_command(self.plan.namespace, self.plan.name)}`"
            message = f"the {description} is incomplete or corrupt ({error}): {advice}."
            raise Failure(Reason.SOURCE_MISSING, message) from None
