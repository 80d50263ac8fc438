from typing import Any

from tweetmodel_trainer.storage import Storage


def test_version_is_unknown(reader: Any, storage: Storage) -> None:
    assert reader(xAPI={"secretRef": {"name": "x"}, "budgetUSD": "2"}).version(storage) == ""


def test_uri_is_the_folder_of_the_pages(reader: Any, bucket: str) -> None:
    source = reader(xAPI={"secretRef": {"name": "x"}, "budgetUSD": "2"})
    assert source.uri == f"s3://{bucket}/models/default/ada/raw/x/ada"
