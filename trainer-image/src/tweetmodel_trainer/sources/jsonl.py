"""Reads posts as JSON Lines, one object a line, plain or gzipped."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.post import Post

GZIP = b"\x1f\x8b"
LONGEST_LINE = 16 << 20
"""A line of more bytes is no post: it is refused before it fills the memory."""


def read(path: Path, name: str, handle: str, text_field: str) -> Iterator[Post]:
    """The posts of a file, in its order; empty lines are passed over.

    Args:
        path: of the file on disk.
        name: what it is called where it came from.
        handle: the account.
        text_field: the field of each line that holds the text.

    Raises:
        Failure: InvalidPosts, with the line that is to blame.
    """
    with _open(path) as lines:
        number = 0
        try:
            for number, line in enumerate(iter(lambda: lines.readline(LONGEST_LINE), b""), 1):
                if len(line) == LONGEST_LINE:
                    raise _invalid(f"line {number:,} of {name} is too long for a post: write one object a line")
                if line.strip():
                    yield _post(line, number, name, handle, text_field)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _invalid(f"{name} is damaged after line {number:,} ({error}): upload it again") from None


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def _post(line: bytes, number: int, name: str, handle: str, text_field: str) -> Post:
    where = f"line {number:,} of {name}"
    try:
        item = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise _invalid(f"{where} is not UTF-8 (byte {error.start:,}): save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise _invalid(f"{where} is no JSON ({error.msg}): write one object a line") from None
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        raise _invalid(f"{where} holds what no post does: write one flat object a line") from None
    if not isinstance(item, dict):
        raise _invalid(f"{where} is no JSON object: write one object a line")
    text = item.get(text_field)
    if not isinstance(text, str):
        raise _invalid(f"{where} has no text in the field {text_field!r}: name the right one in textField")
    return Post(handle, str(item.get("id", number)), text)


def _invalid(sentence: str) -> Failure:
    return Failure(Reason.INVALID_POSTS, f"{sentence}.")
