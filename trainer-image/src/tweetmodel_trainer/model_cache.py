"""A cache of model files, addressed by SHA-256, in a folder shared by several pods.

    <folder>/sha256/<hash>              a file
    <folder>/hub/<name>/<commit>.json   manifest of a model on the Hub

A file is written under a temporary name, flushed to the disk and renamed, so the cache never contains partial files.
Files are hashed when they enter and when they leave the cache, and always copied, so that pods use verified content and
cannot modify the cache. An error disables the cache for the rest of the process and never fails a run.
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
PARTIAL_SUFFIX = ".part"
"""Suffix of incomplete files."""
ABANDONED_SECONDS = 86_400
"""Age at which a partial file is deleted, since its pod has ended."""


class Cache:
    """A cache in a folder. Without a folder the cache is empty and stores nothing."""

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def get(self, sha256: str, path: Path) -> bool:
        """Copy the file with this hash to `path`; return False if the cache does not contain the file.

        A damaged file is removed from the cache.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._disabled_on_error():
            entry = self._file(sha256)
            if entry is None or not entry.is_file():
                return False
            try:
                with entry.open("rb") as source, path.open("wb") as target:
                    copied = _copy(source, target)
            except FileNotFoundError:  # another pod has removed the file
                return False
            if copied == sha256:
                return True
            logger.warning("%s is damaged and is downloaded again", entry)
            path.unlink()
            entry.unlink(missing_ok=True)
            return False
        path.unlink(missing_ok=True)
        return False

    def put(self, sha256: str, path: Path) -> None:
        """Add a file, unless the cache already contains the file or its content does not match the hash."""
        with self._disabled_on_error():
            entry = self._file(sha256)
            if entry and not entry.is_file():
                with path.open("rb") as source:
                    self._write(entry, source, sha256)

    def get_manifest(self, name: str, commit: str) -> Manifest | None:
        """Return the cached manifest of a model on the Hub at a commit, or None."""
        with self._disabled_on_error():
            path = self._manifest(name, commit)
            if path and path.is_file():
                try:
                    return Manifest.model_validate_json(path.read_bytes())
                except ValidationError:
                    logger.warning("%s is damaged and is requested from the Hub again", path)
                    path.unlink(missing_ok=True)
        return None

    def put_manifest(self, name: str, commit: str, manifest: Manifest) -> None:
        """Add the manifest of a model on the Hub at a commit; all its files must be in the cache."""
        with self._disabled_on_error():
            path = self._manifest(name, commit)
            if path and not path.is_file():
                body = manifest.model_dump_json(by_alias=True, indent=1).encode()
                self._write(path, BytesIO(body), hashlib.sha256(body).hexdigest())

    def _file(self, sha256: str) -> Path | None:
        return self._folder / "sha256" / sha256 if self._folder else None

    def _manifest(self, name: str, commit: str) -> Path | None:
        return self._folder / "hub" / name.replace("/", "--") / f"{commit}.json" if self._folder else None

    def _write(self, entry: Path, source: BinaryIO, sha256: str) -> None:
        entry.parent.mkdir(parents=True, exist_ok=True)
        self._delete_abandoned(entry.parent)
        partial = entry.with_name(f"{entry.name}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}")
        try:
            with partial.open("xb") as target:
                written = _copy(source, target)
                target.flush()
                os.fsync(target.fileno())
            if written == sha256:
                partial.rename(entry)
        finally:
            partial.unlink(missing_ok=True)

    def _delete_abandoned(self, folder: Path) -> None:
        for partial in folder.glob(f"*{PARTIAL_SUFFIX}"):
            with suppress(FileNotFoundError):  # another pod has just renamed the file
                if self._clock() - partial.stat().st_mtime > ABANDONED_SECONDS:
                    partial.unlink()

    @contextmanager
    def _disabled_on_error(self) -> Iterator[None]:
        """Disable the cache if the disk is full, read-only or broken."""
        try:
            yield
        except OSError as error:
            logger.warning("the cache in %s can't be used (%s): the run continues without it", self._folder, error)
            self._folder = None


NO_CACHE = Cache(None)


def _copy(source: BinaryIO, target: BinaryIO) -> str:
    """Copy one file to another and return the SHA-256 of the content."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()
