"""Tests of the model cache: complete, verified files, and no error that fails a run."""

import errno
import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tweetmodel_api.layout import FileEntry, Manifest
from tweetmodel_trainer.model_cache import ABANDONED_SECONDS, NO_CACHE, Cache

CONTENT = b"weights" * 500_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MANIFEST = Manifest.of([FileEntry(path="model.safetensors", size=len(CONTENT), sha256=SHA256)])
COMMIT = "c" * 40


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_cached_file_is_copied_by_the_next_pod(cache: Cache, weights: Path, tmp_path: Path) -> None:
    assert not cache.get(SHA256, tmp_path / "first")
    cache.put(SHA256, weights)
    later = Cache(tmp_path / "cache")
    assert later.get(SHA256, tmp_path / "work" / "second")
    (tmp_path / "work" / "second").write_bytes(b"changed by its user")
    assert later.get(SHA256, tmp_path / "third")
    assert (tmp_path / "third").read_bytes() == CONTENT
    assert files(tmp_path) == [tmp_path / "cache" / "sha256" / SHA256]


@pytest.mark.parametrize("damage", [CONTENT[:-1], b"", CONTENT[:-1] + b"x"], ids=["cut", "empty", "one bit"])
def test_a_damaged_file_is_removed_and_cached_again(cache: Cache, weights: Path, tmp_path: Path, damage: bytes) -> None:
    cache.put(SHA256, weights)
    files(tmp_path)[0].write_bytes(damage)
    assert not cache.get(SHA256, tmp_path / "taken")
    assert not (tmp_path / "taken").exists()
    assert files(tmp_path) == []
    cache.put(SHA256, weights)
    assert cache.get(SHA256, tmp_path / "taken")


def test_a_file_with_a_wrong_hash_is_not_cached(cache: Cache, weights: Path, tmp_path: Path) -> None:
    cache.put("0" * 64, weights)
    assert files(tmp_path) == []


def test_several_pods_put_and_get_the_same_file_at_once(weights: Path, tmp_path: Path) -> None:
    def pod(number: int) -> bool:
        cache = Cache(tmp_path / "cache")
        cache.put(SHA256, weights)
        return cache.get(SHA256, tmp_path / f"pod-{number}") and cache.get(SHA256, tmp_path / f"again-{number}")

    with ThreadPoolExecutor(8) as pods:
        assert all(pods.map(pod, range(24)))
    assert files(tmp_path) == [tmp_path / "cache" / "sha256" / SHA256]


def test_partial_files_of_killed_pods_are_deleted_after_a_day(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "sha256"
    folder.mkdir(parents=True)
    (folder / "half.part").write_bytes(CONTENT[:100])
    now = (folder / "half.part").stat().st_mtime
    Cache(tmp_path / "cache", lambda: now + 60).put(SHA256, weights)
    assert (folder / "half.part").exists()
    (folder / SHA256).unlink()
    Cache(tmp_path / "cache", lambda: now + ABANDONED_SECONDS + 1).put(SHA256, weights)
    assert files(tmp_path) == [folder / SHA256]


def test_a_full_disk_is_logged_once_and_leaves_no_files(
    cache: Cache, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for _ in range(2):
        cache.put(SHA256, weights)
        cache.put_manifest("a/b", COMMIT, MANIFEST)
        assert not cache.get(SHA256, tmp_path / "taken")
        assert cache.get_manifest("a/b", COMMIT) is None
    assert files(tmp_path) == []
    assert [record.getMessage() for record in caplog.records] == [
        f"the cache in {tmp_path / 'cache'} can't be used ([Errno 28] No space left on device): "
        "the run continues without it"
    ]


def test_a_file_instead_of_a_folder_disables_the_cache(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    cache = Cache(tmp_path / "cache")
    cache.put(SHA256, weights)
    assert not cache.get(SHA256, tmp_path / "taken")


def test_a_read_only_cache_is_used(
    cache: Cache, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(SHA256, weights)
    open_it = Path.open

    def read_only(path: Path, mode: str = "r", *rest: Any) -> Any:
        if mode == "xb":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return open_it(path, mode, *rest)

    monkeypatch.setattr(Path, "open", read_only)
    later = Cache(tmp_path / "cache")
    assert later.get(SHA256, tmp_path / "taken")
    later.put("0" * 64, weights)


def test_a_read_error_leaves_no_partial_file(
    cache: Cache, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(SHA256, weights)

    def broken(source: object, target: object) -> str:
        (tmp_path / "taken").write_bytes(b"half")
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("tweetmodel_trainer.model_cache._copy", broken)
    assert not cache.get(SHA256, tmp_path / "taken")
    assert not (tmp_path / "taken").exists()


def test_manifests_are_found_by_name_and_commit_unless_damaged(cache: Cache, tmp_path: Path) -> None:
    cache.put_manifest("openai-community/gpt2", COMMIT, MANIFEST)
    assert cache.get_manifest("openai-community/gpt2", COMMIT) == MANIFEST
    assert cache.get_manifest("openai-community/gpt2", "d" * 40) is None
    assert cache.get_manifest("gpt2", COMMIT) is None
    files(tmp_path)[0].write_bytes(b"{")
    assert cache.get_manifest("openai-community/gpt2", COMMIT) is None
    assert files(tmp_path) == []


def test_a_cache_without_a_folder_stores_nothing(weights: Path, tmp_path: Path) -> None:
    NO_CACHE.put(SHA256, weights)
    NO_CACHE.put_manifest("a", COMMIT, MANIFEST)
    assert not NO_CACHE.get(SHA256, tmp_path / "taken")
    assert NO_CACHE.get_manifest("a", COMMIT) is None


def test_an_emptied_cache_is_filled_again(cache: Cache, weights: Path, tmp_path: Path) -> None:
    cache.put(SHA256, weights)
    shutil.rmtree(tmp_path / "cache")
    assert not cache.get(SHA256, tmp_path / "taken")
    cache.put(SHA256, weights)
    assert cache.get(SHA256, tmp_path / "taken")
