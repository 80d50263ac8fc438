from typing import Any

import pytest

from makers import zipped
from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage

TWEETS = b'window.YTD.tweets.part0 = [{"tweet": {"id_str": "1", "full_text": "one"}}]'


def test_zip_is_read(reader: Any, context: Any, put: Any, bucket: str) -> None:
    put("archive.zip", zipped({"data/tweets.js": TWEETS}))
    source = reader(archive={"uri": f"s3://{bucket}/archive.zip"})
    assert [post.text for post in source.read(context)] == ["one"]


def test_unpacked_folder_is_read(reader: Any, context: Any, put: Any, bucket: str) -> None:
    source = reader(archive={"uri": f"s3://{bucket}/export/"})
    with pytest.raises(Failure, match=r"contains no tweets\.js: upload the unpacked archive") as failure:
        source.read(context)
    assert failure.value.reason is Reason.SOURCE_MISSING
    put("export/data/tweets.js", TWEETS)
    put("export/data/like.js", b"not read")
    assert [post.text for post in source.read(context)] == ["one"]
    assert not (context.folder / "data" / "like.js").exists()


def test_version_of_a_zip_is_its_etag(reader: Any, storage: Storage, put: Any, bucket: str) -> None:
    put("archive.zip", b"one")
    first = reader(archive={"uri": f"s3://{bucket}/archive.zip"}).version(storage)
    assert first == storage.etag(f"s3://{bucket}/archive.zip")


def test_version_of_a_folder_changes_with_its_posts(
    reader: Any, storage: Storage, put: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = reader(archive={"uri": f"s3://{bucket}/export/"})
    assert source.version(storage) == "", "the folder is empty"
    put("export/data/tweets.js", b"one")
    first = source.version(storage)
    assert first
    put("export/data/like.js", b"not read")
    assert source.version(storage) == first
    put("export/data/tweets-part1.js", b"two")
    assert source.version(storage) != first
    monkeypatch.setattr(Storage, "etags", lambda *_: {"data/tweets.js": ""})
    assert source.version(storage) == "", "some services send no ETags"
