from pathlib import Path
from typing import Any

import pytest

from tweetmodel_trainer.sources import download
from tweetmodel_trainer.storage import Storage

SOURCE = {"uri": "https://example.org/posts.csv?X-Amz-Signature=secret"}


def test_selected_rows_are_read(reader: Any, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "download_url", lambda _, path: Path(path).write_text("by,text\nada,one\nbob,two\n"))
    assert [post.text for post in reader(https=SOURCE | {"where": {"by": "bob"}}).read(context)] == ["two"]


def test_version_is_unknown(reader: Any, storage: Storage) -> None:
    assert reader(https=SOURCE).version(storage) == ""


def test_uri_does_not_contain_the_key(reader: Any) -> None:
    assert reader(https=SOURCE).uri == "https://example.org/posts.csv"
