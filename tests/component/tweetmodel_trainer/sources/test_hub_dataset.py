"""Reads data sets with the real client of the Hub from a server with the endpoints that the client uses."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants
import pyarrow as pa
import pytest
from pyarrow import parquet

from http_server import QuietHandler, QuietServer
from hub_server import served_as_hub
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubDataset
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.hub_dataset import CONVERTED, commit_of, read


def table_of(**columns: list[str]) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def table(*texts: str) -> bytes:
    return table_of(text=list(texts))


class Hub:
    """A data set in memory: its files by revision."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.refusal: tuple[int, str] | None = None
        self.listing: bytes | None = None
        self.tokens: set[str | None] = set()
        outer = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                outer.tokens.add(self.headers["Authorization"])
                status, headers, content = outer.answer(unquote(urlsplit(self.path).path))
                self.respond(status, content, headers)

            do_HEAD = do_GET

        self.server = QuietServer(Handler)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.refusal:
            return self.refusal[0], {"X-Error-Code": self.refusal[1]}, b"{}"
        _, _, tree = path.partition("/api/datasets/ada/tweets/tree/")
        if tree and self.listing is not None:
            return 200, {"Content-Type": "application/json"}, self.listing
        if tree:
            files = self.files.get(tree)
            if files is None:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
            rows = [{"type": "file", "path": name, "size": len(body), "oid": "0" * 40} for name, body in files.items()]
            return 200, {"Content-Type": "application/json"}, json.dumps(rows).encode()
        _, _, revision = path.partition("/api/datasets/ada/tweets/revision/")
        if revision and revision not in self.files:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        if revision:
            commit = hashlib.sha1(repr(self.files[revision]).encode()).hexdigest()
            return 200, {"Content-Type": "application/json"}, json.dumps({"id": "ada/tweets", "sha": commit}).encode()
        place = path.removeprefix("/datasets/ada/tweets/resolve/")
        body = next(f[name] for rev, f in self.files.items() for name in f if place == f"{rev}/{name}")
        return 200, {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": "c" * 40}, body


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()
    with served_as_hub(found.server, monkeypatch):
        yield found


def texts(folder: Path, token: str = "", **changes: Any) -> list[str]:
    source = HubDataset.model_validate({"dataset": "ada/tweets"} | changes)
    return [post.text for post in read(source, "ada", token, folder)]


def test_commit_changes_with_the_content(hub: Hub) -> None:
    source = HubDataset(dataset="ada/tweets")
    hub.files["main"] = {"train.csv": b"text\none\n"}
    first = commit_of(source, "")
    assert commit_of(source, "") == first
    hub.files["main"] = {"train.csv": b"text\ntwo\n"}
    assert commit_of(source, "") != first
    hub.files[CONVERTED] = {"default/train/0000.parquet": table("one")}
    converted = commit_of(source, "")
    hub.files["main"] = {"README.md": b"no post of it"}
    assert commit_of(source, "") == converted


def test_converted_files_are_read_one_by_one(hub: Hub, tmp_path: Path) -> None:
    hub.files[CONVERTED] = {
        "default/train/0000.parquet": table("one", "two"),
        "default/train/0001.parquet": table("three"),
        "default/test/0000.parquet": table("other"),
    }
    assert texts(tmp_path) == ["one", "two", "three"]
    assert hub.tokens == {None}
    assert not list(tmp_path.rglob("*.parquet"))


def test_files_of_a_revision_are_read(hub: Hub, tmp_path: Path) -> None:
    hub.files["v2"] = {"README.md": b"", "data/tweets-train.csv": b"body\none\n", "data/tweets-test.csv": b"body\nx\n"}
    assert texts(tmp_path, token="hf_x", revision="v2", textField="body") == ["one"]
    assert hub.tokens == {"Bearer hf_x"}


def test_main_is_read_without_a_conversion(hub: Hub, tmp_path: Path) -> None:
    """As for many private data sets."""
    hub.files["main"] = {"data/tweets-train.csv": b"text\none\n", "data/tweets-test.csv": b"text\nx\n"}
    assert texts(tmp_path, token="hf_x") == ["one"]
    with pytest.raises(Failure, match="ada/tweets at main has no file of the split dev"):
        texts(tmp_path, split="dev")
    with pytest.raises(Failure, match="ada/tweets at v2 does not exist on the Hub"):
        texts(tmp_path, revision="v2")


def test_json_file_is_read_and_metadata_ignored(hub: Hub, tmp_path: Path) -> None:
    hub.files["main"] = {"tweets.json": b'{"text": "one"}\n{"text": "two"}\n', "dataset_infos.json": b"{}"}
    assert texts(tmp_path) == ["one", "two"]


def test_row_numbers_continue_across_files(hub: Hub, tmp_path: Path) -> None:
    hub.files[CONVERTED] = {
        "default/train/0000.parquet": table("one", "two"),
        "default/train/0001.parquet": table("three"),
        "default/train/0002.parquet": table_of(text=["four"], id=["17"]),
    }
    found = read(HubDataset(dataset="ada/tweets"), "ada", "", tmp_path)
    assert [(post.id, post.text) for post in found] == [("1", "one"), ("2", "two"), ("3", "three"), ("17", "four")]


def test_where_selects_rows(hub: Hub, tmp_path: Path) -> None:
    hub.files[CONVERTED] = {
        "default/train/0000.parquet": table_of(text=["one", "two"], author=["bob", "bob"]),
        "default/train/0001.parquet": table_of(text=["three", "four"], author=["ada", "bob"]),
    }
    assert texts(tmp_path, where={"author": "ada"}) == ["three"]


@pytest.mark.parametrize(
    ("refusal", "reason", "sentence"),
    [
        ((404, "RepoNotFound"), Reason.SOURCE_MISSING, "does not exist on the Hub, or is private"),
        ((404, "RevisionNotFound"), Reason.SOURCE_MISSING, "does not exist on the Hub"),
        ((403, "GatedRepo"), Reason.SOURCE_DENIED, "accept its terms"),
        ((403, ""), Reason.SOURCE_DENIED, "secretRef"),
    ],
)
def test_error_of_the_hub_has_a_reason(
    hub: Hub, tmp_path: Path, refusal: tuple[int, str], reason: Reason, sentence: str
) -> None:
    hub.refusal = refusal
    with pytest.raises(Failure, match=sentence) as failure:
        texts(tmp_path)
    assert failure.value.reason is reason


def test_missing_split_is_reported(hub: Hub, tmp_path: Path) -> None:
    hub.files[CONVERTED] = {"default/train/0000.parquet": table("one"), "default/test/0000.parquet": table("two")}
    with pytest.raises(Failure, match="no file of the split validation"):
        texts(tmp_path, split="validation")


@pytest.mark.parametrize(
    "listing",
    [
        b"<html>",
        b"null",
        b"[1]",
        b'{"a": 1}',
        b"[" * 100_000,
        b'[{"type": "file"}]',
        b'[{"type": "file", "path": "\xff.csv", "size": 1, "oid": "0"}]',
        *(
            json.dumps([{"type": "file", "path": path, "size": 1, "oid": "0"}]).encode()
            for path in (5, "../../train.csv", "/etc/train.csv", "a\0train.csv", "train\ud800.csv", "x" * 5000 + ".csv")
        ),
    ],
)
def test_invalid_response_is_a_transient_failure(hub: Hub, tmp_path: Path, listing: bytes) -> None:
    hub.listing = listing
    with pytest.raises(Failure, match="can't be read now") as failure:
        texts(tmp_path / "below")
    assert failure.value.reason is Reason.SOURCE_UNREACHABLE
    assert not [path for path in tmp_path.rglob("*.csv*") if path.is_file() and path.stat().st_size]


@pytest.mark.parametrize("name", ["train.parquet", "train.jsonl", "train.csv.gz"])
def test_damaged_file_is_reported(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.files[CONVERTED] = {name: b"\x1f\x8bno"}
    with pytest.raises(Failure, match=f"{name} ") as failure:
        texts(tmp_path)
    assert failure.value.reason is Reason.INVALID_POSTS


def test_unreachable_hub_is_a_transient_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # its own retries take 23 s
    with pytest.raises(Failure, match="can't be read now") as failure:
        texts(tmp_path)
    assert failure.value.reason is Reason.SOURCE_UNREACHABLE
