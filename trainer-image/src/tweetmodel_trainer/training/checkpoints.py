"""Checkpoints in S3: written periodically and on request, and read back from the newest complete one.

A folder contains one optimizer step of one attempt and is never overwritten. The two newest checkpoints are kept.
`get_last_checkpoint` of transformers is not used, since it returns the highest step even if its folder is incomplete.
"""

import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tweetmodel_api.layout import MANIFEST, Layout, checkpoint_step
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import IncompleteFolder, Storage

logger = logging.getLogger(__name__)

MAX_CHECKPOINTS = 2


@dataclass
class Checkpoints:
    """The checkpoints of a run, from the point of view of one attempt."""

    storage: Storage
    layout: Layout
    run: str
    pod_id: str
    """Id of the pod, by which two attempts never write the same folder."""
    _deletion_order: list[str] = field(default_factory=list)
    """Folders in the order of their deletion: incomplete and older ones, the resumed one, those of this attempt."""

    def download_newest(self, folder: Path) -> int | None:
        """Download the newest complete checkpoint, and return its optimizer step; None without a checkpoint.

        Args:
            folder: folder to create; not created without a checkpoint.
        """
        root = self.layout.checkpoints(self.run)
        paths = self.storage.names(root)
        names = sorted({path.split("/")[0] for path in paths if checkpoint_step(path.split("/")[0]) is not None})
        complete = [name for name in names if f"{name}/{MANIFEST}" in paths]
        for name in reversed(complete):
            try:
                self.storage.download_folder(f"{root}/{name}", folder)
            except IncompleteFolder as error:
                logger.warning("checkpoint %s is skipped: %s", name, error)
                shutil.rmtree(folder, ignore_errors=True)
                continue
            self._deletion_order = [f"{root}/{other}" for other in names if other != name] + [f"{root}/{name}"]
            return checkpoint_step(name)
        self._deletion_order = [f"{root}/{name}" for name in names]
        return None

    def upload(self, step: int, folder: Path) -> None:
        """Upload a checkpoint, then delete all but the newest checkpoints of all attempts."""
        uri = self.layout.checkpoint(self.run, step, self.pod_id)
        self.storage.upload_folder(folder, uri)
        self._deletion_order.append(uri)
        while len(self._deletion_order) > MAX_CHECKPOINTS:
            self._delete(self._deletion_order.pop(0))

    def _delete(self, uri: str) -> None:
        try:
            self.storage.delete(uri)
        except Failure as failure:  # an old checkpoint takes space but does not affect the result
            logger.warning("checkpoint %s was not deleted: %s", uri, failure)
