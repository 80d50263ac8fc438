"""Reads X's own export ("Download an archive of your data"): the zip, its unpacked folder, or a tweets.js alone.

Posts stand in data/tweets.js (and tweets-part1.js …; tweet.js in old ones), each file of the form
`window.YTD.tweets.part0 = [{"tweet": {"id_str": …, "full_text": …}}, …]`. Two things there are not what was
posted last, and are resolved: every version of an edited post is listed, and the text of a long post is cut off,
the whole of it standing in note-tweet.js under an id of its own.
"""

import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, cast

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.data.normalize import collapse_whitespace, unescape_entities
from tweetmodel_trainer.data.post import Post, from_fields
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.formats.json_list import MalformedList, iter_elements

MAX_BYTES = 4 << 30
"""A part larger than this is no export but a trap: X splits them far earlier."""

OPENING = 100
"""A long post is cut off after about 275 characters; this many of them tell it from others."""

_PART = re.compile(r"(?:^|/)tweets?(?:-part(\d+))?\.js$")
_NOTES = re.compile(r"(?:^|/)note-tweets?(?:-part\d+)?\.js$")

_CUT = re.compile(r"(?:…|\.\.\.)?(?: ?https://t\.co/\w+)?$")
"""What stands where a long post was cut off: an ellipsis, a link to itself, or both."""

_AGAIN = "download the archive from X again, and take data/tweets.js and data/note-tweet.js out of it"

Open = Callable[[], IO[bytes]]
Fields = Mapping[str, object]


def is_wanted(name: str) -> bool:
    """Whether a file of an export is one that `read` looks at."""
    return bool(_PART.search(name) or _NOTES.search(name))


def read(path: Path, handle: str) -> Iterator[Post]:
    """The posts of an export, in the order of its files, each in its last version and whole.

    Raises:
        Failure: InvalidArchive, with the file and the line where one is to blame.
    """
    damage = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError)
    try:
        with ExitStack() as stack:
            files = _files(path, stack)
            parts = {name: files[name] for name in sorted(filter(_PART.search, files), key=_part_order)}
            if path.is_file() and not zipfile.is_zipfile(path):
                parts = files  # a tweets.js alone may have been given any name
            if not parts:
                raise _invalid(f"{path.name} holds no data/tweets.js")
            notes = _long_posts({name: files[name] for name in files if _NOTES.search(name)})
            superseded = {id_ for tweet in _tweets(parts) for id_ in _earlier_versions(tweet)}
            for number, tweet in enumerate(_tweets(parts), 1):
                if tweet.get("id_str") not in superseded:
                    yield _post(tweet, handle, number, notes)
    except damage as error:
        raise _invalid(f"{path.name} is damaged ({error})") from None


def _files(path: Path, stack: ExitStack) -> dict[str, Open]:
    """The files of an export by their names in it."""
    if path.is_dir():
        return {file.relative_to(path).as_posix(): _opens(file) for file in path.rglob("*.js")}
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PK\x03\x04":  # a zip's directory stands at its end, and that is missing
            raise _invalid(f"{path.name} is cut off: the end of the zip is missing")
        return {path.name: _opens(path)}
    try:
        package = stack.enter_context(zipfile.ZipFile(path))
    except UnicodeDecodeError:
        raise _invalid(f"{path.name} is damaged (a file's name in it is no text)") from None
    wanted = [info for info in package.infolist() if is_wanted(info.filename)]
    for info in wanted:
        if info.file_size > MAX_BYTES:
            raise _invalid(f"{info.filename} in {path.name} unpacks to {info.file_size:,} bytes")
    return {info.filename: cast(Open, partial(package.open, info)) for info in wanted}


def _opens(path: Path) -> Open:
    return lambda: path.open("rb")


def _part_order(name: str) -> tuple[int, str]:
    match = _PART.search(name)
    return int((match and match[1]) or 0), name


def _tweets(parts: Mapping[str, Open]) -> Iterator[Fields]:
    for name, opener in parts.items():
        for number, item in enumerate(_elements(name, opener), 1):
            tweet = item.get("tweet", item) if isinstance(item, dict) else None
            if not isinstance(tweet, dict) or not isinstance(_shown(tweet), str):
                raise _invalid(f"tweet {number:,} in {name} has no full_text")
            yield tweet


def _shown(tweet: Fields) -> object:
    return tweet.get("full_text", tweet.get("text"))


def _elements(name: str, opener: Open) -> Iterator[object]:
    with opener() as file, io.TextIOWrapper(file, "utf-8-sig") as text:
        try:
            yield from iter_elements(text)
        except MalformedList as error:
            raise _invalid(f"{name} {error}") from None


def _earlier_versions(tweet: Fields) -> list[str]:
    """Ids of the versions of a post that were edited away; X lists them from the first to the last."""
    ids = tweet.get("edit_tweet_ids") or _down(tweet, "edit_info", "initial", "editTweetIds")
    ids = ids or _down(tweet, "edit_info", "edit", "editControlInitial", "editTweetIds")
    return [str(id_) for id_ in ids[:-1]] if isinstance(ids, list) else []


def _down(value: object, *path: str) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _long_posts(files: Mapping[str, Open]) -> dict[str, list[tuple[int, str]]]:
    """Ids and texts of the long posts, by how they begin."""
    notes: dict[str, list[tuple[int, str]]] = {}
    for name, opener in files.items():
        for item in _elements(name, opener):
            note = _down(item, "noteTweet") or item
            text, id_ = _down(note, "core", "text"), _number(_down(note, "noteTweetId"))
            if isinstance(text, str):
                notes.setdefault(_opening(text), []).append((id_, text))
    return notes


def _opening(text: str) -> str:
    return _plain(text)[:OPENING]


def _plain(text: str) -> str:
    return collapse_whitespace(unescape_entities(text))


def _number(value: object) -> int:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 20 else 0


def _post(tweet: Fields, handle: str, number: int, notes: Mapping[str, list[tuple[int, str]]]) -> Post:
    text = str(_shown(tweet))
    alike = notes.get(_opening(text)) if notes else None
    if not alike:
        return from_fields(handle, text, tweet, number)
    shown = _CUT.sub("", _plain(text), count=1)
    whole = [(abs(id_ - _number(tweet.get("id_str"))), note) for id_, note in alike if _plain(note).startswith(shown)]
    if whole:  # ids grow with time, so of long posts that begin alike the one with the nearest id is meant
        text = min(whole)[1]
    return from_fields(handle, text, tweet, number)


def _invalid(what: str) -> Failure:
    return Failure(Reason.INVALID_ARCHIVE, f"{what}: {_AGAIN}.")
