from typing import Any

import pytest

from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage


def test_selected_rows_are_read(reader: Any, context: Any, put: Any, bucket: str) -> None:
    put("posts.data", b"by,body\nada,one\nbob,two\n")
    options = {"uri": f"s3://{bucket}/posts.data", "format": "CSV", "textField": "body"}
    assert [post.text for post in reader(s3=options | {"where": {"by": "bob"}}).read(context)] == ["two"]
    with pytest.raises(Failure, match="no row of the source @ada has 'by' = 'eve'"):
        list(reader(s3=options | {"where": {"by": "eve"}}).read(context))


def test_version_changes_with_the_object(
    reader: Any, storage: Storage, put: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = reader(s3={"uri": f"s3://{bucket}/ada.txt"})
    with pytest.raises(Failure, match=r"ada\.txt does not exist"):
        source.version(storage)
    put("ada.txt", b"one")
    first = source.version(storage)
    assert first
    put("ada.txt", b"two")
    assert source.version(storage) != first
    monkeypatch.setattr(Storage, "etag", lambda *_: "")
    assert source.version(storage) == "", "some services send no ETag"
