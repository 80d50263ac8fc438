"""Fetching a model from the Hub: a server speaks the Hub's endpoints that are used, to the real client."""

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
from tweetmodel_trainer.models.cache import NO_CACHE, Cache
from tweetmodel_trainer.models.hub_model import commit_of, fetch, is_wanted

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
    """A model in memory: its files by commit, where its branch is, and what it was asked for."""

    def __init__(self) -> None:
        self.commits = {FIRST: dict(FILES)}
        self.main = FIRST
        self.served: dict[str, bytes] = {}
        """What is served in place of a file, though its hash is told as before."""
        self.tells_hashes = True
        self.refusal: tuple[int, dict[str, str]] | None = None
        """Status and headers."""
        self.asked: list[str] = []
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
            self.asked.append(path.removeprefix(api) + ("?blobs" if blobs else ""))
            kind, revision = path.removeprefix(api).split("/")[:2]
            commit = self.main if revision == "main" else revision
            rows = [self._row(name, body, blobs, kind == "tree") for name, body in self.commits[commit].items()]
            told = rows if kind == "tree" else {"id": NAME, "sha": commit, "siblings": rows}
            return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
        commit, _, name = path.removeprefix(f"/{NAME}/resolve/").partition("/")
        if method == "GET":
            self.asked.append(name)
        body = self.served.get(name, self.commits[commit][name])
        return 200, {"ETag": f'"{_sha256(self.commits[commit][name])}"', "X-Repo-Commit": commit}, body

    def _row(self, name: str, body: bytes, blobs: bool, tree: bool) -> dict[str, Any]:
        if not (tree or (blobs and self.tells_hashes)):
            return {"rfilename": name}
        git = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
        row = {"type": "file", "path": name, "oid": git} if tree else {"rfilename": name, "blobId": git}
        large = {"size": len(body), "pointerSize": 130, "oid" if tree else "sha256": _sha256(body)}
        return row | {"size": len(body)} | ({"lfs": large} if name in LARGE else {})

    def downloads(self) -> list[str]:
        """Files that were downloaded since it was asked last, sorted; whatever else it was asked is forgotten too."""
        asked, self.asked = self.asked, []
        return sorted(set(asked) & set(FILES))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()
    with served_as_hub(found.server, monkeypatch):
        yield found


@pytest.fixture
def fetched(tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """What a new pod has after it fetched a revision with the cache, by name."""
    pods = iter(range(100))

    def fetch_it(revision: str = "main", cached: bool = True) -> dict[str, bytes]:
        folder = tmp_path / f"pod-{next(pods)}"
        fetch(HubModel(name=NAME, revision=revision), folder, Cache(tmp_path / "cache") if cached else NO_CACHE)
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    return fetch_it


WANTED = {name: FILES[name] for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md")}


@pytest.mark.parametrize("tells_hashes", [True, False], ids=["the Hub", "a mirror that tells no hashes"])
def test_the_second_pod_asks_for_the_commit_alone(hub: Hub, fetched: Any, tells_hashes: bool) -> None:
    hub.tells_hashes = tells_hashes
    assert fetched() == WANTED
    assert hub.downloads() == sorted(WANTED)
    assert fetched() == WANTED
    assert hub.asked == ["revision/main"]


def test_a_pinned_commit_that_is_cached_needs_no_hub(hub: Hub, fetched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetched(FIRST) == WANTED
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert fetched(FIRST) == WANTED
    with pytest.raises(Failure, match="at main can't be fetched") as failure:
        fetched()
    assert failure.value.reason is Reason.HUB_UNREACHABLE


def test_of_a_newer_commit_only_what_changed_is_fetched(hub: Hub, fetched: Any) -> None:
    fetched()
    hub.downloads()
    hub.commits[SECOND] = FILES | {"README.md": b"# More gulls"}
    hub.main = SECOND
    assert commit_of(HubModel(name=NAME)) == SECOND
    assert fetched() == WANTED | {"README.md": b"# More gulls"}
    assert "model.safetensors" not in hub.downloads()
    assert fetched(FIRST) == WANTED
    assert hub.downloads() == []


def test_a_token_for_the_base_model_goes_with_each_request(
    hub: Hub, fetched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASE_MODEL_TOKEN", "hf_secret\n")
    assert fetched() == WANTED
    assert hub.tokens == {"Bearer hf_secret"}


GATED, UNKNOWN = {"X-Error-Code": "GatedRepo"}, {"X-Error-Code": "RepoNotFound"}
DISABLED = {"X-Error-Message": "Access to this resource is disabled."}


@pytest.mark.parametrize(
    ("status", "headers", "reason", "sentence"),
    [
        (
            403,
            GATED,
            Reason.BASE_MODEL_MISSING,
            r"accept its terms there and name a Secret .* baseModel\.hub\.secretRef",
        ),
        (403, GATED, Reason.BASE_MODEL_MISSING, r"or put a copy into storage \(baseModel\.s3\)"),
        (401, UNKNOWN, Reason.BASE_MODEL_MISSING, r"or is private: .* baseModel\.hub\.secretRef"),
        (404, {"X-Error-Code": "RevisionNotFound"}, Reason.BASE_MODEL_MISSING, "does not exist on the Hub"),
        (403, DISABLED, Reason.BASE_MODEL_MISSING, r"refuses .* \(HTTP 403: Access to this resource is disabled\.\)"),
        (400, {}, Reason.BASE_MODEL_MISSING, r"refuses .* \(HTTP 400\)"),
        (408, {}, Reason.HUB_UNREACHABLE, r"the Hub does not answer \(HTTP 408\)"),
        (503, {}, Reason.HUB_UNREACHABLE, r"the Hub does not answer \(HTTP 503\)"),
    ],
)
@pytest.mark.parametrize("revision", ["main", FIRST])
def test_only_a_hub_that_may_answer_later_is_asked_again(
    hub: Hub, fetched: Any, status: int, headers: dict[str, str], reason: Reason, sentence: str, revision: str
) -> None:
    hub.refusal = status, headers
    with pytest.raises(Failure, match=sentence) as failure:
        fetched(revision)
    assert failure.value.reason is reason


def test_a_hub_that_refuses_the_files_alone_is_not_asked_again(hub: Hub, fetched: Any) -> None:
    answer = hub.answer
    hub.answer = lambda *asked: (403, DISABLED, b"{}") if "/resolve/" in asked[1] else answer(*asked)
    with pytest.raises(Failure, match="the Hub refuses") as failure:
        fetched()
    assert failure.value.reason is Reason.BASE_MODEL_MISSING


def test_a_file_that_is_damaged_in_the_cache_is_fetched_again(hub: Hub, fetched: Any, tmp_path: Path) -> None:
    fetched(FIRST)
    hub.downloads()
    for name in ("model.safetensors", "config.json"):
        (tmp_path / "cache" / "sha256" / _sha256(FILES[name])).write_bytes(b"damaged")
    assert fetched(FIRST) == WANTED
    assert "model.safetensors" in hub.downloads()
    assert fetched(FIRST) == WANTED
    assert hub.asked == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("cached", [True, False])
def test_what_comes_damaged_is_neither_used_nor_kept(hub: Hub, fetched: Any, name: str, cached: bool) -> None:
    """Of the right size, as the Hub's client has been seen to take it."""
    hub.served[name] = FILES[name][:-1] + b"!"
    with pytest.raises(Failure, match=rf"{NAME} at main can't be fetched, because {name} came damaged") as failure:
        fetched(cached=cached)
    assert failure.value.reason is Reason.HUB_UNREACHABLE
    hub.served.clear()
    assert fetched() == WANTED


def test_a_cache_that_fails_costs_no_run(hub: Hub, fetched: Any, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert fetched() == fetched(cached=False) == WANTED


def test_files_of_other_formats_are_left_where_they_are() -> None:
    names = [*FILES, "consolidated.safetensors", "model-00001-of-00002.safetensors", "merges.txt", "spiece.model"]
    assert {name for name in names if is_wanted(name)} == {
        *WANTED,
        *("model-00001-of-00002.safetensors", "merges.txt", "spiece.model"),
    }
