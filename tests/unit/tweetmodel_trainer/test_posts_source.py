"""Files of posts in every format: what is read of them, and what is said of bad ones."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources import posts

Write = Callable[[str, bytes], Path]


def lines(path: Path, field: str = "text") -> list[str]:
    return [post.text for post in posts.read(path, "ada", field)]


def test_json_lines_are_read_plain_and_gzipped(written: Write) -> None:
    content = b'{"text": "one", "id": 7}\n\n{"text": "two"}\n'
    assert lines(written("a.jsonl", content)) == lines(written("a.jsonl.gz", gzip.compress(content))) == ["one", "two"]


def test_the_named_field_holds_the_text(written: Write) -> None:
    assert lines(written("a.jsonl", b'{"body": "one"}'), "body") == ["one"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"text": "one"}\n{"text": "tw', "line 2 of a.jsonl is no JSON"),
        (b'{"text": "\xe9"}', "line 1 of a.jsonl is not UTF-8"),
        (b'{"body": "one"}', "has no text in the field 'text': name the right one in textField"),
        (b'{"text": 1}', "has no text in the field"),
        (b"[]", "line 1 of a.jsonl is no JSON object"),
        (b'{"text": "one"}\n{"id": ' + b"1" * 5000 + b"}", "line 2 of a.jsonl holds what no post does"),
        (b"[" * 100_000, "line 1 of a.jsonl holds what no post does"),
        (gzip.compress(b"x" * posts.LONGEST_LINE, 1), "line 1 of a.jsonl is too long for a post"),
        (gzip.compress(b'{"text": "one"}\n' * 5000)[:-20], "a.jsonl is damaged"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(written: Write, content: bytes, sentence: str) -> None:
    with pytest.raises(Failure) as failure:
        lines(written("a.jsonl", content))
    assert failure.value.reason is Reason.INVALID_POSTS
    assert sentence in str(failure.value)
    assert "\n" not in str(failure.value)


TEXTS = ["one", 'two, with "quotes"', "three 🌊 مرحبا"]


def in_csv(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    table = csv.DictWriter(out, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    return out.getvalue().encode()


def in_parquet(**columns: list[object]) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue()


FILES = {
    "a.jsonl": "\n".join(json.dumps({"text": text}) for text in TEXTS).encode(),
    "a.csv": in_csv([{"id": str(n), "text": text} for n, text in enumerate(TEXTS)]),
    "a.parquet": in_parquet(text=TEXTS, other=[1, 2, 3]),
    "a.txt": "\n\n".join(TEXTS).encode(),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_is_read_plain_and_gzipped(written: Write, name: str) -> None:
    assert lines(written(name, FILES[name])) == TEXTS
    assert lines(written(f"{name}.gz", gzip.compress(FILES[name]))) == TEXTS


def test_a_named_format_goes_before_the_files_name(written: Write) -> None:
    path = written("export", FILES["a.csv"])
    assert [post.text for post in posts.read(path, "ada", "text", "CSV")] == TEXTS


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.JSONL", "JSONL"), ("a.csv.GZ", "CSV"), ("a.b.parquet", "Parquet"), ("posts", "JSONL"), ("a.txt.gz", "Text")],
)
def test_the_format_is_told_by_the_name(name: str, format_: str) -> None:
    assert posts.format_of(name) == format_


def test_what_stands_beside_the_text_is_read_and_the_rest_is_not(written: Write) -> None:
    row = {"text": "hello there", "id": "7", "created_at": "2025-01-01T00:00:00Z", "lang": "en", "colour": "red"}
    for name, content in {"a.jsonl": json.dumps(row).encode(), "a.csv": in_csv([row])}.items():
        (post,) = posts.read(written(name, content), "ada", "text")
        assert (post.id, post.created, post.language) == ("7", "2025-01-01T00:00:00Z", "en")


def test_a_file_without_posts_is_empty(written: Write) -> None:
    for name in ("a.jsonl", "a.csv", "a.txt"):
        assert lines(written(name, b"")) == []


def test_a_post_of_ten_megabytes_is_read(written: Write) -> None:
    long = "x" * (10 << 20)
    for name, content in {"a.txt": long.encode(), "a.csv": in_csv([{"text": long}])}.items():
        assert lines(written(name, content)) == [long]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"id,body\n1,x\n", "names no column the field 'text'"),
        ("a.csv", b'text\n"one\ntwo', "a.csv after line 1 is no CSV"),
        ("a.csv", b"id,text\n1\n", "line 2 of a.csv has no text in the field 'text': leave such rows out"),
        ("a.csv", b"text\n\xff\n", "is not UTF-8"),
        ("a.csv", b"text\n" + b"x" * (posts.LONGEST_LINE + 1), "larger than field limit"),
        ("a.parquet", b"PAR1 no", "a.parquet is damaged or no Parquet file"),
        ("a.parquet", FILES["a.parquet"][:-9], "a.parquet is damaged or no Parquet file"),
        ("a.parquet", in_parquet(body=["x"]), "has no column the field 'text': name the right one in textField"),
        ("a.parquet", in_parquet(text=["x", None]), "row 2 of a.parquet has no text"),
        ("a.parquet", in_parquet(text=[1]), "row 1 of a.parquet has no text"),
        ("a.txt", b"one\n\xff\n", "line 2 of a.txt is not UTF-8"),
        ("a.txt", b"x" * posts.LONGEST_LINE, "line 1 of a.txt is too long for a post"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(written: Write, name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(Failure) as failure:
        lines(written(name, content))
    assert failure.value.reason is Reason.INVALID_POSTS
    assert sentence in str(failure.value)
