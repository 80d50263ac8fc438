"""Trackio, whose library keeps what it can't send and raises nothing: so the server is asked first, and the library at
the end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tweetmodel_api.trackers import Trackio
from tweetmodel_trainer.presentation.card import literal
from tweetmodel_trainer.trackers.events import Outcome, Results
from tweetmodel_trainer.trackers.lineage import Reference, Run
from tweetmodel_trainer.trackers.tracker import Tracker
from tweetmodel_trainer.trackers.trainer_stub import Trainer

if TYPE_CHECKING:
    from trackio import ReferenceHandler


class NotSent(Exception):
    """Something waits on a disk that is about to go."""


class TrackioTracker(Tracker):
    """A run for the data set and one for the model, as its artifacts are made and used by runs."""

    def __init__(self, to: Trackio, folder: Path) -> None:
        token = os.environ.pop("TRACKIO_TOKEN", "")
        os.environ |= {
            "TRACKIO_DIR": str(folder),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "GRADIO_ANALYTICS_ENABLED": "False",
            **({"HF_TOKEN": token} if to.space else {}),
            **({"TRACKIO_WRITE_TOKEN": token, "TRACKIO_SERVER_URL": to.server_url} if to.server_url else {}),
        }
        import trackio
        from transformers.integrations import TrackioCallback

        self._trackio: Any = trackio
        self._to = to
        self._token = token
        self.callback = TrackioCallback()

    def _ask(self) -> None:
        """Raises what `init` would pass over."""
        if self._to.space:
            from huggingface_hub import HfApi

            HfApi().whoami()
        else:
            server = self._trackio.RemoteClient(self._to.server_url, write_token=self._token)
            server.predict(project=self._to.project, api_name="/get_runs_for_project")

    @contextmanager
    def _collection(self, name: str) -> Iterator[None]:
        self._trackio.init(self._to.project, name, space_id=self._to.space, resume="allow", private=True)
        try:
            yield
        finally:
            self._trackio.finish()

    def collected(self, run: Run) -> None:
        self._ask()
        self._trackio.register_reference_handler(_unread())
        with self._collection(run.collection):
            for raw in run.raw:
                self._log(raw, "raw")
                self._trackio.use_artifact(raw.name)
            self._log(run.dataset, "dataset")

    def begin(self, run: Run, trainer: Trainer) -> None:
        self._ask()
        trainer.arguments.project = self._to.project
        trainer.arguments.trackio_space_id = self._to.space

    def used(self, run: Run) -> None:
        self._trackio.use_artifact(run.dataset.name)

    def made(self, results: Results) -> None:
        rows = [{key: literal(str(value)) for key, value in sample.items()} for sample in results.samples]
        self._trackio.log({"samples": self._trackio.Table(data=rows)})  # its cells are Markdown
        self._log(results.model, "model")

    def finish(self, outcome: Outcome) -> None:
        from trackio.sqlite_storage import SQLiteStorage

        self._trackio.finish()
        if SQLiteStorage.has_pending_data(self._to.project):
            raise NotSent

    def _log(self, reference: Reference, kind: str) -> None:
        artifact = self._trackio.Artifact(reference.name, kind, metadata={"digest": reference.digest})
        artifact.add_reference(reference.uri, name=kind, checksum=False)
        self._trackio.log_artifact(artifact)


def _unread() -> "ReferenceHandler":
    """Takes every address as it is: trackio knows no s3:// of its own, and has no key for the bucket."""
    from trackio import ReferenceHandler, ResolvedReference

    class Unread(ReferenceHandler):  # type: ignore[misc]  # trackio is not typed
        def matches(self, scheme: str, uri: str) -> bool:
            return True

        def resolve(self, uri: str, checksum: bool, max_objects: int) -> list[Any]:
            return [ResolvedReference(None, uri)]

        def fetch(self, uri: str, dest: Path) -> None:
            raise PermissionError("nothing is read by a tracker")

        def hint(self) -> str:
            return ""

    return Unread()
