from typing import Any

from tweetmodel_trainer.storage import Storage


def test_version_of_an_address_is_unknown(reader: Any, storage: Storage) -> None:
    assert reader(archive={"uri": "https://example.org/tweets.zip"}).version(storage) == ""


def test_uri_does_not_contain_the_key(reader: Any) -> None:
    assert reader(archive={"uri": "https://example.org/tweets.zip?key=secret"}).uri == "https://example.org/tweets.zip"
    assert reader(archive={"uri": "s3://bucket/tweets.zip"}).uri == "s3://bucket/tweets.zip"
