import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from http_server import QuietHandler, QuietServer
from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources import download
from tweetmodel_trainer.sources.download import download_url
from tweetmodel_trainer.storage import Storage


class Web(QuietHandler):
    """Responds to /NUMBER with that status, to /moved with a redirect, and to /short with half of the body."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        status = {"moved": 302, "round": 302}.get(path, int(path) if path.isdecimal() else 200)
        headers = {"Content-Length": "40" if path == "short" else "20"}
        if path in ("moved", "round"):
            headers["Location"] = "/posts.jsonl" if path == "moved" else "/round"
        self.respond(status, b"x" * 20, headers)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with QuietServer(Web) as server:
        yield server.url


def test_redirect_is_followed(url: str, tmp_path: Path) -> None:
    for path in ("posts.jsonl", "moved"):
        download_url(f"{url}/{path}", tmp_path / "below" / "copy")
        assert (tmp_path / "below" / "copy").read_bytes() == b"x" * 20


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("404", Reason.SOURCE_MISSING),
        ("410", Reason.SOURCE_MISSING),
        ("418", Reason.SOURCE_MISSING),
        ("round", Reason.SOURCE_MISSING),
        ("401", Reason.SOURCE_DENIED),
        ("403", Reason.SOURCE_DENIED),
        ("429", Reason.SOURCE_UNREACHABLE),
        ("503", Reason.SOURCE_UNREACHABLE),
        ("short", Reason.SOURCE_UNREACHABLE),
    ],
)
def test_status_becomes_a_reason(url: str, tmp_path: Path, path: str, reason: Reason) -> None:
    with pytest.raises(Failure) as failure:
        download_url(f"{url}/{path}?key=secret", tmp_path / "copy")
    assert failure.value.reason is reason
    assert f"{url}/{path} " in str(failure.value)
    assert "secret" not in str(failure.value)


def test_too_large_file_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="more than 19 bytes") as failure:
        download_url(f"{url}/posts", tmp_path / "copy", max_bytes=19)
    assert failure.value.reason is Reason.SOURCE_TOO_LARGE


def test_unreachable_server_is_a_transient_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for url in ("http://127.0.0.1:9/x", f"http://127.0.0.1:{silent.getsockname()[1]}/x", "https://no.invalid/x"):
            with pytest.raises(Failure) as failure:
                download_url(url, tmp_path / "copy")
            assert failure.value.reason is Reason.SOURCE_UNREACHABLE


def test_file_is_downloaded_from_s3_or_https(url: str, storage: Storage, bucket: str, put: Any, tmp_path: Path) -> None:
    put("a/posts.txt", b"one")
    path = download.download_file(f"s3://{bucket}/a/posts.txt", tmp_path, storage)
    assert (path.name, path.read_bytes()) == ("posts.txt", b"one")
    path = download.download_file(f"{url}/posts.jsonl?key=secret", tmp_path, storage)
    assert (path.name, path.read_bytes()) == ("posts.jsonl", b"x" * 20)
