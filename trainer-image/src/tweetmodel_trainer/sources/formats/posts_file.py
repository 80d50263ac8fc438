"""Reads a file of posts row by row: JSON Lines, a JSON list, CSV, Parquet or plain text, each optionally gzipped.

The reader of a format yields numbered rows, and `read` turns the selected rows into posts.
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
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Posts, PostsFormat, Rows
from tweetmodel_trainer.data.post import Post, from_fields
from tweetmodel_trainer.failure import Failure, is_disk_full
from tweetmodel_trainer.sources.formats.json_list import MalformedList, iter_elements

if TYPE_CHECKING:
    import pyarrow as pa

GZIP_MAGIC = b"\x1f\x8b"
MAX_LINE_BYTES = 32 << 20
"""Maximum length of a line; cleaning needs up to forty bytes of memory per byte. A post of 10 MB takes 30 MB in JSON if
all characters are escaped."""
MAX_CSV_LINE_CHARACTERS = 16 << 20
"""Maximum length of a line of CSV; the format has no escapes."""
BATCH_ROWS = 4096

SUFFIXES: dict[str, PostsFormat] = {
    ".csv": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".txt": "Text",
    ".text": "Text",
}

_OPTIONAL_FIELDS = ("id", "id_str", "created_at", "lang", "in_reply_to_user_id", "in_reply_to_screen_name", "author_id")

_Format = PostsFormat | Literal["List"]
"""A format of the spec, or a JSON list, as in many files with the suffix .json."""
_ROW_NAMES: dict[_Format, str] = {"Parquet": "row", "List": "element"}

_DAMAGE = (EOFError, OSError, zlib.error)
"""Errors of a damaged file; gzip.BadGzipFile is an OSError."""

NumberedRows = Iterator[tuple[int, Mapping[str, object]]]
RequiredFields = Mapping[str, str]
"""Required fields of a file, each with the field of the spec that requires the field."""


def read(path: Path, handle: str, rows: Rows, format_: PostsFormat | None = None) -> Iterator[Post]:
    """Yield the posts of a file in order, without empty lines.

    Args:
        path: the file.
        handle: handle of the account.
        rows: the field of the text, and the values that select rows.
        format_: format of the file; by default the suffix of the file name decides.

    Raises:
        Failure: InvalidPosts, with the line or row of the problem.
        OSError: the disk is full.
    """
    where, text_field = rows.where or {}, rows.text_field
    kind = _detect_list(path, format_ or format_of(path.name))
    required = dict.fromkeys((text_field, *where), "where") | {text_field: "textField"}
    number = 0
    try:
        for number, fields in _READERS[kind](path, required):
            if not where or _matches(fields, where):
                yield from_fields(handle, _text_of(fields, text_field), fields, number)
    except _InvalidRow as error:
        raise _invalid(f"{_row_name(kind, number)} of {path.name} {error}") from None
    except _DAMAGE as error:
        if is_disk_full(error):  # while unpacking
            raise
        detail = " ".join(str(error).split())
        message = f"{path.name} is damaged after {_row_name(kind, number)} ({detail}): upload it again"
        raise _invalid(message) from None


def read_selected(path: Path, handle: str, options: Posts) -> Iterator[Post]:
    """Yield the posts of a file that the options select.

    Raises:
        Failure: InvalidPosts, with the line or row of the problem, or if `where` selects no row.
        OSError: the disk is full.
    """
    return require_match(read(path, handle, options, options.format), handle, options)


def require_match(posts: Iterator[Post], handle: str, rows: Rows) -> Iterator[Post]:
    """Yield posts, and fail if `where` selects none.

    Raises:
        Failure: InvalidPosts if no row of the source matches.
    """
    first = next(posts, None)
    if first is not None:
        yield first
        yield from posts
    elif rows.where:
        condition = " and ".join(f"{field!r} = {value!r}" for field, value in rows.where.items())
        raise _invalid(f"no row of the source @{handle} has {condition}: correct its where")


def format_of(name: str) -> PostsFormat:
    """Return the format for the suffix of a file name, by default JSON Lines."""
    return SUFFIXES.get(Path(name.lower().removesuffix(".gz")).suffix, "JSONL")


def _detect_list(path: Path, format_: PostsFormat) -> _Format:
    """Return "List" if a file of JSON Lines begins like a list, else the format."""
    if format_ != "JSONL":
        return format_
    try:
        with _open(path) as file:
            start = file.read(1024).removeprefix(codecs.BOM_UTF8).lstrip()
    except _DAMAGE:  # the reader reports the damage
        return format_
    return "List" if start.startswith(b"[") else format_


def _row_name(kind: _Format, number: int) -> str:
    return f"{_ROW_NAMES.get(kind, 'line')} {number:,}"


class _InvalidRow(Exception):
    """A row is not a post. The message is a predicate for the row: "has no text …"."""


def _matches(fields: Mapping[str, object], where: Mapping[str, str]) -> bool:
    """Return whether the fields of a row have the values of `where`.

    Raises:
        _InvalidRow: a field contains a list or an object.
    """
    for name in where:
        if isinstance(fields.get(name), dict | list):
            raise _InvalidRow(f"has more than one value in the field {name!r}: name another field in where")
    return all(_as_text(fields.get(name)) == value for name, value in where.items())


def _as_text(value: object) -> str | None:
    """Return a value in the notation of CSV, or None for lists and objects."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float | Decimal) else None


def _text_of(fields: Mapping[str, object], text_field: str) -> str:
    """Return the text of a row.

    Raises:
        _InvalidRow: the row has no text; the advice depends on whether the row has the field.
    """
    text = fields.get(text_field)
    if isinstance(text, str):
        return text
    if text_field in fields:
        advice = f"{text_field!r}: remove rows without text, or name another field in textField"
    else:
        advice = _naming_advice(text_field, "textField", fields)
    raise _InvalidRow(f"has no text in the field {advice}")


def _naming_advice(field: str, named_in: str, fields: Iterable[str]) -> str:
    """Return the end of a message about a missing field, with the existing fields."""
    existing = ", ".join(repr(name[:40]) for name in list(map(str, fields))[:8])
    suffix = f" (existing fields: {existing})" if existing else ""
    return f"{field!r}: name the right one in {named_in}{suffix}"


def _require_columns(required: RequiredFields, columns: Collection[str], where: str) -> None:
    for name, named_in in required.items():
        if name not in columns:
            raise _invalid(f"{where} has no column {_naming_advice(name, named_in, columns)}")


def _read_json_lines(path: Path, _: RequiredFields) -> NumberedRows:
    for number, line in _lines(path):
        yield number, _parse_object(line, f"line {number:,} of {path.name}")


def _parse_object(line: str, place: str) -> Mapping[str, object]:
    try:
        item = json.loads(line)
    except json.JSONDecodeError as error:
        advice = "write one object per line, or name the format of the file in format"
        raise _invalid(f"{place} is not valid JSON ({error.msg}): {advice}") from None
    except (RecursionError, ValueError):  # nested too deeply, or a number with thousands of digits
        raise _invalid(
            f"{place} is too deeply nested or has too long a number: write one flat object per line"
        ) from None
    return _require_object(item, place, "write one object per line")


def _read_json_list(path: Path, _: RequiredFields) -> NumberedRows:
    with _open(path) as file, io.TextIOWrapper(file, "utf-8-sig") as text:
        try:
            for number, item in enumerate(iter_elements(text, MAX_LINE_BYTES), 1):
                yield number, _require_object(item, f"element {number:,} of {path.name}", "write a list of objects")
        except MalformedList as error:
            advice = "save it again in UTF-8, as one list or as one object per line"
            raise _invalid(f"{path.name} {error}: {advice}") from None


def _require_object(item: object, place: str, advice: str) -> Mapping[str, object]:
    if not isinstance(item, dict):
        raise _invalid(f"{place} is not a JSON object: {advice}")
    return item


def _read_plain_text(path: Path, required: RequiredFields) -> NumberedRows:
    names = {named_in: name for name, named_in in required.items()}
    if "where" in names:
        advice = "remove where, or correct format"
        raise _invalid(f"{path.name} is plain text, which has no field {names['where']!r}: {advice}")
    for number, line in _lines(path):
        yield number, {names["textField"]: line.rstrip("\r\n")}


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the non-blank lines of a file, with their numbers."""
    with _open(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
            place = f"line {number:,} of {path.name}"
            if len(line) == MAX_LINE_BYTES:
                raise _too_long(place)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise _invalid(f"{place} is not UTF-8 (byte {error.start:,}): save the file as UTF-8") from None
            if text and not text.isspace():
                yield number, text


def _read_csv(path: Path, required: RequiredFields) -> NumberedRows:
    csv.field_size_limit(MAX_CSV_LINE_CHARACTERS)
    with _open(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        # strict: otherwise an unclosed quote swallows the rest of the file
        rows = csv.DictReader(_csv_lines(path, text), strict=True)
        try:
            if rows.fieldnames is not None:
                _require_columns(required, rows.fieldnames, f"line 1 of {path.name}")
            for row in rows:
                yield rows.line_num, row
        except csv.Error as error:
            message = f"{path.name} after line {rows.line_num:,} is not valid CSV ({error}): correct its quotes"
            raise _invalid(message) from None
        except UnicodeDecodeError:
            message = f"{path.name} after line {rows.line_num:,} is not UTF-8: save the file as UTF-8"
            raise _invalid(message) from None


def _csv_lines(path: Path, text: io.TextIOWrapper) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: text.readline(MAX_CSV_LINE_CHARACTERS), ""), 1):
        if len(line) == MAX_CSV_LINE_CHARACTERS:
            raise _too_long(f"line {number:,} of {path.name}")
        yield line


def _read_parquet(path: Path, required: RequiredFields) -> NumberedRows:
    import pyarrow as pa  # imported here: the import takes 0.2 s, and most sources don't need it
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(_unpacked(path)) as file:
            existing = file.schema_arrow.names
            _require_columns(required, existing, path.name)
            columns = [name for name in dict.fromkeys((*required, *_OPTIONAL_FIELDS)) if name in existing]
            batches = file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
            yield from enumerate((row for batch in batches for row in _times_as_text(batch).to_pylist()), 1)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        detail = " ".join(str(error).split())[:200]
        message = f"{path.name} is damaged or not a Parquet file ({detail}): upload it again, or correct format"
        raise _invalid(message) from None
    except (ValueError, OverflowError) as error:
        detail = " ".join(str(error).split())[:200]
        message = f"{path.name} has a column of values that Python can't represent ({detail}): remove the column"
        raise _invalid(message) from None


def _times_as_text(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """Return a batch with all times as text in UTC.

    Python has no nanoseconds, fewer years than Parquet, and not every time zone.
    """
    import pyarrow as pa

    def as_text(column: "pa.Array") -> "pa.Array":
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp(column.type.unit))
        return column.cast(pa.string()) if pa.types.is_temporal(column.type) else column

    return pa.RecordBatch.from_arrays(list(map(as_text, batch.columns)), names=batch.schema.names)


def _unpacked(path: Path) -> Path:
    """Return the file, or an unpacked copy of a gzipped one: Parquet readers seek."""
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
        return file.read(2) == GZIP_MAGIC


def _too_long(place: str) -> Failure:
    return _invalid(f"{place} is too long for a post: write one post per line")


def _invalid(message: str) -> Failure:
    return Failure(Reason.INVALID_POSTS, f"{message}.")


_READERS: dict[_Format, Callable[[Path, RequiredFields], NumberedRows]] = {
    "JSONL": _read_json_lines,
    "List": _read_json_list,
    "CSV": _read_csv,
    "Parquet": _read_parquet,
    "Text": _read_plain_text,
}
