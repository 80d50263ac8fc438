"""Reads X's export ("Download an archive of your data"): the zip, its unpacked folder, or a tweets.js alone.

data/tweets.js (and tweets-part1.js …; tweet.js in old exports) contains the posts, in the form
`window.YTD.tweets.part0 = [{"tweet": {"id_str": …, "full_text": …}}, …]`. The reader resolves two differences to the
timeline: exports list every version of an edited post, and truncate long posts. The full texts of long posts are in
note-tweet.js, under other ids.
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
"""Maximum unpacked size of a part; X splits parts far earlier, so a larger file is a zip bomb."""

OPENING_CHARACTERS = 100
"""Length of the opening that matches a truncated post with the full text; X truncates after about 275."""

_PART = re.compile(r"(?:^|/)tweets?(?:-part(\d+))?\.js$")
_NOTES = re.compile(r"(?:^|/)note-tweets?(?:-part\d+)?\.js$")

_TRUNCATION = re.compile(r"(?:…|\.\.\.)?(?: ?https://t\.co/\w+)?$")
"""The end of a truncated post: an ellipsis, a link to the post itself, or both."""

_ADVICE = "download the archive from X again, and extract data/tweets.js and data/note-tweet.js"

Open = Callable[[], IO[bytes]]
Fields = Mapping[str, object]
LongPosts = Mapping[str, list[tuple[int, str]]]
"""Ids and full texts of long posts, by their opening."""


def contains_posts(name: str) -> bool:
    """Return whether a file of an export contains posts or long posts."""
    return bool(_PART.search(name) or _NOTES.search(name))


def read(path: Path, handle: str) -> Iterator[Post]:
    """Yield the posts of an export in the order of the files, each in the last version and with the full text.

    Raises:
        Failure: InvalidArchive, with the file and line of the problem.
    """
    damage = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError)
    try:
        with ExitStack() as stack:
            files = _files(path, stack)
            parts = {name: files[name] for name in sorted(filter(_PART.search, files), key=_part_order)}
            if path.is_file() and not zipfile.is_zipfile(path):
                parts = files  # a tweets.js alone may have any name
            if not parts:
                raise _invalid(f"{path.name} contains no data/tweets.js")
            long_posts = _read_long_posts({name: files[name] for name in files if _NOTES.search(name)})
            superseded = {id_ for tweet in _tweets(parts) for id_ in _earlier_versions(tweet)}
            for number, tweet in enumerate(_tweets(parts), 1):
                if tweet.get("id_str") not in superseded:
                    yield from_fields(handle, _full_text(tweet, long_posts), tweet, number)
    except damage as error:
        raise _invalid(f"{path.name} is damaged ({error})") from None


def _files(path: Path, stack: ExitStack) -> dict[str, Open]:
    """Return the files of an export by name."""
    if path.is_dir():
        return {file.relative_to(path).as_posix(): _opener(file) for file in path.rglob("*.js")}
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PK\x03\x04":  # a zip whose directory, at the end of the file, is missing
            raise _invalid(f"{path.name} is truncated: the end of the zip is missing")
        return {path.name: _opener(path)}
    try:
        package = stack.enter_context(zipfile.ZipFile(path))
    except UnicodeDecodeError:
        raise _invalid(f"{path.name} is damaged (a file name in the zip is not text)") from None
    return _members(package, path.name)


def _members(package: zipfile.ZipFile, name: str) -> dict[str, Open]:
    """Return the files with posts in a zip."""
    members = [info for info in package.infolist() if contains_posts(info.filename)]
    for info in members:
        if info.file_size > MAX_BYTES:
            raise _invalid(f"{info.filename} in {name} unpacks to {info.file_size:,} bytes")
    return {info.filename: cast(Open, partial(package.open, info)) for info in members}


def _opener(path: Path) -> Open:
    return lambda: path.open("rb")


def _part_order(name: str) -> tuple[int, str]:
    match = _PART.search(name)
    number = int(match[1]) if match and match[1] else 0
    return number, name


def _tweets(parts: Mapping[str, Open]) -> Iterator[Fields]:
    for name, opener in parts.items():
        for number, item in enumerate(_elements(name, opener), 1):
            tweet = item.get("tweet", item) if isinstance(item, dict) else None
            if not isinstance(tweet, dict) or not isinstance(_shown_text(tweet), str):
                raise _invalid(f"tweet {number:,} in {name} has no full_text")
            yield tweet


def _shown_text(tweet: Fields) -> object:
    return tweet.get("full_text", tweet.get("text"))


def _elements(name: str, opener: Open) -> Iterator[object]:
    with opener() as file, io.TextIOWrapper(file, "utf-8-sig") as text:
        try:
            yield from iter_elements(text)
        except MalformedList as error:
            raise _invalid(f"{name} {error}") from None


def _earlier_versions(tweet: Fields) -> list[str]:
    """Return the ids of the earlier versions of an edited post; X lists all versions in order."""
    ids = tweet.get("edit_tweet_ids") or _nested(tweet, "edit_info", "initial", "editTweetIds")
    ids = ids or _nested(tweet, "edit_info", "edit", "editControlInitial", "editTweetIds")
    return [str(id_) for id_ in ids[:-1]] if isinstance(ids, list) else []


def _nested(value: object, *path: str) -> object:
    """Return the value at a path of keys, or None."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _read_long_posts(files: Mapping[str, Open]) -> LongPosts:
    long_posts: dict[str, list[tuple[int, str]]] = {}
    for name, opener in files.items():
        for item in _elements(name, opener):
            note = _nested(item, "noteTweet") or item
            text, id_ = _nested(note, "core", "text"), _as_id(_nested(note, "noteTweetId"))
            if isinstance(text, str):
                long_posts.setdefault(_opening(text), []).append((id_, text))
    return long_posts


def _opening(text: str) -> str:
    return _normalized(text)[:OPENING_CHARACTERS]


def _normalized(text: str) -> str:
    return collapse_whitespace(unescape_entities(text))


def _as_id(value: object) -> int:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 20 else 0


def _full_text(tweet: Fields, long_posts: LongPosts) -> str:
    """Return the text of a post, from the long posts if the export truncates it.

    Ids grow with time, so the nearest id decides between long posts with the same opening.
    """
    text = str(_shown_text(tweet))
    candidates = long_posts.get(_opening(text)) if long_posts else None
    if not candidates:
        return text
    shown, id_ = _TRUNCATION.sub("", _normalized(text), count=1), _as_id(tweet.get("id_str"))
    matches = [(abs(other - id_), full) for other, full in candidates if _normalized(full).startswith(shown)]
    if not matches:
        return text
    return min(matches)[1]


def _invalid(problem: str) -> Failure:
    return Failure(Reason.INVALID_ARCHIVE, f"{problem}: {_ADVICE}.")
