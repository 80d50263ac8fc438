"""Reads X's own export ("Download an archive of your data").

It is a zip with data/tweets.js (and tweets-part1.js …; tweet.js in old ones), each of the form
`window.YTD.tweets.part0 = [{"tweet": {"id_str": …, "full_text": …}}, …]`. A tweets.js that was taken out of
the zip is read too. Files are read in pieces, one tweet after the other, so an export of any size takes little memory.
"""

import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.post import Post

MOST_BYTES = 4 << 30
"""A part larger than this is no export but a trap: X splits them far earlier."""
LONGEST_TWEET = 16 << 20
"""Characters; what does not end before is no tweet."""
PIECE = 1 << 20

_PART = re.compile(r"(?:^|/)tweets?(?:-part(\d+))?\.js$")
_HEAD = re.compile(r"(?:\s*window\.YTD\.tweets?\.part\d+\s*=)?\s*")
_GAP = re.compile(r"[\s,]*")

_AGAIN = "download the archive from X again and upload the zip unchanged"


def read(path: Path, name: str, handle: str) -> Iterator[Post]:
    """The posts of an export, in the order of its files.

    Args:
        path: of the export on disk.
        name: what it is called where it came from.
        handle: the account.

    Raises:
        Failure: InvalidArchive, with the file and the line where one is to blame.
    """
    damage = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError)
    try:
        for part, content in _parts(path, name):
            with io.TextIOWrapper(content, "utf-8-sig") as text:
                yield from _posts(part, text, handle)
    except damage as error:
        raise _invalid(f"{name} is damaged ({error})") from None


def _parts(path: Path, name: str) -> Iterator[tuple[str, BinaryIO]]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            if file.peek(4)[:4] == b"PK\x03\x04":  # a zip's directory stands at its end, and that is missing
                raise _invalid(f"{name} is cut off: the end of the zip is missing")
            yield name, file
        return
    with _package(path, name) as package:
        parts = [(int(match[1] or 0), info) for info in package.infolist() if (match := _PART.search(info.filename))]
        if not parts:
            raise _invalid(f"{name} holds no data/tweets.js")
        for _, info in sorted(parts, key=lambda part: (part[0], part[1].filename)):
            if info.file_size > MOST_BYTES:
                raise _invalid(f"{info.filename} in {name} unpacks to {info.file_size:,} bytes")
            yield info.filename, cast(BinaryIO, package.open(info))


def _package(path: Path, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except UnicodeDecodeError:  # the name of a file in it
        raise _invalid(f"{name} is damaged (a file's name in it is no text)") from None


def _posts(name: str, text: TextIO, handle: str) -> Iterator[Post]:
    for number, item in enumerate(_items(name, text), 1):
        tweet = item.get("tweet", item) if isinstance(item, dict) else None
        body = tweet.get("full_text", tweet.get("text")) if isinstance(tweet, dict) else None
        if not isinstance(tweet, dict) or not isinstance(body, str):
            raise _invalid(f"tweet {number:,} in {name} has no full_text")
        yield Post(handle, str(tweet.get("id_str") or tweet.get("id") or number), body)


def _items(name: str, text: TextIO) -> Iterator[object]:
    """The items of a JSON list after X's assignment, each as soon as it is whole."""
    decoder = json.JSONDecoder()
    piece, at, line = _next(name, text, 1, PIECE), 0, 1
    head = _HEAD.match(piece)
    at = head.end() if head else 0
    if piece[at : at + 1] not in ("[", ""):
        raise _invalid(f"{name} is not a list of tweets")
    at += 1
    while True:
        gap = _GAP.match(piece, at)
        at = gap.end() if gap else at
        if piece[at : at + 1] == "]":
            return
        try:
            item, at = decoder.raw_decode(piece, at)
        except json.JSONDecodeError as error:
            line += piece.count("\n", 0, at)
            piece, wrong = piece[at:], line + piece.count("\n", at, error.pos)
            more = _next(name, text, line, max(PIECE, len(piece))) if len(piece) < LONGEST_TWEET else ""
            if not more:
                raise _invalid(f"{name} breaks off or is no JSON at line {wrong:,} ({error.msg})") from None
            piece, at = piece + more, 0
        except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
            raise _invalid(f"{name} holds what no export does") from None
        else:
            yield item


def _next(name: str, text: TextIO, line: int, count: int) -> str:
    try:
        return text.read(count)
    except UnicodeDecodeError:
        raise _invalid(f"{name} is not UTF-8 after line {line:,}") from None


def _invalid(what: str) -> Failure:
    return Failure(Reason.INVALID_ARCHIVE, f"{what}: {_AGAIN}.")
