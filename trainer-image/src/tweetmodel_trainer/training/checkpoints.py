"""Checkpoints in S3: written by time and on request, read back newest first, only whole ones.

A folder is one step of one attempt and is never overwritten. The last two are kept. transformers' own
`get_last_checkpoint` takes the highest step even if the folder is half written, so it is not used.
"""

import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tweetmodel_api.layout import MANIFEST, Layout, checkpoint_step
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import IncompleteFolder, Storage

logger = logging.getLogger(__name__)

KEPT = 2


@dataclass
class Checkpoints:
    """The checkpoints of one run, as one attempt at it sees them."""

    storage: Storage
    layout: Layout
    run: str
    attempt: str
    """Unique to this pod, so that two attempts never write the same folder."""
    _line: list[str] = field(default_factory=list)
    """Folders in the order in which they may go: what is torn or old first, the one resumed from, then our own."""

    def newest(self, folder: Path) -> int | None:
        """Fetches the newest checkpoint that is whole into `folder`; its step, or None where there is none."""
        root = self.layout.checkpoints(self.run)
        names = self.storage.names(root)
        found = sorted({name.split("/")[0] for name in names if checkpoint_step(name.split("/")[0]) is not None})
        complete = [name for name in found if f"{name}/{MANIFEST}" in names]
        for name in reversed(complete):
            shutil.rmtree(folder, ignore_errors=True)
            try:
                self.storage.fetch(f"{root}/{name}", folder)
            except IncompleteFolder as error:
                logger.warning("checkpoint %s is passed over: %s", name, error)
                continue
            self._line = [f"{root}/{other}" for other in found if other != name] + [f"{root}/{name}"]
            return checkpoint_step(name)
        self._line = [f"{root}/{name}" for name in found]
        return None

    def publish(self, step: int, folder: Path) -> None:
        """Uploads a checkpoint, then deletes all before the last two, whoever wrote them."""
        uri = self.layout.checkpoint(self.run, step, self.attempt)
        self.storage.publish(folder, uri)
        self._line.append(uri)
        while len(self._line) > KEPT:
            self._discard(self._line.pop(0))

    def _discard(self, uri: str) -> None:
        try:
            self.storage.delete(uri)
        except Failure as failure:  # it costs room and no result
            logger.warning("checkpoint %s stays: %s", uri, failure)
