"""Downloads a model from the Hugging Face Hub, except the files that the cache contains.

A revision is resolved to its commit first. Commits are immutable, so a cached commit needs no further request. The
client of the Hub verifies only the size of a file (huggingface/huggingface_hub#3643). This module also verifies the
hash: the Hub lists the SHA-256 of large files and the git hash of small files.
"""

import glob
import hashlib
import os
import re
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoSibling

from tweetmodel_api.credentials import BASE_MODEL
from tweetmodel_api.layout import FileEntry, Manifest
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubModel
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.hub_errors import HubErrorKind, translate_hub_errors
from tweetmodel_trainer.model_cache import Cache

FILE_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md")
"""Patterns of the downloaded files."""

TIMEOUT_SECONDS = 10

_COMMIT = re.compile(r"[0-9a-f]{40}")


def resolve_commit(source: HubModel) -> str:
    """Return the commit of a revision, without a request if the revision is a commit.

    Raises:
        Failure: as in `download`.
    """
    if _COMMIT.fullmatch(source.revision):
        return source.revision
    with translate_hub_errors(partial(_failure, source)):
        commit = _client().model_info(source.name, revision=source.revision, timeout=TIMEOUT_SECONDS).sha or ""
    if not _COMMIT.fullmatch(commit):
        raise _unreachable(source, "the Hub did not return the commit of the revision")
    return commit


def download(source: HubModel, folder: Path, cache: Cache) -> None:
    """Download the files of a model.

    Raises:
        Failure: BaseModelMissing or HubUnreachable.
    """
    commit = resolve_commit(source)
    manifest = cache.get_manifest(source.name, commit)
    if manifest and all(cache.get(entry.sha256, folder / entry.path) for entry in manifest.files):
        return
    with translate_hub_errors(partial(_failure, source)):
        files = _download_missing(source.name, commit, folder, cache)
    entries = [_verify(file, folder, source) for file in files]
    for entry in entries:
        cache.put(entry.sha256, folder / entry.path)
    cache.put_manifest(source.name, commit, Manifest.of(entries))


def _download_missing(name: str, commit: str, folder: Path, cache: Cache) -> list[RepoSibling]:
    """Download all model files outside the cache, and return the Hub's description of all model files."""
    client = _client()
    info = client.model_info(name, revision=commit, files_metadata=True, timeout=TIMEOUT_SECONDS)
    files = [file for file in info.siblings or () if is_model_file(file.rfilename)]
    missing = [f for f in files if not (f.lfs and cache.get(f.lfs.sha256, folder / f.rfilename))]
    if missing:
        client.snapshot_download(
            name,
            revision=commit,
            allow_patterns=[glob.escape(file.rfilename) for file in missing],
            local_dir=folder,
            etag_timeout=TIMEOUT_SECONDS,
        )
    return files


def _client() -> HfApi:
    """Return a client with the token of spec.baseModel.hub.secretRef, or else with the token for publishing, if any."""
    token = os.environ.get(BASE_MODEL.variable, "").strip()  # `echo KEY | base64` appends a line break
    return HfApi(token=token or None)


def is_model_file(path: str) -> bool:
    """Return whether a file of a repository is downloaded.

    Folders contain other formats, and `consolidated` files repeat the weights of all shards.
    """
    if "/" in path or path.startswith("consolidated"):
        return False
    return any(fnmatch(path, pattern) for pattern in FILE_PATTERNS)


def _verify(file: RepoSibling, folder: Path, source: HubModel) -> FileEntry:
    """Verify the hash of a downloaded file, and return the manifest entry; raise HubUnreachable if the hash is wrong.

    Mirrors of the Hub may list no hashes; their files are not verified.
    """
    path = folder / file.rfilename
    if not path.is_file():  # if the Hub fails meanwhile, the client takes a folder with any files for a download
        raise _unreachable(source, f"{file.rfilename} was not downloaded")
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    if file.lfs:
        is_intact = sha256 == file.lfs.sha256
    else:
        is_intact = file.blob_id is None or _git_hash(path.read_bytes()) == file.blob_id
    if not is_intact:
        path.unlink()
        raise _unreachable(source, f"{file.rfilename} arrived damaged")
    return FileEntry(path=file.rfilename, size=path.stat().st_size, sha256=sha256)


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _failure(source: HubModel, kind: HubErrorKind, cause: str) -> Failure:
    """Return the failure of a run for an error of the Hub."""
    if kind == "unreachable":
        return _unreachable(source, f"the Hub does not respond: {cause}")
    token = "a Secret with the key token in baseModel.hub.secretRef"
    name = _display_name(source)
    if kind == "missing":
        message = f"{name} does not exist on the Hub or is private: correct baseModel.hub, or name {token}."
        return Failure(Reason.BASE_MODEL_MISSING, message)
    terms = "accept the terms of the model on the Hub and " if kind == "gated" else ""
    advice = f"{terms}name {token}, or put a copy of the model into storage (baseModel.s3)"
    return Failure(Reason.BASE_MODEL_MISSING, f"the Hub refuses access to {name} ({cause}): {advice}.")


def _unreachable(source: HubModel, cause: str) -> Failure:
    message = (
        f"{_display_name(source)} can't be downloaded ({cause}): check the network, or load the base model from "
        "storage with baseModel.s3."
    )
    return Failure(Reason.HUB_UNREACHABLE, message)


def _display_name(source: HubModel) -> str:
    return f"{source.name} at {source.revision}"
