"""Fetches a model from the Hugging Face Hub: from the cache what is there, from the Hub the rest.

A revision is resolved to its commit first, and a commit never changes: once its files are in the cache, with their
list, nobody asks the Hub for them. The Hub's client looks at sizes alone (huggingface/huggingface_hub#3643), so what it
brings is hashed here: large files have a SHA-256 at the Hub, small ones git's hash.
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
from tweetmodel_trainer.models.cache import Cache

FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "README.md")
"""What a model's folder is read from."""

TIMEOUT_SECONDS = 10

_COMMIT = re.compile(r"[0-9a-f]{40}")


def commit_of(source: HubModel) -> str:
    """The commit that a revision is; of a commit itself nobody is asked.

    Raises:
        Failure: as `fetch`.
    """
    if _COMMIT.fullmatch(source.revision):
        return source.revision
    with translate_hub_errors(partial(_failure, source)):
        commit = _api().model_info(source.name, revision=source.revision, timeout=TIMEOUT_SECONDS).sha or ""
    if not _COMMIT.fullmatch(commit):
        raise _unreachable(source, "the Hub does not say which commit that is")
    return commit


def fetch(source: HubModel, folder: Path, cache: Cache) -> None:
    """Brings the model's files.

    Raises:
        Failure: BaseModelMissing or HubUnreachable.
    """
    commit = commit_of(source)
    kept = cache.listing(source.name, commit)
    if kept and all(cache.take(entry.sha256, folder / entry.path) for entry in kept.files):
        return
    with translate_hub_errors(partial(_failure, source)):
        api = _api()
        info = api.model_info(source.name, revision=commit, files_metadata=True, timeout=TIMEOUT_SECONDS)
        files = [file for file in info.siblings or () if is_wanted(file.rfilename)]
        missing = [f for f in files if not (f.lfs and cache.take(f.lfs.sha256, folder / f.rfilename))]
        if missing:
            api.snapshot_download(
                source.name,
                revision=commit,
                allow_patterns=[glob.escape(file.rfilename) for file in missing],
                local_dir=folder,
                etag_timeout=TIMEOUT_SECONDS,
            )
    entries = [_checked(file, folder, source) for file in files]
    for entry in entries:
        cache.keep(entry.sha256, folder / entry.path)
    cache.keep_listing(source.name, commit, Manifest.of(entries))


def _api() -> HfApi:
    """The Hub's client by the token of spec.baseModel.hub.secretRef; without, by the one that publishes, if any."""
    token = os.environ.get(BASE_MODEL.variable, "").strip()  # `echo KEY | base64` ends in a line break
    return HfApi(token=token or None)


def is_wanted(path: str) -> bool:
    """Whether a file of a repository is one to fetch: folders hold other formats, `consolidated` all shards in one."""
    return "/" not in path and not path.startswith("consolidated") and any(fnmatch(path, kind) for kind in FILES)


def _checked(file: RepoSibling, folder: Path, source: HubModel) -> FileEntry:
    """The file as it came; a mirror of the Hub may tell no hashes, and then there is nothing to compare."""
    path = folder / file.rfilename
    if not path.is_file():  # its client takes a folder that is not empty for a download, when the Hub fails meanwhile
        raise _unreachable(source, f"{file.rfilename} did not come")
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    if file.lfs:
        is_right = sha256 == file.lfs.sha256
    else:
        is_right = file.blob_id is None or _git_hash(path.read_bytes()) == file.blob_id
    if not is_right:
        path.unlink()
        raise _unreachable(source, f"{file.rfilename} came damaged")
    return FileEntry(path=file.rfilename, size=path.stat().st_size, sha256=sha256)


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _failure(source: HubModel, kind: HubErrorKind, words: str) -> Failure:
    """What the Hub's answer is to a run."""
    if kind == "unreachable":
        return _unreachable(source, f"the Hub does not answer ({words})")
    token = "a Secret with the key token in baseModel.hub.secretRef"
    if kind == "missing":
        sentence = f"{_named(source)} does not exist on the Hub, or is private: correct baseModel.hub, or name {token}."
    else:
        terms = "accept its terms there and " if kind == "gated" else ""
        advice = f"{terms}name {token}, or put a copy into storage (baseModel.s3)"
        sentence = f"the Hub refuses {_named(source)} ({words}): {advice}."
    return Failure(Reason.BASE_MODEL_MISSING, sentence)


def _unreachable(source: HubModel, why: str) -> Failure:
    sentence = (
        f"{_named(source)} can't be fetched, because {why}: check the network, or take the base model from storage "
        "with baseModel.s3."
    )
    return Failure(Reason.HUB_UNREACHABLE, sentence)


def _named(source: HubModel) -> str:
    return f"{source.name} at {source.revision}"
