"""Where everything lies in S3, and the manifest that makes a folder complete.

    <storage.uri>/<namespace>/<name>/
      raw/x/<handle>/           <until>-<low>-<bought>.jsonl: pages of the X API, by the ids that they cover
      look/                     look.json: what the sources were when they were read last, and what came of it
      datasets/<digest>/        train.jsonl  eval.jsonl  dataset.json, or FORGOTTEN alone: it held what is forgotten now
      runs/<run>/checkpoints/<step>-<attempt>/
      runs/<run>/model/         config, safetensors weights, tokenizer, README.md, predictions.png
      runs/<run>/page/          index.html  predictions.png
      runs/<run>/tensorboard/   event files, where spec.reportTo asks for them
      runs/<run>/results/       report.json  evaluation.json  samples.jsonl  metrics.jsonl
      runs/<run>/metrics.jsonl  of a run that failed after training began

S3 has no atomic rename, so a folder exists once its MANIFEST.json does: it is written last, names
every file with size and SHA-256, and readers verify it. A complete folder is not overwritten, except those of a run
that is not done, whose model, page, event files and results another attempt may replace, and the note of the last look.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from tweetmodel_api.fields import Model

MANIFEST = "MANIFEST.json"
FORGOTTEN = "FORGOTTEN"


def _below(path: str) -> str:
    if "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError("a manifest names only files below its folder")
    return path


class FileEntry(Model):
    """One file of a folder."""

    path: Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_below)]
    """Path below the folder."""

    size: Annotated[int, Field(ge=0)]
    """Bytes."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the content."""


class Manifest(Model):
    """Names every file of a complete folder, sorted by path."""

    files: tuple[FileEntry, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over paths and hashes: equal content gives an equal digest."""
        return hashlib.sha256("".join(f"{f.sha256}  {f.path}\n" for f in self.files).encode()).hexdigest()

    @classmethod
    def of(cls, files: Iterable[FileEntry]) -> "Manifest":
        """The manifest of these files, in any order."""
        return cls(files=tuple(sorted(files, key=lambda f: f.path)))


@dataclass(frozen=True)
class Layout:
    """The folders of one TweetModel, as S3 URIs without a trailing slash."""

    storage_uri: str
    namespace: str
    name: str

    @property
    def root(self) -> str:
        """Everything of this TweetModel."""
        return f"{self.storage_uri.rstrip('/')}/{self.namespace}/{self.name}"

    @property
    def raw(self) -> str:
        """Posts as they were bought."""
        return f"{self.root}/raw"

    def raw_x(self, handle: str) -> str:
        """What was read of an account from the X API."""
        return f"{self.raw}/x/{handle.lower()}"

    @property
    def look(self) -> str:
        """What the sources were when they were read last."""
        return f"{self.root}/look"

    @property
    def datasets(self) -> str:
        """All data sets."""
        return f"{self.root}/datasets"

    def dataset(self, digest: str) -> str:
        """A data set."""
        return f"{self.datasets}/{digest[:16]}"

    def checkpoints(self, run: str) -> str:
        """All checkpoints of a run."""
        return f"{self.root}/runs/{run}/checkpoints"

    def checkpoint(self, run: str, step: int, attempt: str) -> str:
        """One checkpoint; `attempt` is unique to the pod that writes it."""
        return f"{self.checkpoints(run)}/{step:08d}-{attempt}"

    def model(self, run: str) -> str:
        """The finished model of a run."""
        return f"{self.root}/runs/{run}/model"

    def page(self, run: str) -> str:
        """The page of a finished model, for a browser."""
        return f"{self.root}/runs/{run}/page"

    def tensorboard(self, run: str) -> str:
        """TensorBoard's event files of a run."""
        return f"{self.root}/runs/{run}/tensorboard"

    def results(self, run: str) -> str:
        """Report, evaluation, samples and metrics of a run; complete means that the run is done."""
        return f"{self.root}/runs/{run}/results"

    def metrics(self, run: str) -> str:
        """Losses of a run that failed: its results must not look as if it were done."""
        return f"{self.root}/runs/{run}/metrics.jsonl"


def checkpoint_step(folder: str) -> int | None:
    """The step in a checkpoint folder's last path segment, or None where it is no such folder."""
    match = re.fullmatch(r"(\d{8,})-[\w.-]+", folder.rstrip("/").rsplit("/", 1)[-1])
    return int(match[1]) if match else None
