from pathlib import Path
from typing import Any

import pytest

from tweetmodel_api.plan import DatasetReference
from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage

SOURCE = {"name": "bob"}


@pytest.fixture
def upstream(storage: Storage, bucket: str, tmp_path: Path) -> DatasetReference:
    folder = tmp_path / "upstream"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"handle": "bob", "id": "7", "text": "one"}\n')
    (folder / "eval.jsonl").write_text('{"handle": "eve", "id": "7", "text": "two"}\n')
    storage.upload_folder(folder, f"s3://{bucket}/upstream")
    return DatasetReference(uri=f"s3://{bucket}/upstream", digest="b" * 64)


def test_posts_keep_their_authors_and_equal_ids(reader: Any, context: Any, upstream: DatasetReference) -> None:
    posts = list(reader(upstream, tweetModel=SOURCE).read(context))
    assert [(post.handle, post.id, post.text) for post in posts] == [("bob", "7", "one"), ("eve", "7", "two")]
    assert all(post.is_numbered for post in posts)


def test_incomplete_data_set_is_reported(
    reader: Any, context: Any, storage: Storage, upstream: DatasetReference
) -> None:
    storage.write_object(f"{upstream.uri}/eval.jsonl", b"")
    with pytest.raises(
        Failure, match=r"TweetModel bob, .* incomplete or corrupt .*kubectl annotate tm bob "
    ) as failure:
        reader(upstream, tweetModel=SOURCE).read(context)
    assert failure.value.reason is Reason.SOURCE_MISSING


def test_version_is_the_digest_of_the_data_set(reader: Any, storage: Storage, upstream: DatasetReference) -> None:
    source = reader(upstream, tweetModel=SOURCE)
    assert source.version(storage) == upstream.digest
    storage.delete(upstream.uri)
    assert source.version(storage) == "", "the data set was deleted"


def test_uri_is_that_of_the_data_set(reader: Any, upstream: DatasetReference, bucket: str) -> None:
    assert reader(upstream, tweetModel=SOURCE).uri == upstream.uri
    assert reader(tweetModel=SOURCE).uri == f"s3://{bucket}/models/default/bob/datasets"
