"""Fetches a file from an https address, within bounds of time and size.

Addresses may carry a key in their query (presigned URLs do), so that is left out of logs and sentences.
"""

import logging
from pathlib import Path

import requests
from requests.adapters import BaseAdapter

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = (5, 60)
"""To connect, and for each read."""
CHUNK_BYTES = 1 << 20
MAX_BYTES = 32 << 30
"""A source larger than this would fill the node's disk before it is known to be posts."""

_MISSING, _DENIED, _TEMPORARY = {404, 410}, {401, 403, 407}, {408, 425, 429}


def download(url: str, path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Copies what a URL names to a file.

    Raises:
        Failure: SourceMissing, SourceDenied, SourceTooLarge, or SourceUnreachable.
    """
    shown = without_query(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with requests.Session() as session:
            if url.startswith("https:"):
                session.mount("http://", _WithoutTls(shown))
            with session.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
                _check(response, shown)
                _copy(response, path, shown, max_bytes)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.TooManyRedirects) as error:
        sentence = f"{shown} leads nowhere ({type(error).__name__}): correct the source's uri."
        raise Failure(Reason.SOURCE_MISSING, sentence) from None
    except requests.RequestException as error:
        sentence = f"{shown} can't be read to its end now ({type(error).__name__}): check the address and the network."
        raise Failure(Reason.SOURCE_UNREACHABLE, sentence) from None


def without_query(url: str) -> str:
    """A URL without its query, which may hold a key."""
    return url.partition("?")[0].partition("#")[0]


class _WithoutTls(BaseAdapter):
    """Stands where a session would speak plain HTTP, so that a redirect to it is refused before anything is sent."""

    def __init__(self, shown: str) -> None:
        super().__init__()
        self._shown = shown

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        there = without_query(request.url or "")
        sentence = f"{self._shown} leads to an address without TLS, {there}: name one that has it."
        raise Failure(Reason.SOURCE_DENIED, sentence)

    def close(self) -> None:
        pass


def _check(response: requests.Response, shown: str) -> None:
    status = response.status_code
    if status in _DENIED:
        sentence = (
            f"{shown} is refused ({status}): use an address that needs no login, or put the file into the bucket."
        )
        raise Failure(Reason.SOURCE_DENIED, sentence)
    if status >= 500 or status in _TEMPORARY:
        raise Failure(Reason.SOURCE_UNREACHABLE, f"{shown} can't be served now ({status}): wait until it can.")
    if status != 200:
        what = "does not exist" if status in _MISSING else "can't be had"
        raise Failure(Reason.SOURCE_MISSING, f"{shown} {what} ({status}): correct the source's uri.")


def _copy(response: requests.Response, path: Path, shown: str, max_bytes: int) -> None:
    count = 0
    with path.open("wb") as file:
        for chunk in response.iter_content(CHUNK_BYTES):
            count += len(chunk)
            if count > max_bytes:
                sentence = f"{shown} has more than {max_bytes:,} bytes: split it, or remove rows that are not posts."
                raise Failure(Reason.SOURCE_TOO_LARGE, sentence)
            file.write(chunk)
    logger.info("%s: %d bytes", shown, count)
