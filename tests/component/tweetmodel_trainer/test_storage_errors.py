import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from http_server import QuietHandler, QuietServer
from tweetmodel_api.reasons import REASONS, ExitCode, Reason
from tweetmodel_api.spec import Storage as Spec
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage


def test_unreachable_endpoint_is_a_transient_failure() -> None:
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
    """Returns a storage whose service is a handler."""
    with ExitStack() as servers:
        yield lambda handler: Storage(Spec(uri="s3://bucket", endpoint=servers.enter_context(QuietServer(handler)).url))


@pytest.fixture
def responding(serving: Callable[[type[QuietHandler]], Storage]) -> Callable[[int, str], Storage]:
    """Returns a storage whose service responds to all requests with one error."""

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
def test_error_of_the_service_becomes_a_reason(
    responding: Callable[[int, str], Storage],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    reason: Reason,
) -> None:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))  # between attempts
    storage = responding(status, code)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("one")
    for act in (lambda: storage.check_bucket("s3://bucket/x"), lambda: storage.upload_folder(folder, "s3://bucket/x")):
        with pytest.raises(Failure) as failure:
            act()
        assert failure.value.reason is reason


def test_web_server_is_an_invalid_storage(
    serving: Callable[[type[QuietHandler]], Storage],
) -> None:
    class WebPage(QuietHandler):
        def do_GET(self) -> None:
            self.respond(400, b"<!doctype html><p>Hello<br>")

    with pytest.raises(Failure, match=r"http://127\.0\.0\.1:\d+ rejects the request for s3://bucket/x") as failure:
        serving(WebPage).check_bucket("s3://bucket/x")
    assert failure.value.reason is Reason.INVALID_STORAGE


def test_body_that_always_ends_early_is_a_transient_failure(
    serving: Callable[[type[QuietHandler]], Storage], tmp_path: Path
) -> None:
    class EndsEarly(QuietHandler):
        def do_HEAD(self) -> None:
            self.respond(200, b"half", {"Content-Length": "1000", "ETag": '"tag"'})

        do_GET = do_HEAD

    with pytest.raises(Failure) as failure:
        serving(EndsEarly).download_object("s3://bucket/x", tmp_path / "x")
    assert failure.value.reason is Reason.STORAGE_UNREACHABLE
    assert not (tmp_path / "x").exists()
