from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tweetmodel_api.layout import MANIFEST
from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import IncompleteFolder, Storage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "folder"
    (root / "below").mkdir(parents=True)
    (root / "a").write_bytes(b"one")
    (root / "below" / "b").write_bytes(b"two" * 100)
    return root


def test_published_folder_is_fetched_unchanged(storage: Storage, bucket: str, folder: Path, tmp_path: Path) -> None:
    uri = f"s3://{bucket}/x"
    published = storage.upload_folder(folder, uri)
    assert storage.download_folder(uri, tmp_path / "back") == published
    assert (tmp_path / "back" / "below" / "b").read_bytes() == b"two" * 100


def test_content_type_follows_the_file_name(storage: Storage, bucket: str, folder: Path, s3: Any) -> None:
    (folder / "index.html").write_text("<!doctype html>")
    storage.upload_folder(folder, f"s3://{bucket}/x")
    kinds = {name: s3.head_object(Bucket=bucket, Key=f"x/{name}")["ContentType"] for name in ("index.html", "a")}
    assert kinds == {"index.html": "text/html", "a": "application/octet-stream"}


def test_manifest_is_written_last(
    storage: Storage, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch, keys: Callable[[], list[str]]
) -> None:
    put = storage._client.put_object

    def fail_at_the_manifest(**call: Any) -> Any:
        if call["Key"].endswith(MANIFEST):
            raise InterruptedError
        return put(**call)

    monkeypatch.setattr(storage._client, "put_object", fail_at_the_manifest)
    with pytest.raises(InterruptedError):
        storage.upload_folder(folder, f"s3://{bucket}/x")
    assert keys() == ["x/a", "x/below/b"]
    assert storage.manifest(f"s3://{bucket}/x") is None


@pytest.mark.parametrize("change", [b"", b"on", b"onf", b"onee", None])
def test_changed_file_makes_a_folder_incomplete(
    storage: Storage, bucket: str, folder: Path, tmp_path: Path, s3: Any, change: bytes | None
) -> None:
    uri = f"s3://{bucket}/x"
    storage.upload_folder(folder, uri)
    if change is None:
        s3.delete_object(Bucket=bucket, Key="x/a")
    else:
        s3.put_object(Bucket=bucket, Key="x/a", Body=change)
    with pytest.raises(IncompleteFolder):
        storage.download_folder(uri, tmp_path / "back")


def test_any_damage_makes_a_folder_incomplete(
    storage: Storage, bucket: str, folder: Path, tmp_path: Path, put: Callable[[str, bytes], None]
) -> None:
    uri = f"s3://{bucket}/x"
    manifest = storage.upload_folder(folder, uri)
    storage.download_folder(uri, tmp_path / "whole")
    body = manifest.model_dump_json(by_alias=True, indent=1).encode()
    objects = {MANIFEST: body} | {e.path: (tmp_path / "whole" / e.path).read_bytes() for e in manifest.files}

    @settings(max_examples=40)
    @given(st.sampled_from(sorted(objects)), st.integers(0, 10_000), st.binary(max_size=2), st.booleans())
    def damaged(name: str, at: int, change: bytes, cut: bool) -> None:
        at %= len(objects[name])
        put(f"x/{name}", objects[name][:at] + change + (b"" if cut else objects[name][at + 1 :]))
        try:
            storage.download_folder(uri, tmp_path / "back")
        except IncompleteFolder:
            pass
        else:
            assert {e.path: (tmp_path / "back" / e.path).read_bytes() for e in manifest.files} | {
                MANIFEST: body
            } == objects

    damaged()


@pytest.mark.parametrize("body", [b"", b"{}", b'{"files": [{"path": "../x", "size": 1, "sha256": "00"}]}', b"\xff"])
def test_invalid_manifest_is_none(
    storage: Storage, bucket: str, put: Callable[[str, bytes], None], body: bytes
) -> None:
    put(f"x/{MANIFEST}", body)
    assert storage.manifest(f"s3://{bucket}/x") is None


def test_publishing_again_writes_nothing(storage: Storage, bucket: str, folder: Path, s3: Any) -> None:
    first = storage.upload_folder(folder, f"s3://{bucket}/x")
    before = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert storage.upload_folder(folder, f"s3://{bucket}/x") == first
    assert s3.list_objects_v2(Bucket=bucket)["Contents"] == before


@pytest.mark.parametrize("remains", ["x/a", "x/other", f"x/{MANIFEST}"])
def test_remains_of_a_failed_attempt_are_replaced(
    storage: Storage,
    bucket: str,
    folder: Path,
    tmp_path: Path,
    put: Callable[[str, bytes], None],
    keys: Callable[[], list[str]],
    remains: str,
) -> None:
    put(remains, b"half")
    storage.upload_folder(folder, f"s3://{bucket}/x")
    assert keys() == [f"x/{MANIFEST}", "x/a", "x/below/b"]
    storage.download_folder(f"s3://{bucket}/x", tmp_path / "back")


def test_complete_folder_is_kept_without_replace(storage: Storage, bucket: str, folder: Path, tmp_path: Path) -> None:
    uri = f"s3://{bucket}/x"
    first = storage.upload_folder(folder, uri)
    (folder / "a").write_text("other")
    assert storage.upload_folder(folder, uri) == first == storage.download_folder(uri, tmp_path / "first")
    second = storage.upload_folder(folder, uri, replace=True)
    assert second == storage.download_folder(uri, tmp_path / "second") != first


def test_folder_with_a_lost_file_is_published_again(
    storage: Storage, bucket: str, folder: Path, tmp_path: Path, s3: Any
) -> None:
    storage.upload_folder(folder, f"s3://{bucket}/x")
    s3.delete_object(Bucket=bucket, Key="x/a")
    storage.upload_folder(folder, f"s3://{bucket}/x")
    storage.download_folder(f"s3://{bucket}/x", tmp_path / "back")


def test_folder_may_be_a_whole_bucket(storage: Storage, bucket: str, folder: Path) -> None:
    storage.upload_folder(folder, f"s3://{bucket}")
    assert storage.names(f"s3://{bucket}/") == [MANIFEST, "a", "below/b"]


def test_folder_with_the_same_prefix_is_another_folder(
    storage: Storage, bucket: str, folder: Path, put: Callable[[str, bytes], None]
) -> None:
    put("xy/z", b"")
    storage.upload_folder(folder, f"s3://{bucket}/x")
    storage.delete(f"s3://{bucket}/x")
    assert storage.names(f"s3://{bucket}/xy") == ["z"]


def test_manifest_is_deleted_first(
    storage: Storage, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch, keys: Callable[[], list[str]]
) -> None:
    storage.upload_folder(folder, f"s3://{bucket}/x")
    deleted: list[str] = []
    delete = storage._client.delete_object
    monkeypatch.setattr(storage._client, "delete_object", lambda **k: (deleted.append(k["Key"]), delete(**k)))
    storage.delete(f"s3://{bucket}/x")
    assert deleted[0] == f"x/{MANIFEST}"
    assert keys() == []


def test_missing_bucket_is_named(storage: Storage, tmp_path: Path) -> None:
    for act in (
        lambda: storage.check_bucket("s3://missing-bucket/x"),
        lambda: storage.download_object("s3://missing-bucket/x", tmp_path / "x"),
    ):
        with pytest.raises(Failure) as failure:
            act()
        assert failure.value.reason is Reason.BUCKET_MISSING
        assert "missing-bucket" in str(failure.value)


def test_missing_object_is_named(storage: Storage, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        storage.download_object(f"s3://{bucket}/absent.zip", tmp_path / "x")
    assert failure.value.reason is Reason.SOURCE_MISSING
    assert f"s3://{bucket}/absent.zip" in str(failure.value)
    assert not (tmp_path / "x").exists()


def test_uri_of_a_bucket_is_not_an_object(storage: Storage, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="names a bucket without an object") as failure:
        storage.download_object(f"s3://{bucket}/", tmp_path / "x")
    assert failure.value.reason is Reason.SOURCE_MISSING
