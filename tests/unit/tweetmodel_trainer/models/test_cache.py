"""What is kept between pods: whole and as its hash says, or not at all, and never at the cost of a run."""

import errno
import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tweetmodel_api.layout import FileEntry, Manifest
from tweetmodel_trainer.models.cache import ABANDONED_SECONDS, NO_CACHE, Cache

CONTENT = b"weights" * 500_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LISTING = Manifest.of([FileEntry(path="model.safetensors", size=len(CONTENT), sha256=SHA256)])
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


def test_what_is_kept_is_taken_as_a_copy_by_whoever_comes_next(cache: Cache, weights: Path, tmp_path: Path) -> None:
    assert not cache.take(SHA256, tmp_path / "first")
    cache.keep(SHA256, weights)
    later = Cache(tmp_path / "cache")
    assert later.take(SHA256, tmp_path / "work" / "second")
    (tmp_path / "work" / "second").write_bytes(b"changed by its user")
    assert later.take(SHA256, tmp_path / "third")
    assert (tmp_path / "third").read_bytes() == CONTENT
    assert files(tmp_path) == [tmp_path / "cache" / "sha256" / SHA256]


@pytest.mark.parametrize("damage", [CONTENT[:-1], b"", CONTENT[:-1] + b"x"], ids=["cut", "empty", "one bit"])
def test_a_damaged_file_is_removed_and_kept_anew(cache: Cache, weights: Path, tmp_path: Path, damage: bytes) -> None:
    cache.keep(SHA256, weights)
    files(tmp_path)[0].write_bytes(damage)
    assert not cache.take(SHA256, tmp_path / "taken")
    assert not (tmp_path / "taken").exists()
    assert files(tmp_path) == []
    cache.keep(SHA256, weights)
    assert cache.take(SHA256, tmp_path / "taken")


def test_what_is_not_as_its_hash_says_is_not_kept(cache: Cache, weights: Path, tmp_path: Path) -> None:
    cache.keep("0" * 64, weights)
    assert files(tmp_path) == []


def test_several_pods_keep_and_take_the_same_file_at_once(weights: Path, tmp_path: Path) -> None:
    def pod(number: int) -> bool:
        cache = Cache(tmp_path / "cache")
        cache.keep(SHA256, weights)
        return cache.take(SHA256, tmp_path / f"pod-{number}") and cache.take(SHA256, tmp_path / f"again-{number}")

    with ThreadPoolExecutor(8) as pods:
        assert all(pods.map(pod, range(24)))
    assert files(tmp_path) == [tmp_path / "cache" / "sha256" / SHA256]


def test_what_a_killed_pod_left_half_written_goes_after_a_day(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "sha256"
    folder.mkdir(parents=True)
    (folder / "half.part").write_bytes(CONTENT[:100])
    now = (folder / "half.part").stat().st_mtime
    Cache(tmp_path / "cache", lambda: now + 60).keep(SHA256, weights)
    assert (folder / "half.part").exists()
    (folder / SHA256).unlink()
    Cache(tmp_path / "cache", lambda: now + ABANDONED_SECONDS + 1).keep(SHA256, weights)
    assert files(tmp_path) == [folder / SHA256]


def test_a_full_disk_is_told_once_and_leaves_nothing_behind(
    cache: Cache, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for _ in range(2):
        cache.keep(SHA256, weights)
        cache.keep_listing("a/b", COMMIT, LISTING)
        assert not cache.take(SHA256, tmp_path / "taken")
        assert cache.listing("a/b", COMMIT) is None
    assert files(tmp_path) == []
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'cache'} can't be used as a cache ([Errno 28] No space left on device): it goes on without"
    ]


def test_a_folder_that_is_none_is_no_cache(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    cache = Cache(tmp_path / "cache")
    cache.keep(SHA256, weights)
    assert not cache.take(SHA256, tmp_path / "taken")


def test_a_read_only_cache_is_read(
    cache: Cache, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep(SHA256, weights)
    open_it = Path.open

    def read_only(path: Path, mode: str = "r", *rest: Any) -> Any:
        if mode == "xb":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return open_it(path, mode, *rest)

    monkeypatch.setattr(Path, "open", read_only)
    later = Cache(tmp_path / "cache")
    assert later.take(SHA256, tmp_path / "taken")
    later.keep("0" * 64, weights)


def test_a_file_that_can_not_be_read_leaves_no_half_of_it(
    cache: Cache, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep(SHA256, weights)

    def broken(source: object, target: object) -> str:
        (tmp_path / "taken").write_bytes(b"half")
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("tweetmodel_trainer.models.cache._copy", broken)
    assert not cache.take(SHA256, tmp_path / "taken")
    assert not (tmp_path / "taken").exists()


def test_a_listing_is_found_by_name_and_commit_and_only_while_it_can_be_read(cache: Cache, tmp_path: Path) -> None:
    cache.keep_listing("openai-community/gpt2", COMMIT, LISTING)
    assert cache.listing("openai-community/gpt2", COMMIT) == LISTING
    assert cache.listing("openai-community/gpt2", "d" * 40) is None
    assert cache.listing("gpt2", COMMIT) is None
    files(tmp_path)[0].write_bytes(b"{")
    assert cache.listing("openai-community/gpt2", COMMIT) is None
    assert files(tmp_path) == []


def test_without_a_folder_nothing_is_kept(weights: Path, tmp_path: Path) -> None:
    NO_CACHE.keep(SHA256, weights)
    NO_CACHE.keep_listing("a", COMMIT, LISTING)
    assert not NO_CACHE.take(SHA256, tmp_path / "taken")
    assert NO_CACHE.listing("a", COMMIT) is None


def test_a_cache_that_is_emptied_meanwhile_is_filled_anew(cache: Cache, weights: Path, tmp_path: Path) -> None:
    cache.keep(SHA256, weights)
    shutil.rmtree(tmp_path / "cache")
    assert not cache.take(SHA256, tmp_path / "taken")
    cache.keep(SHA256, weights)
    assert cache.take(SHA256, tmp_path / "taken")
