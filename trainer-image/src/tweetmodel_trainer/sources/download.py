"""Downloads the file of a source from S3 or from an https address, with limits of time and size.

The query of an address may contain a key, as in presigned URLs, so logs and messages omit the query.
"""

import logging
import re
from pathlib import Path
from urllib.parse import unquote

import requests
from requests.adapters import BaseAdapter

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = (5, 60)
"""Timeouts to connect, and for each read."""
CHUNK_BYTES = 1 << 20
MAX_BYTES = 32 << 30
"""Maximum size of a source; a larger file would fill the disk of the node before a reader checks the content."""

_MISSING, _DENIED, _TRANSIENT = {404, 410}, {401, 403, 407}, {408, 425, 429}


def download_file(uri: str, folder: Path, storage: Storage) -> Path:
    """Download a file from S3 or from an https address.

    Returns:
        The path of the copy, whose name ends like the URI.

    Raises:
        Failure: the file is missing, denied, too large or unreachable.
    """
    path = folder / file_name(uri)
    logger.info("downloading %s", without_query(uri))
    if uri.startswith("s3://"):
        storage.download_object(uri, path)
    else:
        download_url(uri, path)
    return path


def file_name(uri: str) -> str:
    """Return a safe file name for the copy of a URI: the last part of the path, with other characters replaced."""
    path = uri if uri.startswith("s3://") else without_query(uri)
    last = unquote(path.rstrip("/").rsplit("/", 1)[-1])
    return re.sub(r"[^\w.-]+", "-", last).lstrip(".-")[-100:] or "posts"


def without_query(url: str) -> str:
    """Return a URL without query and fragment, since they may contain a key."""
    return url.partition("?")[0].partition("#")[0]


def download_url(url: str, path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Download a URL to a file.

    Raises:
        Failure: SourceMissing, SourceDenied, SourceTooLarge, or SourceUnreachable.
    """
    shown = without_query(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with requests.Session() as session:
            if url.startswith("https:"):
                session.mount("http://", _HttpRefused(shown))
            with session.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
                _check_status(response.status_code, shown)
                _copy_body(response, path, shown, max_bytes)
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.TooManyRedirects) as error:
        message = f"{shown} can't be followed ({type(error).__name__}): correct the source's uri."
        raise Failure(Reason.SOURCE_MISSING, message) from None
    except requests.RequestException as error:
        message = f"the download of {shown} failed ({type(error).__name__}): check the address and the network."
        raise Failure(Reason.SOURCE_UNREACHABLE, message) from None


class _HttpRefused(BaseAdapter):
    """Refuses a redirect from https to plain HTTP before any request is sent."""

    def __init__(self, shown: str) -> None:
        super().__init__()
        self._shown = shown

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        target = without_query(request.url or "")
        message = f"{self._shown} redirects to {target}, an address without TLS: use an https address."
        raise Failure(Reason.SOURCE_DENIED, message)

    def close(self) -> None:
        pass


def _check_status(status: int, shown: str) -> None:
    if status == 200:
        return
    if status in _DENIED:
        message = (
            f"the server denies access to {shown} (HTTP {status}): use an address that needs no login, or upload the "
            "file to the bucket."
        )
        raise Failure(Reason.SOURCE_DENIED, message)
    if status >= 500 or status in _TRANSIENT:
        message = f"the server of {shown} is unavailable (HTTP {status}): wait until the server recovers."
        raise Failure(Reason.SOURCE_UNREACHABLE, message)
    problem = "does not exist" if status in _MISSING else "can't be downloaded"
    raise Failure(Reason.SOURCE_MISSING, f"{shown} {problem} (HTTP {status}): correct the source's uri.")


def _copy_body(response: requests.Response, path: Path, shown: str, max_bytes: int) -> None:
    size = 0
    with path.open("wb") as file:
        for chunk in response.iter_content(CHUNK_BYTES):
            size += len(chunk)
            if size > max_bytes:
                message = f"{shown} has more than {max_bytes:,} bytes: split it, or remove rows that are not posts."
                raise Failure(Reason.SOURCE_TOO_LARGE, message)
            file.write(chunk)
    logger.info("downloaded %s: %d bytes", shown, size)
