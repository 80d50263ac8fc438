from typing import Any

import pytest

from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage

SOURCE = {"dataset": "ada/tweets", "secretRef": {"name": "hub"}}


def test_split_is_read_with_the_token(reader: Any, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def read(*arguments: Any) -> Any:
        calls.append(arguments)
        return iter([Post("ada", "1", "one")])

    monkeypatch.setenv("SOURCE_TOKEN_ada", "hf_x")
    monkeypatch.setattr("tweetmodel_trainer.sources.hub_dataset.read", read)
    source = reader(huggingFace=SOURCE)
    assert [post.text for post in source.read(context)] == ["one"]
    assert calls == [(source.options, "ada", "hf_x", context.folder)]


def test_where_must_match_a_row(reader: Any, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tweetmodel_trainer.sources.hub_dataset.read", lambda *_: iter(()))
    with pytest.raises(Failure, match="no row of the source @ada has 'by' = 'eve'"):
        list(reader(huggingFace=SOURCE | {"where": {"by": "eve"}}).read(context))


def test_version_is_the_commit(reader: Any, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tweetmodel_trainer.sources.hub_dataset.commit_of", lambda *_: "commit")
    assert reader(huggingFace=SOURCE).version(storage) == "commit"


def test_uri_contains_the_revision(reader: Any) -> None:
    assert reader(huggingFace=SOURCE).uri == "hf://datasets/ada/tweets"
    assert reader(huggingFace=SOURCE | {"revision": "v2"}).uri == "hf://datasets/ada/tweets@v2"
