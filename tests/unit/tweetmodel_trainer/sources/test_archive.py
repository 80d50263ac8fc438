from typing import Any

from tweetmodel_trainer.storage import Storage


def test_version_of_an_address_is_unknown(reader: Any, storage: Storage) -> None:
    assert reader(archive={"uri": "https://example.org/tweets.zip"}).version(storage) == ""


def test_uri_contains_no_key(reader: Any) -> None:
    assert reader(archive={"uri": "https://example.org/tweets.zip?key=secret"}).uri == "https://example.org/tweets.zip"
    assert reader(archive={"uri": "s3://bucket/tweets.zip"}).uri == "s3://bucket/tweets.zip"
