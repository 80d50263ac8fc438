"""Trackio. The client raises no errors and stores unsent metrics, so the tracker checks the server first and the
client's storage last.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tweetmodel_api.trackers import Trackio
from tweetmodel_trainer.presentation.markdown import escape_markdown
from tweetmodel_trainer.trackers.events import Outcome, Results, Started
from tweetmodel_trainer.trackers.lineage import Reference, TrackedRun
from tweetmodel_trainer.trackers.tracker import Tracker, grouped

if TYPE_CHECKING:
    from trackio import ReferenceHandler


class NotSent(Exception):
    """Some metrics are only on the disk of the pod."""


class TrackioTracker(Tracker):
    """A run for the data set and a run for the model, since artifacts are inputs and outputs of runs."""

    def __init__(self, settings: Trackio, folder: Path) -> None:
        token = os.environ.pop("TRACKIO_TOKEN", "")
        os.environ |= {
            "TRACKIO_DIR": str(folder),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "GRADIO_ANALYTICS_ENABLED": "False",
        }
        if settings.space:
            os.environ["HF_TOKEN"] = token
        if settings.server_url:
            os.environ |= {"TRACKIO_WRITE_TOKEN": token, "TRACKIO_SERVER_URL": settings.server_url}
        import trackio

        self._trackio: Any = trackio
        self._settings = settings
        self._token = token

    def log_dataset(self, run: TrackedRun) -> None:
        self._check_server()
        self._trackio.register_reference_handler(_handler_without_reads())
        self._init(run.collection)
        for raw in run.raw:
            self._log_artifact(raw, "raw")
            self._trackio.use_artifact(raw.name)
        self._log_artifact(run.dataset, "dataset")
        self._trackio.finish()

    def start(self, run: TrackedRun, started: Started) -> None:
        self._check_server()
        self._init(run.id)
        self._trackio.config.update(started.config(run))

    def log_inputs(self, run: TrackedRun) -> None:
        self._trackio.use_artifact(run.dataset.name)

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        self._trackio.log({**grouped(metrics), "train/global_step": step})

    def log_model(self, results: Results) -> None:
        rows = [{key: escape_markdown(str(value)) for key, value in sample.items()} for sample in results.samples]
        self._trackio.log({"samples": self._trackio.Table(data=rows)})  # Trackio renders cells as Markdown
        self._log_artifact(results.model, "model")

    def finish(self, outcome: Outcome) -> None:
        from trackio.sqlite_storage import SQLiteStorage

        self._trackio.finish()
        if SQLiteStorage.has_pending_data(self._settings.project):
            raise NotSent

    def _check_server(self) -> None:
        """Raise the errors that `trackio.init` ignores."""
        if self._settings.space:
            from huggingface_hub import HfApi

            HfApi().whoami()
        else:
            server = self._trackio.RemoteClient(self._settings.server_url, write_token=self._token)
            server.predict(project=self._settings.project, api_name="/get_runs_for_project")

    def _init(self, name: str) -> None:
        space = self._settings.space
        self._trackio.init(self._settings.project, name, space_id=space, resume="allow", private=True)

    def _log_artifact(self, reference: Reference, kind: str) -> None:
        artifact = self._trackio.Artifact(reference.name, kind, metadata={"digest": reference.digest})
        artifact.add_reference(reference.uri, name=kind, checksum=False)
        self._trackio.log_artifact(artifact)


def _handler_without_reads() -> "ReferenceHandler":
    """Return a handler that reads no URI: Trackio doesn't support s3:// and has no key for the bucket."""
    from trackio import ReferenceHandler, ResolvedReference

    class Handler(ReferenceHandler):  # type: ignore[misc]  # trackio is not typed
        def matches(self, scheme: str, uri: str) -> bool:
            return True

        def resolve(self, uri: str, checksum: bool, max_objects: int) -> list[Any]:
            return [ResolvedReference(None, uri)]

        def fetch(self, uri: str, dest: Path) -> None:
            raise PermissionError("references are not downloaded")

        def hint(self) -> str:
            return ""

    return Handler()
