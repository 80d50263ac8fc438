"""Tests of pushes to the Hub, with the real client and a server with the necessary endpoints of the Hub."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import yaml

import hostile
from finished import finished_run
from http_server import QuietHandler, QuietServer
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubRepository, LocalReference
from tweetmodel_trainer.evaluation.sample import printable
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.presentation.card import LOCAL_MODEL, render_card
from tweetmodel_trainer.publishing.hub_repository import push

SECRET = LocalReference(name="hub")
CARD = render_card(finished_run(texts=hostile.POSTS, prompts=[printable(text)[:280] for text in hostile.POSTS[:10]]))


class Hub:
    """A Hub in memory: files by repository and path, and the received requests."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits: list[str] = []
        self.tokens: set[str] = set()
        self.refusal = 0
        outer = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.tokens.add(self.headers["Authorization"])
                self._answer(*outer.answer(self.path, body))

            def do_GET(self) -> None:
                self._answer(*outer.answer(self.path, b""))

            def _answer(self, status: int, value: object) -> None:
                self.respond(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

        self.server = QuietServer(Handler)

    def answer(self, path: str, body: bytes) -> tuple[int, object]:
        if self.refusal:
            return self.refusal, {"error": "You don't have the rights"}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        owner, name, *rest = path.removeprefix("/api/models/").split("/")
        files = self.repositories[f"{owner}/{name}"]
        if rest[:1] == ["preupload"]:
            return 200, {"files": [self._known(files, file["path"]) for file in json.loads(body)["files"]]}
        if rest[:1] == ["tree"]:
            return 200, [{"type": "file", "path": path, "size": len(file), "oid": "0"} for path, file in files.items()]
        if rest[:1] == ["commit"]:
            return self._commit(files, [json.loads(line) for line in body.splitlines()], f"{owner}/{name}")
        return 200, {"id": f"{owner}/{name}", "sha": "0" * 40}

    def _create(self, request: dict[str, Any]) -> tuple[int, object]:
        name = f"{request.get('organization') or 'someone'}/{request['name']}"
        exists = name in self.repositories
        self.repositories.setdefault(name, {})
        self.private.setdefault(name, request.get("private", request.get("visibility") == "private"))
        return 409 if exists else 200, {"url": f"{self.server.url}/{name}"}

    @staticmethod
    def _known(files: dict[str, bytes], path: str) -> dict[str, object]:
        content = files.get(path)
        blob = None if content is None else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return {"path": path, "uploadMode": "regular", "shouldIgnore": False, "oid": blob}

    def _commit(self, files: dict[str, bytes], rows: list[dict[str, Any]], name: str) -> tuple[int, object]:
        for row in rows:
            if row["key"] == "header":
                self.commits.append(row["value"]["summary"])
            elif row["key"] == "deletedFile":
                del files[row["value"]["path"]]
            else:
                files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
        return 200, {"commitUrl": f"{self.server.url}/{name}/commit/{'1' * 40}", "commitOid": "1" * 40}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", made.server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with made.server:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    root.mkdir()
    for name, content in {"config.json": b"{}", "MANIFEST.json": b"{}"}.items():
        (root / name).write_bytes(content)
    (root / "README.md").write_text(CARD, encoding="utf-8")
    return root


def test_the_default_repository_is_named_after_the_sorted_handles(hub: Hub, folder: Path) -> None:
    url = push(folder, HubRepository(secret_ref=SECRET), ["bob", "Ada_1"], "abcd")
    assert url == f"{hub.server.url}/someone/huggingtweets-ada_1-bob"
    assert set(hub.repositories["someone/huggingtweets-ada_1-bob"]) == {"config.json", "README.md"}
    assert hub.private == {"someone/huggingtweets-ada_1-bob": True}
    assert (hub.commits, hub.tokens) == (["Run abcd"], {"Bearer hf_secret"})


def test_an_unchanged_folder_is_not_committed_again(hub: Hub, folder: Path) -> None:
    target = HubRepository(repo="us/ada", private=False, secret_ref=SECRET)
    assert push(folder, target, ["ada"], "1") == push(folder, target, ["ada"], "1") == f"{hub.server.url}/us/ada"
    assert hub.commits == ["Run 1"]
    (folder / "config.json").write_text("{ }")
    push(folder, target, ["ada"], "2")
    assert hub.commits == ["Run 1", "Run 2"]
    assert hub.private == {"us/ada": False}


def test_the_card_on_the_hub_has_a_preview_and_the_name_of_the_model(hub: Hub, folder: Path) -> None:
    url = push(folder, HubRepository(repo="us/ada", secret_ref=SECRET), ["ada"], "1")
    _, front, body = hub.repositories["us/ada"]["README.md"].decode().split("---\n", 2)
    _, front_before, body_before = CARD.split("---\n", 2)
    assert yaml.safe_load(front) == yaml.safe_load(front_before) | {"thumbnail": f"{url}/resolve/main/predictions.png"}
    assert 'pipeline("text-generation", model="us/ada")\n' in body
    assert body == body_before.replace(LOCAL_MODEL, 'model="us/ada")')


def test_other_files_of_the_repository_are_deleted(hub: Hub, folder: Path) -> None:
    older = dict.fromkeys((".gitattributes", "config.json", "model-00001-of-00002.safetensors", "old/vocab.json"), b"1")
    hub.repositories["us/ada"] = dict(older)
    push(folder, HubRepository(repo="us/ada", secret_ref=SECRET), ["ada"], "1")
    assert set(hub.repositories["us/ada"]) == {".gitattributes", "config.json", "README.md"}


def test_a_broken_transfer_is_a_transient_failure(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("Data processing error: CAS service error")  # an error of the Hub's transfer library

    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", breaks)
    with pytest.raises(Failure, match="us/ada") as failure:
        push(folder, HubRepository(repo="us/ada", secret_ref=SECRET), ["ada"], "1")
    assert failure.value.reason is Reason.HUB_UNREACHABLE


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, Reason.HUB_DENIED),
        (403, Reason.HUB_DENIED),
        (400, Reason.HUB_DENIED),
        (500, Reason.HUB_UNREACHABLE),
        (503, Reason.HUB_UNREACHABLE),
    ],
)
def test_answers_of_the_hub_become_reasons(hub: Hub, folder: Path, status: int, reason: Reason) -> None:
    hub.refusal = status
    with pytest.raises(Failure, match="us/ada") as failure:
        push(folder, HubRepository(repo="us/ada", secret_ref=SECRET), ["ada"], "1")
    assert failure.value.reason is reason
    assert "hf_secret" not in str(failure.value)


def test_an_unreachable_hub_is_reported_within_seconds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    began = time.monotonic()
    with pytest.raises(Failure) as failure:
        push(folder, HubRepository(secret_ref=SECRET), ["ada"], "1")
    assert failure.value.reason is Reason.HUB_UNREACHABLE
    assert time.monotonic() - began < 20
