"""The layout of a TweetModel's data in S3, and the manifest that marks a folder as complete.

    <storage.uri>/<namespace>/<name>/
      raw/x/<handle>/           <until>-<low>-<bought>.jsonl: pages of the X API, named by the range of post ids
      fingerprint/              fingerprint.json: versions of the sources at the last collection, and its result
      datasets/<digest>/        train.jsonl  eval.jsonl  dataset.json, or only ERASED after an erased post was found
      runs/<run>/checkpoints/<global step>-<attempt>/
      runs/<run>/model/         config, safetensors weights and tokenizer, from which transformers loads the model
      runs/<run>/page/          index.html  predictions.png  README.md (the model card)  generation_config.json
      runs/<run>/tensorboard/   event files, if spec.reportTo.tensorBoard is set
      runs/<run>/results/       report.json  training.json  evaluation.json  samples.jsonl  metrics.jsonl
      runs/<run>/update/        page/ and results/ with new samples, until they have replaced the present ones
      runs/<run>/metrics.jsonl  of a run that failed after training began

S3 has no atomic rename, so a folder exists once its MANIFEST.json exists: the manifest is written last and contains
size and SHA-256 of every file, which readers verify. Complete folders are immutable, with these exceptions: the
fingerprint; folders of an unfinished run, which another attempt may replace; and page and results of a finished run,
which new samples replace. The model of a finished run never changes.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from tweetmodel_api.fields import Model

MANIFEST = "MANIFEST.json"
TOMBSTONE = "ERASED"


def _relative(path: str) -> str:
    if "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError("a manifest names only files below its folder")
    return path


class FileEntry(Model):
    """One file of a folder."""

    path: Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_relative)]
    """Path below the folder."""

    size: Annotated[int, Field(ge=0)]
    """Size in bytes."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the content."""


class Manifest(Model):
    """Lists every file of a complete folder, sorted by path."""

    files: tuple[FileEntry, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over paths and hashes: equal content gives an equal digest."""
        return hashlib.sha256("".join(f"{f.sha256}  {f.path}\n" for f in self.files).encode()).hexdigest()

    @classmethod
    def of(cls, files: Iterable[FileEntry]) -> "Manifest":
        """Return the manifest of these files, given in any order."""
        return cls(files=tuple(sorted(files, key=lambda f: f.path)))


@dataclass(frozen=True)
class Layout:
    """The folders of one TweetModel, as S3 URIs without a trailing slash."""

    storage_uri: str
    namespace: str
    name: str

    @property
    def root(self) -> str:
        """Folder of the TweetModel."""
        return f"{self.storage_uri.rstrip('/')}/{self.namespace}/{self.name}"

    @property
    def raw(self) -> str:
        """Folder of posts in their original form."""
        return f"{self.root}/raw"

    def raw_x(self, handle: str) -> str:
        """Return the folder of an account's pages of the X API."""
        return f"{self.raw}/x/{handle.lower()}"

    @property
    def fingerprint(self) -> str:
        """Folder of the source fingerprint of the last collection."""
        return f"{self.root}/fingerprint"

    @property
    def datasets(self) -> str:
        """Folder of all data sets."""
        return f"{self.root}/datasets"

    def dataset(self, digest: str) -> str:
        """Return the folder of a data set."""
        return f"{self.datasets}/{digest[:16]}"

    def checkpoints(self, run: str) -> str:
        """Return the folder of all checkpoints of a run."""
        return f"{self.root}/runs/{run}/checkpoints"

    def checkpoint(self, run: str, global_step: int, attempt: str) -> str:
        """Return the folder of one checkpoint; `attempt` is unique to the pod that writes the checkpoint."""
        return f"{self.checkpoints(run)}/{global_step:08d}-{attempt}"

    def model(self, run: str) -> str:
        """Return the folder of the finished model of a run."""
        return f"{self.root}/runs/{run}/model"

    def page(self, run: str) -> str:
        """Return the folder of page, model card, preview image and generation settings of a finished model."""
        return f"{self.root}/runs/{run}/page"

    def update(self, run: str) -> str:
        """Return the folder of new page and results of a run, which exists only while they replace the present ones."""
        return f"{self.root}/runs/{run}/update"

    def tensorboard(self, run: str) -> str:
        """Return the folder of TensorBoard event files of a run."""
        return f"{self.root}/runs/{run}/tensorboard"

    def results(self, run: str) -> str:
        """Return the folder of report, training result, evaluation, samples and metrics, which completes a run."""
        return f"{self.root}/runs/{run}/results"

    def metrics(self, run: str) -> str:
        """Return the object with the metrics of a failed run, which has no results folder."""
        return f"{self.root}/runs/{run}/metrics.jsonl"


def checkpoint_step(folder: str) -> int | None:
    """Return the optimizer step of a checkpoint folder, or None for another folder."""
    match = re.fullmatch(r"(\d{8,})-[\w.-]+", folder.rstrip("/").rsplit("/", 1)[-1])
    return int(match[1]) if match else None
