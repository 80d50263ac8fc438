"""Reads a file of posts, row by row: JSON Lines or a JSON list, CSV, Parquet or plain text, each gzipped or not.

A reader of a format yields rows with their numbers; what a row must hold to be a post is said once, below them.
"""

import codecs
import csv
import gzip
import io
import json
import shutil
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import PostsFormat
from tweetmodel_trainer.data.post import Post, from_fields
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.formats.json_list import MalformedList, iter_elements

if TYPE_CHECKING:
    import pyarrow as pa

GZIP = b"\x1f\x8b"
MAX_LINE_BYTES = 32 << 20
"""Bytes; a longer line is no post and is refused before it fills the memory (cleaning takes up to forty bytes of
it for each). A post of 10 MB has 30 where JSON escapes its characters."""
MAX_CSV_LINE_CHARACTERS = 16 << 20
"""Characters; CSV escapes none."""
BATCH_ROWS = 4096

SUFFIXES: dict[str, PostsFormat] = {
    ".csv": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".txt": "Text",
    ".text": "Text",
}

_READ_BESIDE = ("id", "id_str", "created_at", "lang", "in_reply_to_user_id", "in_reply_to_screen_name", "author_id")

_Kind = PostsFormat | Literal["List"]
"""A list is what many a file is whose name promises JSON."""
_COUNTED: dict[_Kind, str] = {"Parquet": "row", "List": "element"}

_DAMAGE = (EOFError, OSError, zlib.error)
"""Among them gzip.BadGzipFile."""

Rows = Iterator[tuple[int, Mapping[str, object]]]
Needed = Mapping[str, str]
"""Fields that a file must have, each with the field of the spec that names it."""


def read(
    path: Path,
    handle: str,
    text_field: str,
    format_: PostsFormat | None = None,
    where: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Post]:
    """The posts of a file, in its order; empty lines are passed over.

    Args:
        path: the file; its name tells the format where `format_` doesn't.
        handle: the account's.
        text_field: field or column with the text.
        format_: of the file.
        where: what fields must say for a row to be read.

    Raises:
        Failure: InvalidPosts, with the line or row that is to blame.
    """
    kind = _kind(path, format_ or format_of(path.name))
    needed = dict.fromkeys((text_field, *where), "where") | {text_field: "textField"}
    number = 0
    try:
        for number, fields in _READERS[kind](path, needed):
            if nested := next((name for name in where if isinstance(fields.get(name), dict | list)), None):
                wrong = f"more than one value in the field {nested!r}: name another field in where"
                raise _invalid(f"{_place(kind, number)} of {path.name} has {wrong}")
            if not _says(fields, where):
                continue
            text = fields.get(text_field)
            if not isinstance(text, str):
                wrong = _without_text(fields, text_field)
                raise _invalid(f"{_place(kind, number)} of {path.name} has no text in the field {wrong}")
            yield from_fields(handle, text, fields, number)
    except _DAMAGE as error:
        what = " ".join(str(error).split())
        sentence = f"{path.name} is damaged after {_place(kind, number)} ({what}): upload it again"
        raise _invalid(sentence) from None


def format_of(name: str) -> PostsFormat:
    """The format that a file's name tells; JSON Lines where it tells none."""
    return SUFFIXES.get(Path(name.lower().removesuffix(".gz")).suffix, "JSONL")


def _kind(path: Path, format_: PostsFormat) -> _Kind:
    """The format, by what a file that promises JSON begins with."""
    if format_ != "JSONL":
        return format_
    try:
        with _open(path) as file:
            start = file.read(1024).removeprefix(codecs.BOM_UTF8).lstrip()
    except _DAMAGE:  # which is told when the file is read
        return format_
    return "List" if start.startswith(b"[") else format_


def _place(kind: _Kind, number: int) -> str:
    return f"{_COUNTED.get(kind, 'line')} {number:,}"


def _says(fields: Mapping[str, object], where: Mapping[str, str]) -> bool:
    """Whether these fields of a row say this."""
    return all(_in_words(fields.get(name)) == words for name, words in where.items())


def _in_words(value: object) -> str | None:
    """A value as a CSV file would have it; None where it would have none."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float | Decimal) else None


def _without_text(fields: Mapping[str, object], text_field: str) -> str:
    """The end of a sentence that tells a wrong name of the field from a row without text."""
    if text_field in fields:
        return f"{text_field!r}: leave such rows out, or name another field in textField"
    return _misnamed(text_field, "textField", fields)


def _misnamed(field: str, named_in: str, fields: Iterable[str]) -> str:
    """The end of a sentence that tells a wrong name of a field, by those that are there."""
    there = ", ".join(repr(name[:40]) for name in list(map(str, fields))[:8])
    return f"{field!r}: name the right one in {named_in}" + (f" (there are {there})" if there else "")


def _check_columns(needed: Needed, columns: Collection[str], where: str) -> None:
    for name, named_in in needed.items():
        if name not in columns:
            raise _invalid(f"{where} has no column {_misnamed(name, named_in, columns)}")


def _json_lines(path: Path, _: Needed) -> Rows:
    for number, line in _lines(path):
        yield number, _object(line, f"line {number:,} of {path.name}")


def _object(line: str, where: str) -> Mapping[str, object]:
    try:
        item = json.loads(line)
    except json.JSONDecodeError as error:
        advice = "write one object a line, or name the file's format in format"
        raise _invalid(f"{where} is no JSON ({error.msg}): {advice}") from None
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        raise _invalid(f"{where} holds what no post does: write one flat object a line") from None
    return _checked(item, where, "write one object a line")


def _json_list(path: Path, _: Needed) -> Rows:
    with _open(path) as file, io.TextIOWrapper(file, "utf-8-sig") as text:
        try:
            for number, item in enumerate(iter_elements(text, MAX_LINE_BYTES), 1):
                yield number, _checked(item, f"element {number:,} of {path.name}", "write a list of objects")
        except MalformedList as error:
            advice = "save it again in UTF-8, as one list or as one object a line"
            raise _invalid(f"{path.name} {error}: {advice}") from None


def _checked(item: object, where: str, advice: str) -> Mapping[str, object]:
    if not isinstance(item, dict):
        raise _invalid(f"{where} is no JSON object: {advice}")
    return item


def _plain_text(path: Path, needed: Needed) -> Rows:
    named = {named_in: name for name, named_in in needed.items()}
    if "where" in named:
        advice = "remove where, or correct format"
        raise _invalid(f"{path.name} is plain text, which has no field {named['where']!r}: {advice}")
    for number, line in _lines(path):
        yield number, {named["textField"]: line.rstrip("\r\n")}


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not blank, with their numbers."""
    with _open(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
            where = f"line {number:,} of {path.name}"
            if len(line) == MAX_LINE_BYTES:
                raise _too_long(where)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise _invalid(f"{where} is not UTF-8 (byte {error.start:,}): save the file as UTF-8") from None
            if text and not text.isspace():
                yield number, text


def _csv(path: Path, needed: Needed) -> Rows:
    csv.field_size_limit(MAX_CSV_LINE_CHARACTERS)
    with _open(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        # Strict, or a quote that is never closed swallows the rest.
        rows = csv.DictReader(_csv_lines(path, text), strict=True)
        try:
            if rows.fieldnames is not None:
                _check_columns(needed, rows.fieldnames, f"line 1 of {path.name}")
            for row in rows:
                yield rows.line_num, row
        except csv.Error as error:
            raise _invalid(
                f"{path.name} after line {rows.line_num:,} is no CSV ({error}): correct its quotes"
            ) from None
        except UnicodeDecodeError:
            where = f"{path.name} after line {rows.line_num:,}"
            raise _invalid(f"{where} is not UTF-8: save the file as UTF-8") from None


def _csv_lines(path: Path, text: io.TextIOWrapper) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: text.readline(MAX_CSV_LINE_CHARACTERS), ""), 1):
        if len(line) == MAX_CSV_LINE_CHARACTERS:
            raise _too_long(f"line {number:,} of {path.name}")
        yield line


def _parquet(path: Path, needed: Needed) -> Rows:
    import pyarrow as pa  # here, because it takes 0.2 s and most sources have no need of it
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(_unpacked(path)) as file:
            _check_columns(needed, file.schema_arrow.names, path.name)
            columns = [name for name in dict.fromkeys((*needed, *_READ_BESIDE)) if name in file.schema_arrow.names]
            batches = file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
            yield from enumerate((row for batch in batches for row in _times_as_text(batch).to_pylist()), 1)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())[:200]
        raise _invalid(
            f"{path.name} is damaged or no Parquet file ({what}): upload it again, or correct format"
        ) from None
    except (ValueError, OverflowError) as error:
        what = " ".join(str(error).split())[:200]
        raise _invalid(f"{path.name} holds what no post does ({what}): leave that column out") from None


def _times_as_text(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """The same rows with times in UTC as text: Python has no nanoseconds and few years, and few of the time zones."""
    import pyarrow as pa

    def as_text(column: "pa.Array") -> "pa.Array":
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp(column.type.unit))
        return column.cast(pa.string()) if pa.types.is_temporal(column.type) else column

    return pa.RecordBatch.from_arrays(list(map(as_text, batch.columns)), names=batch.schema.names)


def _unpacked(path: Path) -> Path:
    """The file, or a copy without gzip beside it: Parquet is read from its end."""
    if not _is_gzipped(path):
        return path
    plain = path.with_name(f"{path.name}.unpacked")
    with gzip.open(path) as packed, plain.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    return plain


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if _is_gzipped(path) else path.open("rb")


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIP


def _too_long(where: str) -> Failure:
    return _invalid(f"{where} is too long for a post: write one post a line")


def _invalid(sentence: str) -> Failure:
    return Failure(Reason.INVALID_POSTS, f"{sentence}.")


_READERS: dict[_Kind, Callable[[Path, Needed], Rows]] = {
    "JSONL": _json_lines,
    "List": _json_list,
    "CSV": _csv,
    "Parquet": _parquet,
    "Text": _plain_text,
}
