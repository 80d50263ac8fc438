from typing import Any


def test_uri_is_that_of_the_object(reader: Any) -> None:
    assert reader(s3={"uri": "s3://bucket/ada?.txt"}).uri == "s3://bucket/ada?.txt"
