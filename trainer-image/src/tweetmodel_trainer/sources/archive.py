"""Reads X's own export ("Download an archive of your data").

It is a zip with data/tweets.js (and tweets-part1.js …; tweet.js in old ones), each of the form
`window.YTD.tweets.part0 = [{"tweet": {"id_str": …, "full_text": …}}, …]`. A tweets.js that was taken out of
the zip is read too.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.post import Post

MOST_BYTES = 4 << 30
"""A part larger than this is no export but a trap: X splits them far earlier."""

_PART = re.compile(r"(?:^|/)tweets?(?:-part(\d+))?\.js$")
_HEAD = re.compile(r"\s*window\.YTD\.tweets?\.part\d+\s*=\s*")

_AGAIN = "download the archive from X again and upload the zip unchanged"


def read(path: Path, handle: str) -> Iterator[Post]:
    """The posts of an export, in the order of its files.

    Raises:
        Failure: InvalidArchive, with the file and the line where one is to blame.
    """
    for name, content in _parts(path):
        yield from _posts(name, content, handle)


def _parts(path: Path) -> Iterator[tuple[str, bytes]]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PK\x03\x04":  # a zip's directory stands at its end, and that is missing
            raise _invalid(f"{path.name} is cut off: the end of the zip is missing")
        yield path.name, path.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as package:
            parts = [
                (int(match[1] or 0), info) for info in package.infolist() if (match := _PART.search(info.filename))
            ]
            if not parts:
                raise _invalid(f"{path.name} holds no data/tweets.js")
            for _, info in sorted(parts, key=lambda part: (part[0], part[1].filename)):
                if info.file_size > MOST_BYTES:
                    raise _invalid(f"{info.filename} in {path.name} unpacks to {info.file_size:,} bytes")
                yield info.filename, package.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise _invalid(f"{path.name} is damaged ({error})") from None


def _posts(name: str, content: bytes, handle: str) -> Iterator[Post]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(f"{name} is not UTF-8 (byte {error.start:,})") from None
    head = _HEAD.match(text)
    try:
        items = json.loads(text[head.end() :] if head else text)
    except json.JSONDecodeError as error:
        line = error.lineno + (text.count("\n", 0, head.end()) if head else 0)
        raise _invalid(f"{name} breaks off or is no JSON at line {line:,} ({error.msg})") from None
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        raise _invalid(f"{name} holds what no export does") from None
    if not isinstance(items, list):
        raise _invalid(f"{name} is not a list of tweets")
    for number, item in enumerate(items, 1):
        tweet = item.get("tweet", item) if isinstance(item, dict) else None
        body = (tweet.get("full_text") or tweet.get("text")) if isinstance(tweet, dict) else None
        if not isinstance(tweet, dict) or not isinstance(body, str):
            raise _invalid(f"tweet {number:,} in {name} has no full_text")
        yield Post(handle, str(tweet.get("id_str") or tweet.get("id") or number), body)


def _invalid(what: str) -> Failure:
    return Failure(Reason.INVALID_ARCHIVE, f"{what}: {_AGAIN}.")
