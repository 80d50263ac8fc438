"""The model, page and results of a run in storage.

The results folder completes a run. New samples of a finished run replace page and results: both are first uploaded to
the update folder, whose manifest commits the update, and then to their own folders. A step that finds a complete update
folder finishes the update. If a pod is killed, the run therefore has either the old or the new page and results. Two
pods at a time could mix old and new files; the operator starts a pod only after the previous pod has ended.
"""

import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from tweetmodel_api.layout import Layout
from tweetmodel_api.report import Report, decode, encode
from tweetmodel_trainer.evaluation.evaluation_report import EvaluationReport
from tweetmodel_trainer.storage import IncompleteFolder, Storage
from tweetmodel_trainer.training.result import TrainingResult

logger = logging.getLogger(__name__)

MODEL, PAGE, RESULTS = "model", "page", "results"
"""Folders of a run on the disk of the pod."""

REPORT, TRAINING, EVALUATION = "report.json", "training.json", "evaluation.json"
SAMPLES, METRICS = "samples.jsonl", "metrics.jsonl"
"""Files of the results folder."""


@dataclass(frozen=True)
class StoredRun:
    """The results of a finished run."""

    report: Report
    training: TrainingResult


@dataclass(frozen=True)
class RunStore:
    """Reads and writes the folders of one run."""

    storage: Storage
    layout: Layout
    run: str

    def load(self, workdir: Path) -> StoredRun | None:
        """Return the results of the run; None if results or model are missing or incomplete.

        Args:
            workdir: folder for temporary files.
        """
        self._finish_update(workdir / "update")
        folder = workdir / "stored"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            self.storage.download_folder(self.layout.results(self.run), folder)
        except IncompleteFolder:
            return None
        stored = _read_results(folder)
        if stored is None or not self._has_model(stored.report):
            logger.warning("the results of run %s do not match its model: the run counts as unfinished", self.run)
            return None
        return stored

    def upload_outputs(self, folder: Path) -> None:
        """Upload page and results of a run, which are subfolders of `folder`. The results complete the run."""
        self.storage.upload_folder(folder / PAGE, self.layout.page(self.run), replace=True)
        self.storage.upload_folder(folder / RESULTS, self.layout.results(self.run), replace=True)

    def replace_outputs(self, folder: Path) -> None:
        """Replace page and results of a finished run, so that a crash leaves either the old or the new ones."""
        update = self.layout.update(self.run)
        self.storage.upload_folder(folder, update, replace=True)
        self.upload_outputs(folder)
        self.storage.delete(update)

    def _finish_update(self, folder: Path) -> None:
        update = self.layout.update(self.run)
        try:
            self.storage.download_folder(update, folder)
        except IncompleteFolder:
            return
        logger.info("the interrupted update of run %s is finished", self.run)
        self.upload_outputs(folder)
        self.storage.delete(update)

    def _has_model(self, report: Report) -> bool:
        """Return whether the model of a report is complete in storage."""
        uri = self.layout.model(self.run)
        manifest = self.storage.manifest(uri)
        if report.model is None or manifest is None:
            return False
        return manifest.digest == report.model.digest and self.storage.sizes_match(uri, manifest)


def _read_results(folder: Path) -> StoredRun | None:
    try:
        report = decode((folder / REPORT).read_text())
        training = TrainingResult.model_validate_json((folder / TRAINING).read_text(), extra="ignore")
    except (OSError, ValidationError):
        return None
    return StoredRun(report, training) if report else None


def write_results(folder: Path, report: Report, training: TrainingResult, evaluation: EvaluationReport) -> Report:
    """Write the files of the results folder, and return the report as it was written, with shortened samples."""
    folder.mkdir(parents=True)
    text = encode(report)
    (folder / REPORT).write_text(text)
    (folder / TRAINING).write_text(training.model_dump_json(by_alias=True, indent=2) + "\n")
    (folder / EVALUATION).write_text(json.dumps(evaluation.to_json(), indent=2) + "\n")
    (folder / SAMPLES).write_text(json_lines(asdict(sample) for sample in evaluation.samples))
    (folder / METRICS).write_text(json_lines(training.log))
    return Report.model_validate_json(text)


def json_lines(rows: Iterable[Mapping[str, object]]) -> str:
    """Return rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
