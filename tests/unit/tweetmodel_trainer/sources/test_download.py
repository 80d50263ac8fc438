import io
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.download import download_url, file_name


def test_redirect_to_plain_http_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = {
        "https://one.invalid/a?key=secret": "http://two.invalid/b?key=secret",
        "http://two.invalid/b?key=secret": "https://three.invalid/c",
    }
    urls: list[str] = []

    def send(_: HTTPAdapter, request: requests.PreparedRequest, **__: object) -> requests.Response:
        assert request.url
        urls.append(request.url)
        response = requests.Response()
        response.request, response.url, response.raw = request, request.url, io.BytesIO(b"posts")
        response.status_code = 302 if request.url in moved else 200
        response.headers["Location"] = moved.get(request.url, "")
        return response

    monkeypatch.setattr(HTTPAdapter, "send", send)
    with pytest.raises(Failure, match=r"redirects to http://two\.invalid/b, an address without TLS: ") as failure:
        download_url("https://one.invalid/a?key=secret", tmp_path / "copy")
    assert failure.value.reason is Reason.SOURCE_DENIED
    assert "secret" not in str(failure.value)
    assert urls == ["https://one.invalid/a?key=secret"]
    download_url("https://three.invalid/c", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"posts"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://bucket/a/posts.csv.gz", "posts.csv.gz"),
        ("https://host/a/posts.csv?X-Amz-Signature=1/2", "posts.csv"),
        ("https://host/", "host"),
        ("https://host/%2e%2e", "posts"),
        ("https://host/a%2F..%2F.b", "a-..-.b"),
    ],
)
def test_copy_has_a_safe_name(uri: str, name: str) -> None:
    assert file_name(uri) == name
