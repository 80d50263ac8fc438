"""Files by their SHA-256, in a folder that outlives pods and that several of them use at once.

    <folder>/sha256/<hash>              a file
    <folder>/hub/<name>/<commit>.json   the files of a model on the Hub, as a manifest

A file is written under another name, flushed to the disk and renamed, so it is there whole or not at all. It is hashed
on its way in and on its way out, and copied both times: what a pod works with is what was checked, and nobody's work
changes what is kept. The cache saves time and nothing else: where it fails, it is told once and passed over.
"""

import hashlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from tweetmodel_api.layout import Manifest

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
PART = ".part"
"""How the name of a file ends that is still being written."""
ABANDONED_SECONDS = 86_400
"""After so long nobody writes a file on any more: its pod is gone."""


class Cache:
    """The cache in a folder; without a folder it holds nothing and keeps nothing."""

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def take(self, sha256: str, path: Path) -> bool:
        """Copies the file of this hash to `path`; False where it is not there. One that is damaged is removed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._passed_over_if_it_fails():
            entry = self._file(sha256)
            if entry is None or not entry.is_file():
                return False
            try:
                with entry.open("rb") as source, path.open("wb") as target:
                    found = _copy(source, target)
            except FileNotFoundError:  # somebody has just removed it
                return False
            if found == sha256:
                return True
            logger.warning("%s is damaged, so it is fetched again", entry)
            path.unlink()
            entry.unlink(missing_ok=True)
            return False
        path.unlink(missing_ok=True)
        return False

    def keep(self, sha256: str, path: Path) -> None:
        """Puts a file in, unless it is there already or is not what its hash says."""
        with self._passed_over_if_it_fails():
            entry = self._file(sha256)
            if entry and not entry.is_file():
                with path.open("rb") as source:
                    self._write(entry, source, sha256)

    def listing(self, name: str, commit: str) -> Manifest | None:
        """The files of a model on the Hub at a commit, where they were kept."""
        with self._passed_over_if_it_fails():
            path = self._list(name, commit)
            if path and path.is_file():
                try:
                    return Manifest.model_validate_json(path.read_bytes())
                except ValidationError:
                    logger.warning("%s is damaged, so the Hub is asked again", path)
                    path.unlink(missing_ok=True)
        return None

    def keep_listing(self, name: str, commit: str, files: Manifest) -> None:
        """Keeps which files a model on the Hub has at a commit, once all of them are kept."""
        with self._passed_over_if_it_fails():
            path = self._list(name, commit)
            if path and not path.is_file():
                body = files.model_dump_json(by_alias=True, indent=1).encode()
                self._write(path, BytesIO(body), hashlib.sha256(body).hexdigest())

    def _file(self, sha256: str) -> Path | None:
        return self._folder / "sha256" / sha256 if self._folder else None

    def _list(self, name: str, commit: str) -> Path | None:
        return self._folder / "hub" / name.replace("/", "--") / f"{commit}.json" if self._folder else None

    def _write(self, entry: Path, source: BinaryIO, sha256: str) -> None:
        entry.parent.mkdir(parents=True, exist_ok=True)
        for part in entry.parent.glob(f"*{PART}"):
            with suppress(FileNotFoundError):  # its pod has just finished it
                if self._clock() - part.stat().st_mtime > ABANDONED_SECONDS:
                    part.unlink()
        part = entry.with_name(f"{entry.name}.{uuid.uuid4().hex}{PART}")
        try:
            with part.open("xb") as target:
                written = _copy(source, target)
                target.flush()
                os.fsync(target.fileno())
            if written == sha256:
                part.rename(entry)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _passed_over_if_it_fails(self) -> Iterator[None]:
        """A disk that is full, read-only or broken costs no run: from here on there is no cache."""
        try:
            yield
        except OSError as error:
            logger.warning("%s can't be used as a cache (%s): it goes on without", self._folder, error)
            self._folder = None


NO_CACHE = Cache(None)


def _copy(source: BinaryIO, target: BinaryIO) -> str:
    """Copies from one file to another; the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()
