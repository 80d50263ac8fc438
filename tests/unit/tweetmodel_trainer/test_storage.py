import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import HTTPClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from http_server import QuietHandler, QuietServer
from tweetmodel_api.layout import MANIFEST
from tweetmodel_api.reasons import REASONS, ExitCode, Reason
from tweetmodel_api.spec import Storage as Spec
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import IncompleteFolder, Storage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "folder"
    (root / "below").mkdir(parents=True)
    (root / "a").write_bytes(b"one")
    (root / "below" / "b").write_bytes(b"two" * 100)
    return root


def test_a_published_folder_comes_back_as_it_was(storage: Storage, bucket: str, folder: Path, tmp_path: Path) -> None:
    uri = f"s3://{bucket}/x"
    published = storage.publish(folder, uri)
    assert storage.fetch(uri, tmp_path / "back") == published
    assert (tmp_path / "back" / "below" / "b").read_bytes() == b"two" * 100


def test_a_page_is_stored_as_what_a_browser_opens(storage: Storage, bucket: str, folder: Path, s3: Any) -> None:
    (folder / "index.html").write_text("<!doctype html>")
    storage.publish(folder, f"s3://{bucket}/x")
    kinds = {name: s3.head_object(Bucket=bucket, Key=f"x/{name}")["ContentType"] for name in ("index.html", "a")}
    assert kinds == {"index.html": "text/html", "a": "application/octet-stream"}


def test_the_manifest_is_written_last(
    storage: Storage, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch, keys: Callable[[], list[str]]
) -> None:
    put = storage._client.put_object

    def die_at_the_manifest(**call: Any) -> Any:
        if call["Key"].endswith(MANIFEST):
            raise InterruptedError
        return put(**call)

    monkeypatch.setattr(storage._client, "put_object", die_at_the_manifest)
    with pytest.raises(InterruptedError):
        storage.publish(folder, f"s3://{bucket}/x")
    assert keys() == ["x/a", "x/below/b"]
    assert storage.manifest(f"s3://{bucket}/x") is None


@pytest.mark.parametrize("change", [b"", b"on", b"onf", b"onee", None])
def test_a_file_that_is_not_what_the_manifest_says_does_not_count(
    storage: Storage, bucket: str, folder: Path, tmp_path: Path, s3: Any, change: bytes | None
) -> None:
    uri = f"s3://{bucket}/x"
    storage.publish(folder, uri)
    if change is None:
        s3.delete_object(Bucket=bucket, Key="x/a")
    else:
        s3.put_object(Bucket=bucket, Key="x/a", Body=change)
    with pytest.raises(IncompleteFolder):
        storage.fetch(uri, tmp_path / "back")


def test_a_folder_with_any_damage_does_not_count(
    storage: Storage, bucket: str, folder: Path, tmp_path: Path, put: Callable[[str, bytes], None]
) -> None:
    uri = f"s3://{bucket}/x"
    manifest = storage.publish(folder, uri)
    storage.fetch(uri, tmp_path / "whole")
    body = manifest.model_dump_json(by_alias=True, indent=1).encode()
    objects = {MANIFEST: body} | {e.path: (tmp_path / "whole" / e.path).read_bytes() for e in manifest.files}

    @settings(max_examples=40)
    @given(st.sampled_from(sorted(objects)), st.integers(0, 10_000), st.binary(max_size=2), st.booleans())
    def damaged(name: str, at: int, change: bytes, cut: bool) -> None:
        at %= len(objects[name])
        put(f"x/{name}", objects[name][:at] + change + (b"" if cut else objects[name][at + 1 :]))
        try:
            storage.fetch(uri, tmp_path / "back")
        except IncompleteFolder:
            pass
        else:
            assert {e.path: (tmp_path / "back" / e.path).read_bytes() for e in manifest.files} | {
                MANIFEST: body
            } == objects

    damaged()


@pytest.mark.parametrize("body", [b"", b"{}", b'{"files": [{"path": "../x", "size": 1, "sha256": "00"}]}', b"\xff"])
def test_a_manifest_that_cannot_be_read_is_none(
    storage: Storage, bucket: str, put: Callable[[str, bytes], None], body: bytes
) -> None:
    put(f"x/{MANIFEST}", body)
    assert storage.manifest(f"s3://{bucket}/x") is None


def test_publishing_the_same_again_writes_nothing(storage: Storage, bucket: str, folder: Path, s3: Any) -> None:
    first = storage.publish(folder, f"s3://{bucket}/x")
    before = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert storage.publish(folder, f"s3://{bucket}/x") == first
    assert s3.list_objects_v2(Bucket=bucket)["Contents"] == before


@pytest.mark.parametrize("left", ["x/a", "x/stale", f"x/{MANIFEST}"])
def test_what_a_failed_attempt_left_is_replaced_as_a_whole(
    storage: Storage,
    bucket: str,
    folder: Path,
    tmp_path: Path,
    put: Callable[[str, bytes], None],
    keys: Callable[[], list[str]],
    left: str,
) -> None:
    put(left, b"half")
    storage.publish(folder, f"s3://{bucket}/x")
    assert keys() == [f"x/{MANIFEST}", "x/a", "x/below/b"]
    storage.fetch(f"s3://{bucket}/x", tmp_path / "back")


def test_a_complete_folder_stays_unless_it_is_to_be_replaced(
    storage: Storage, bucket: str, folder: Path, tmp_path: Path
) -> None:
    uri = f"s3://{bucket}/x"
    first = storage.publish(folder, uri)
    (folder / "a").write_text("other")
    assert storage.publish(folder, uri) == first == storage.fetch(uri, tmp_path / "first")
    second = storage.publish(folder, uri, replace=True)
    assert second == storage.fetch(uri, tmp_path / "second") != first


def test_a_folder_whose_file_was_lost_is_published_again(
    storage: Storage, bucket: str, folder: Path, tmp_path: Path, s3: Any
) -> None:
    storage.publish(folder, f"s3://{bucket}/x")
    s3.delete_object(Bucket=bucket, Key="x/a")
    storage.publish(folder, f"s3://{bucket}/x")
    storage.fetch(f"s3://{bucket}/x", tmp_path / "back")


def test_a_whole_bucket_is_a_folder_too(storage: Storage, bucket: str, folder: Path) -> None:
    storage.publish(folder, f"s3://{bucket}")
    assert storage.names(f"s3://{bucket}/") == [MANIFEST, "a", "below/b"]


def test_a_neighbour_whose_name_begins_alike_is_another_folder(
    storage: Storage, bucket: str, folder: Path, put: Callable[[str, bytes], None]
) -> None:
    put("xy/z", b"")
    storage.publish(folder, f"s3://{bucket}/x")
    storage.delete(f"s3://{bucket}/x")
    assert storage.names(f"s3://{bucket}/xy") == ["z"]


def test_deleting_takes_the_manifest_first(
    storage: Storage, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch, keys: Callable[[], list[str]]
) -> None:
    storage.publish(folder, f"s3://{bucket}/x")
    deleted: list[str] = []
    delete = storage._client.delete_object
    monkeypatch.setattr(storage._client, "delete_object", lambda **k: (deleted.append(k["Key"]), delete(**k)))
    storage.delete(f"s3://{bucket}/x")
    assert deleted[0] == f"x/{MANIFEST}"
    assert keys() == []


def test_a_bucket_that_does_not_exist_is_named(storage: Storage, tmp_path: Path) -> None:
    for act in (
        lambda: storage.check_bucket("s3://nobodys-bucket/x"),
        lambda: storage.download("s3://nobodys-bucket/x", tmp_path / "x"),
    ):
        with pytest.raises(Failure) as failure:
            act()
        assert failure.value.reason is Reason.BUCKET_MISSING
        assert "nobodys-bucket" in str(failure.value)


def test_an_object_that_does_not_exist_is_named(storage: Storage, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        storage.download(f"s3://{bucket}/absent.zip", tmp_path / "x")
    assert failure.value.reason is Reason.SOURCE_MISSING
    assert f"s3://{bucket}/absent.zip" in str(failure.value)
    assert not (tmp_path / "x").exists()


def test_a_bucket_without_a_key_is_no_object(storage: Storage, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="names a bucket and no object in it") as failure:
        storage.download(f"s3://{bucket}/", tmp_path / "x")
    assert failure.value.reason is Reason.SOURCE_MISSING


def test_missing_credentials_are_told(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Failure) as failure:
        Storage(Spec(uri="s3://bucket", endpoint=endpoint)).check_bucket("s3://bucket")
    assert failure.value.reason is Reason.INVALID_STORAGE
    assert "secretRef" in str(failure.value)


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_key_that_ends_with_a_line_break_is_told_and_not_quoted(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "AKIDSECRET\n")
    with pytest.raises(Failure) as failure:
        Storage(Spec(uri="s3://bucket", endpoint=endpoint))
    assert failure.value.reason is Reason.ACCESS_DENIED
    assert "line break" in str(failure.value)
    assert "AKIDSECRET" not in str(failure.value)


def test_what_botocore_says_of_a_request_is_not_repeated(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise HTTPClientError(error=ValueError("Invalid header value b'AWS4-HMAC-SHA256 Credential=AKIDSECRET'"))

    monkeypatch.setattr(storage._client, "list_objects_v2", refuse)
    with pytest.raises(Failure) as failure:
        storage.check_bucket("s3://bucket/x")
    assert failure.value.reason is Reason.INVALID_STORAGE
    assert "AKIDSECRET" not in str(failure.value)


def test_an_endpoint_where_nobody_listens_is_told_in_seconds() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    storage = Storage(Spec(uri="s3://bucket", endpoint=f"http://127.0.0.1:{port}"))
    with pytest.raises(Failure) as failure:
        storage.check_bucket("s3://bucket/x")
    assert failure.value.reason is Reason.STORAGE_UNREACHABLE
    assert REASONS[failure.value.reason].exit_code is ExitCode.TEMPORARY
    assert f"http://127.0.0.1:{port}" in str(failure.value)


@pytest.fixture
def serving() -> Iterator[Callable[[type[QuietHandler]], Storage]]:
    """A storage whose service is this handler."""
    with ExitStack() as servers:
        yield lambda handler: Storage(Spec(uri="s3://bucket", endpoint=servers.enter_context(QuietServer(handler)).url))


@pytest.fixture
def answering(serving: Callable[[type[QuietHandler]], Storage]) -> Callable[[int, str], Storage]:
    """A storage whose service answers everything with one code."""

    def start(status: int, code: str) -> Storage:
        class Handler(QuietHandler):
            def do_GET(self) -> None:
                self.respond(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())

            do_PUT = do_GET

        return serving(Handler)

    return start


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "InvalidAccessKeyId", Reason.ACCESS_DENIED),
        (404, "XAdminUserNotFound", Reason.ACCESS_DENIED),
        (403, "SignatureDoesNotMatch", Reason.ACCESS_DENIED),
        (403, "AccessDenied", Reason.ACCESS_DENIED),
        (401, "Unauthorized", Reason.ACCESS_DENIED),
        (404, "NoSuchBucket", Reason.BUCKET_MISSING),
        (503, "SlowDown", Reason.STORAGE_UNREACHABLE),
        (500, "InternalError", Reason.STORAGE_UNREACHABLE),
        (429, "TooManyRequests", Reason.STORAGE_UNREACHABLE),
        (409, "OperationAborted", Reason.STORAGE_UNREACHABLE),
        (403, "RequestTimeTooSkewed", Reason.STORAGE_UNREACHABLE),
        (400, "Strange", Reason.INVALID_STORAGE),
    ],
)
def test_what_the_service_answers_becomes_a_reason(
    answering: Callable[[int, str], Storage],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    reason: Reason,
) -> None:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))  # between attempts
    storage = answering(status, code)
    for act in (lambda: storage.check_bucket("s3://bucket/x"), lambda: storage.publish(folder, "s3://bucket/x")):
        with pytest.raises(Failure) as failure:
            act()
        assert failure.value.reason is reason


def test_a_web_page_is_not_taken_for_a_storage_service(
    serving: Callable[[type[QuietHandler]], Storage],
) -> None:
    class WebPage(QuietHandler):
        def do_GET(self) -> None:
            self.respond(400, b"<!doctype html><p>Hello<br>")

    with pytest.raises(Failure, match=r"http://127\.0\.0\.1:\d+ does not take s3://bucket/x") as failure:
        serving(WebPage).check_bucket("s3://bucket/x")
    assert failure.value.reason is Reason.INVALID_STORAGE


def test_a_body_that_breaks_off_each_time_does_not_count(
    serving: Callable[[type[QuietHandler]], Storage], tmp_path: Path
) -> None:
    class BreaksOff(QuietHandler):
        def do_HEAD(self) -> None:
            self.respond(200, b"half", {"Content-Length": "1000", "ETag": '"tag"'})

        do_GET = do_HEAD

    with pytest.raises(Failure) as failure:
        serving(BreaksOff).download("s3://bucket/x", tmp_path / "x")
    assert failure.value.reason is Reason.STORAGE_UNREACHABLE
    assert not (tmp_path / "x").exists()
