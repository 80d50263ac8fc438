"""Tests of downloads from the Hub, with the real client and a server with the necessary endpoints of the Hub."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub.constants
import pytest

from http_server import QuietHandler, QuietServer
from hub_server import served_as_hub
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubModel
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.model_cache import NO_CACHE, Cache
from tweetmodel_trainer.models.hub_model import download, resolve_commit

NAME = "ada/gulls"
FIRST, SECOND = "1" * 40, "2" * 40
FILES = {
    "config.json": b'{"model_type": "gpt2"}',
    "model.safetensors": b"weights" * 1000,
    "tokenizer.json": b"{}",
    "README.md": b"# Gulls",
    "pytorch_model.bin": b"a pickle",
    "onnx/config.json": b"{}",
}
LARGE = ("model.safetensors", "pytorch_model.bin")


class Hub:
    """A model in memory: files by commit, the commit of the branch main, and the received requests."""

    def __init__(self) -> None:
        self.commits = {FIRST: dict(FILES)}
        self.main = FIRST
        self.served: dict[str, bytes] = {}
        """Content that is served instead of a file, whose listed hash stays the same."""
        self.lists_hashes = True
        self.refusal: tuple[int, dict[str, str]] | None = None
        """Status and headers."""
        self.requests: list[str] = []
        self.tokens: set[str | None] = set()
        outer = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                outer.tokens.add(self.headers["Authorization"])
                url = urlsplit(self.path)
                status, headers, content = outer.answer(self.command, unquote(url.path), "blobs" in parse_qs(url.query))
                self.respond(status, content, headers)

            do_HEAD = do_GET

        self.server = QuietServer(Handler)

    def answer(self, method: str, path: str, blobs: bool) -> tuple[int, dict[str, str], bytes]:
        if self.refusal:
            return *self.refusal, b"{}"
        if path.startswith(api := f"/api/models/{NAME}/"):
            self.requests.append(path.removeprefix(api) + ("?blobs" if blobs else ""))
            kind, revision = path.removeprefix(api).split("/")[:2]
            commit = self.main if revision == "main" else revision
            rows = [self._row(name, body, blobs, kind == "tree") for name, body in self.commits[commit].items()]
            body = rows if kind == "tree" else {"id": NAME, "sha": commit, "siblings": rows}
            return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()
        commit, _, name = path.removeprefix(f"/{NAME}/resolve/").partition("/")
        if method == "GET":
            self.requests.append(name)
        body = self.served.get(name, self.commits[commit][name])
        return 200, {"ETag": f'"{_sha256(self.commits[commit][name])}"', "X-Repo-Commit": commit}, body

    def _row(self, name: str, body: bytes, blobs: bool, tree: bool) -> dict[str, Any]:
        if not (tree or (blobs and self.lists_hashes)):
            return {"rfilename": name}
        git = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
        row = {"type": "file", "path": name, "oid": git} if tree else {"rfilename": name, "blobId": git}
        large = {"size": len(body), "pointerSize": 130, "oid" if tree else "sha256": _sha256(body)}
        return row | {"size": len(body)} | ({"lfs": large} if name in LARGE else {})

    def downloads(self) -> list[str]:
        """Return the files downloaded since the last call, sorted, and reset the log of requests."""
        requests, self.requests = self.requests, []
        return sorted(set(requests) & set(FILES))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()
    with served_as_hub(found.server, monkeypatch):
        yield found


@pytest.fixture
def downloaded(tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """Downloads a revision in a new pod, and returns the files by name."""
    pods = iter(range(100))

    def download_revision(revision: str = "main", cached: bool = True) -> dict[str, bytes]:
        folder = tmp_path / f"pod-{next(pods)}"
        download(HubModel(name=NAME, revision=revision), folder, Cache(tmp_path / "cache") if cached else NO_CACHE)
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    return download_revision


MODEL_FILES = {name: FILES[name] for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md")}


@pytest.mark.parametrize("lists_hashes", [True, False], ids=["the Hub", "a mirror without hashes"])
def test_the_second_pod_requests_only_the_commit(hub: Hub, downloaded: Any, lists_hashes: bool) -> None:
    hub.lists_hashes = lists_hashes
    assert downloaded() == MODEL_FILES
    assert hub.downloads() == sorted(MODEL_FILES)
    assert downloaded() == MODEL_FILES
    assert hub.requests == ["revision/main"]


def test_a_cached_commit_needs_no_request(hub: Hub, downloaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert downloaded(FIRST) == MODEL_FILES
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert downloaded(FIRST) == MODEL_FILES
    with pytest.raises(Failure, match="at main can't be downloaded") as failure:
        downloaded()
    assert failure.value.reason is Reason.HUB_UNREACHABLE


def test_only_changed_files_of_a_new_commit_are_downloaded(hub: Hub, downloaded: Any) -> None:
    downloaded()
    hub.downloads()
    hub.commits[SECOND] = FILES | {"README.md": b"# More gulls"}
    hub.main = SECOND
    assert resolve_commit(HubModel(name=NAME)) == SECOND
    assert downloaded() == MODEL_FILES | {"README.md": b"# More gulls"}
    assert "model.safetensors" not in hub.downloads()
    assert downloaded(FIRST) == MODEL_FILES
    assert hub.downloads() == []


def test_requests_contain_the_token_of_the_base_model(
    hub: Hub, downloaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASE_MODEL_TOKEN", "hf_secret\n")
    assert downloaded() == MODEL_FILES
    assert hub.tokens == {"Bearer hf_secret"}


GATED, UNKNOWN = {"X-Error-Code": "GatedRepo"}, {"X-Error-Code": "RepoNotFound"}
DISABLED = {"X-Error-Message": "Access to this resource is disabled."}


@pytest.mark.parametrize(
    ("status", "headers", "reason", "message"),
    [
        (
            403,
            GATED,
            Reason.BASE_MODEL_MISSING,
            r"accept the terms of the model .* name a Secret .* baseModel\.hub\.secretRef",
        ),
        (403, GATED, Reason.BASE_MODEL_MISSING, r"or put a copy of the model into storage \(baseModel\.s3\)"),
        (401, UNKNOWN, Reason.BASE_MODEL_MISSING, r"or is private: .* baseModel\.hub\.secretRef"),
        (404, {"X-Error-Code": "RevisionNotFound"}, Reason.BASE_MODEL_MISSING, "does not exist on the Hub"),
        (
            403,
            DISABLED,
            Reason.BASE_MODEL_MISSING,
            r"refuses .* \(HTTP 403: Access to this resource is disabled\.\)",
        ),
        (400, {}, Reason.BASE_MODEL_MISSING, r"refuses .* \(HTTP 400\)"),
        (408, {}, Reason.HUB_UNREACHABLE, r"the Hub does not respond: HTTP 408"),
        (503, {}, Reason.HUB_UNREACHABLE, r"the Hub does not respond: HTTP 503"),
    ],
)
@pytest.mark.parametrize("revision", ["main", FIRST])
def test_only_transient_errors_of_the_hub_are_retried(
    hub: Hub, downloaded: Any, status: int, headers: dict[str, str], reason: Reason, message: str, revision: str
) -> None:
    hub.refusal = status, headers
    with pytest.raises(Failure, match=message) as failure:
        downloaded(revision)
    assert failure.value.reason is reason


def test_refused_downloads_are_not_retried(hub: Hub, downloaded: Any) -> None:
    answer = hub.answer
    hub.answer = lambda *request: (403, DISABLED, b"{}") if "/resolve/" in request[1] else answer(*request)
    with pytest.raises(Failure, match="the Hub refuses") as failure:
        downloaded()
    assert failure.value.reason is Reason.BASE_MODEL_MISSING


def test_a_file_damaged_in_the_cache_is_downloaded_again(hub: Hub, downloaded: Any, tmp_path: Path) -> None:
    downloaded(FIRST)
    hub.downloads()
    for name in ("model.safetensors", "config.json"):
        (tmp_path / "cache" / "sha256" / _sha256(FILES[name])).write_bytes(b"damaged")
    assert downloaded(FIRST) == MODEL_FILES
    assert "model.safetensors" in hub.downloads()
    assert downloaded(FIRST) == MODEL_FILES
    assert hub.requests == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("cached", [True, False])
def test_damaged_downloads_are_neither_used_nor_cached(hub: Hub, downloaded: Any, name: str, cached: bool) -> None:
    """The damaged file has the right size, in which case the client of the Hub accepts the file."""
    hub.served[name] = FILES[name][:-1] + b"!"
    with pytest.raises(Failure, match=rf"{NAME} at main can't be downloaded \({name} arrived damaged\)") as failure:
        downloaded(cached=cached)
    assert failure.value.reason is Reason.HUB_UNREACHABLE
    hub.served.clear()
    assert downloaded() == MODEL_FILES


def test_an_unusable_cache_is_ignored(hub: Hub, downloaded: Any, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert downloaded() == downloaded(cached=False) == MODEL_FILES
