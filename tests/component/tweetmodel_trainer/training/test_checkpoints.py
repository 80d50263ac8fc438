"""Tests of checkpoints in storage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tweetmodel_api.layout import MANIFEST
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage
from tweetmodel_trainer.training.checkpoints import Checkpoints

RUN = "ab" * 8


@pytest.fixture
def make(storage: Storage, make_plan: Callable[..., Plan]) -> Callable[[str], Checkpoints]:
    return lambda attempt="one": Checkpoints(storage, make_plan().layout, RUN, attempt)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[int], Path]:
    def at(step: int) -> Path:
        path = tmp_path / f"checkpoint-{step}"
        path.mkdir(exist_ok=True)
        (path / "state").write_text(str(step))
        return path

    return at


def published(keys: Callable[[], list[str]]) -> list[str]:
    return [key.split("/")[-2] for key in keys() if key.endswith(MANIFEST)]


def test_a_run_without_checkpoints_starts_at_zero(make: Any, tmp_path: Path) -> None:
    assert make().download_newest(tmp_path / "resume") is None


def test_the_newest_complete_checkpoint_is_downloaded(
    make: Any, folder: Any, tmp_path: Path, s3: Any, bucket: str, keys: Any
) -> None:
    writer = make()
    for step in (5, 10):
        writer.upload(step, folder(step))
    assert make("two").download_newest(tmp_path / "resume") == 10
    state = next(key for key in keys() if "00000010" in key and key.endswith("state"))
    s3.put_object(Bucket=bucket, Key=state, Body=b"damaged")
    assert make("three").download_newest(tmp_path / "resume") == 5
    assert (tmp_path / "resume" / "state").read_text() == "5"


def test_a_checkpoint_without_a_manifest_is_ignored(
    make: Any, folder: Any, tmp_path: Path, s3: Any, bucket: str, keys: Any
) -> None:
    make().upload(5, folder(5))
    make("two").upload(10, folder(10))
    manifest = next(key for key in keys() if "00000010" in key and key.endswith(MANIFEST))
    s3.delete_object(Bucket=bucket, Key=manifest)
    assert make("three").download_newest(tmp_path / "resume") == 5


def test_the_two_newest_are_kept_even_after_a_resume(make: Any, folder: Any, tmp_path: Path, keys: Any) -> None:
    writer = make()
    for step in (5, 10, 15):
        writer.upload(step, folder(step))
    assert published(keys) == ["00000010-one", "00000015-one"]
    resumed = make("two")
    assert resumed.download_newest(tmp_path / "resume") == 15
    resumed.upload(20, folder(20))
    resumed.upload(25, folder(25))
    assert published(keys) == ["00000020-two", "00000025-two"]


def test_damaged_checkpoints_are_deleted_first(
    make: Any, folder: Any, tmp_path: Path, s3: Any, bucket: str, keys: Any
) -> None:
    writer = make()
    for step in (5, 10):
        writer.upload(step, folder(step))
    state = next(key for key in keys() if "00000010" in key and key.endswith("state"))
    s3.put_object(Bucket=bucket, Key=state, Body=b"damaged")
    resumed = make("two")
    assert resumed.download_newest(tmp_path / "resume") == 5
    resumed.upload(7, folder(7))
    assert published(keys) == ["00000005-one", "00000007-two"]


def test_no_files_of_a_damaged_checkpoint_are_left(
    make: Any, folder: Any, tmp_path: Path, s3: Any, bucket: str, keys: Any
) -> None:
    make().upload(5, folder(5))
    state = next(key for key in keys() if key.endswith("state"))
    s3.put_object(Bucket=bucket, Key=state, Body=b"damaged")
    assert make("two").download_newest(tmp_path / "resume") is None
    assert not (tmp_path / "resume").exists()


def test_a_failed_deletion_does_not_fail_the_run(
    make: Any, folder: Any, keys: Any, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise Failure(Reason.ACCESS_DENIED, "no")

    monkeypatch.setattr(storage, "delete", refuse)
    writer = make()
    for step in (5, 10, 15):
        writer.upload(step, folder(step))
    assert len(published(keys)) == 3


def test_two_attempts_never_write_the_same_folder(make: Any, folder: Any, keys: Any) -> None:
    make("one").upload(5, folder(5))
    make("two").upload(5, folder(5))
    assert published(keys) == ["00000005-one", "00000005-two"]
