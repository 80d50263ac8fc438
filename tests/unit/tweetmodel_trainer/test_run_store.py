"""Tests of the folders of a run in storage, in particular of updates that are interrupted at any time."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from finished import finished_run
from tweetmodel_api.layout import FileEntry, Layout, Manifest
from tweetmodel_api.report import Report
from tweetmodel_trainer.run_store import PAGE, RESULTS, RunStore, StoredRun, write_results
from tweetmodel_trainer.storage import IncompleteFolder

RUN = "ab" * 8
LAYOUT = Layout("s3://bucket/models", "default", "ada")
WEIGHTS = Manifest.of([FileEntry(path="model.safetensors", size=7, sha256="1" * 64)])


class Killed(Exception):
    """Stands for the end of the pod."""


class FakeStorage:
    """Storage in memory with the guarantees of the real one: uploads of a folder are not atomic."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.complete: set[str] = {LAYOUT.model(RUN)}
        self.remaining = 10**9
        """Number of writes until the pod is killed."""

    def _write(self) -> None:
        if self.remaining == 0:
            raise Killed
        self.remaining -= 1

    def upload_folder(self, folder: Path, uri: str, *, replace: bool = False) -> None:
        files = {f"{uri}/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.*")}
        if uri in self.complete and files == self.below(uri):
            return
        self.delete(uri)
        for name, content in files.items():
            self._write()
            self.objects[name] = content
        self._write()
        self.complete.add(uri)

    def delete(self, uri: str) -> None:
        if uri in self.complete:
            self._write()
            self.complete.remove(uri)
        for name in self.below(uri):
            self._write()
            del self.objects[name]

    def download_folder(self, uri: str, folder: Path) -> None:
        if uri not in self.complete:
            raise IncompleteFolder(f"{uri} has no manifest")
        for name, content in self.below(uri).items():
            path = folder / name.removeprefix(f"{uri}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def manifest(self, uri: str) -> Manifest | None:
        return WEIGHTS if uri in self.complete else None

    def sizes_match(self, uri: str, manifest: Manifest) -> bool:
        return uri in self.complete

    def below(self, uri: str) -> dict[str, bytes]:
        return {name: content for name, content in self.objects.items() if name.startswith(f"{uri}/")}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], tuple[Path, Report]]:
    """Writes page and results with a sample, and returns their folder and the report."""

    def write_outputs(sample: str) -> tuple[Path, Report]:
        folder, summary = tmp_path / f"outputs-{sample}", finished_run(texts=[sample])
        (folder / PAGE).mkdir(parents=True)
        (folder / PAGE / "index.html").write_text(sample)
        model = {
            "uri": LAYOUT.model(RUN),
            "digest": WEIGHTS.digest,
            "optimizer_steps": 390,
            "evaluation": summary.evaluation.status,
        }
        report = Report.model_validate(
            {"outcome": "Succeeded", "reason": "Succeeded", "message": "", "model": model, "samples": [sample]}
        )
        return folder, write_results(folder / RESULTS, report, summary.training, summary.evaluation)

    return write_outputs


def loaded(storage: FakeStorage, workdir: Path) -> StoredRun | None:
    return RunStore(storage, LAYOUT, RUN).load(workdir)


def test_a_run_is_finished_once_its_results_are_stored(write: Any, tmp_path: Path) -> None:
    storage = FakeStorage()
    store = RunStore(storage, LAYOUT, RUN)
    assert store.load(tmp_path / "work") is None
    folder, report = write("first")
    store.upload_outputs(folder)
    assert store.load(tmp_path / "work") == StoredRun(report, finished_run().training)
    storage.complete.remove(LAYOUT.model(RUN))
    assert store.load(tmp_path / "work") is None


def test_an_interrupted_update_leaves_the_old_or_the_new_outputs(write: Any, tmp_path: Path) -> None:
    """The pod is killed before each write, and the next pod is killed while it finishes the update."""
    (old_folder, old), (new_folder, new) = write("old"), write("new")
    writes, seen = 0, set()
    while True:
        storage = FakeStorage()
        store = RunStore(storage, LAYOUT, RUN)
        store.upload_outputs(old_folder)
        storage.remaining = writes
        try:
            store.replace_outputs(new_folder)
        except Killed:
            storage.remaining = 3
            with suppress(Killed):
                loaded(storage, tmp_path / "second")
            storage.remaining = 10**9
        else:
            break
        stored = loaded(storage, tmp_path / "third")
        assert stored
        assert stored.report in (old, new), f"killed before write {writes}"
        page = storage.objects[f"{LAYOUT.page(RUN)}/index.html"].decode()
        assert [page] == list(stored.report.samples)
        seen.add(page)
        writes += 1
    assert seen == {"old", "new"}
    assert loaded(storage, tmp_path / "last").report == new
    assert not storage.below(LAYOUT.update(RUN))
