import csv
import errno
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Rows
from tweetmodel_trainer.data.post import Post, to_utc_time
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.formats import posts_file

Write = Callable[[str, bytes], Path]


def lines(path: Path, field: str = "text", **where: str) -> list[str]:
    return [post.text for post in posts_file.read(path, "ada", Rows(text_field=field, where=where or None))]


def test_json_lines_may_be_gzipped(written: Write) -> None:
    content = b'{"text": "one", "id": 7}\n\n{"text": "two"}\n'
    assert lines(written("a.jsonl", content)) == lines(written("a.jsonl.gz", gzip.compress(content))) == ["one", "two"]


def test_json_list_is_read_like_json_lines(written: Write) -> None:
    content = b'\xef\xbb\xbf [\n  {"text": "one", "id": 7},\n  {"text": "two"}\n]\n'
    assert lines(written("a.json", content)) == lines(written("a.json.gz", gzip.compress(content))) == ["one", "two"]
    assert lines(written("a.json", b"[]")) == []


def test_text_field_contains_the_text(written: Write) -> None:
    assert lines(written("a.jsonl", b'{"body": "one"}'), "body") == ["one"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"text": "one"}\n{"text": "tw', "line 2 of a.jsonl is not valid JSON"),
        (b'{"text": "\xe9"}', "line 1 of a.jsonl is not UTF-8"),
        (b'{"body": "one"}', "has no text in the field 'text': name the right one in textField"),
        (b'{"text": 1}', "has no text in the field"),
        (b"7", "line 1 of a.jsonl is not a JSON object"),
        (
            b'{"text": "one"}\n{"id": ' + b"1" * 5000 + b"}",
            "line 2 of a.jsonl is too deeply nested or has",
        ),
        (b'{"a":' * 100_000, "line 1 of a.jsonl is too deeply nested or has too long a number"),
        (b"[" * 100_000, "a.jsonl is too deeply nested or has too long a number"),
        (b'[{"text": "one"}, 7]', "element 2 of a.jsonl is not a JSON object: write a list of objects"),
        (b'[{"text": "one"}, {"body": "two"}]', "element 2 of a.jsonl has no text in the field 'text'"),
        (b'[{"text": "one"},', "a.jsonl is truncated or not valid JSON at line 1"),
        (
            b'[{"text": "one"}]\n[{"text": "two"}]',
            "a.jsonl continues after the end of its list at line 2: save it",
        ),
        (b'[{"text": "one"}];\n[{"text": "two"}]', "a.jsonl continues after the end of its list at line 2"),
        (b'[{"text": "' + b"x" * posts_file.MAX_LINE_BYTES + b'"}]', "a.jsonl has an element of more than 33,554,432"),
        (b'[{"text": "\xe9"}]', "a.jsonl is not UTF-8"),
        (gzip.compress(b"[" + b'{"text": "one"},' * 5000)[:-20], "a.jsonl is damaged after element"),
        (gzip.compress(b"x" * posts_file.MAX_LINE_BYTES, 1), "line 1 of a.jsonl is too long for a post"),
        (gzip.compress(b'{"text": "one"}\n' * 5000)[:-20], "a.jsonl is damaged"),
    ],
)
def test_invalid_line_is_reported(written: Write, content: bytes, sentence: str) -> None:
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


def in_parquet(**columns: object) -> bytes:
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
def test_every_format_may_be_gzipped(written: Write, name: str) -> None:
    assert lines(written(name, FILES[name])) == TEXTS
    assert lines(written(f"{name}.gz", gzip.compress(FILES[name]))) == TEXTS


def test_a_full_disk_is_not_damage(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", fail)
    with pytest.raises(OSError, match="No space left"):
        lines(written("a.parquet.gz", gzip.compress(FILES["a.parquet"])))


def test_format_overrides_the_file_name(written: Write) -> None:
    path = written("export", FILES["a.csv"])
    assert [post.text for post in posts_file.read(path, "ada", Rows(), "CSV")] == TEXTS


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.JSONL", "JSONL"), ("a.csv.GZ", "CSV"), ("a.b.parquet", "Parquet"), ("posts", "JSONL"), ("a.txt.gz", "Text")],
)
def test_format_follows_the_file_name(name: str, format_: str) -> None:
    assert posts_file.format_of(name) == format_


def test_optional_fields_are_read_and_others_ignored(written: Write) -> None:
    row = {"text": "hello there", "id": "7", "created_at": "2025-01-01T00:00:00Z", "lang": "en", "color": "red"}
    for name, content in {"a.jsonl": json.dumps(row).encode(), "a.csv": in_csv([row])}.items():
        (post,) = posts_file.read(written(name, content), "ada", Rows())
        assert (post.id, post.created, post.language) == ("7", "2025-01-01T00:00:00Z", "en")


AUTHORS = [
    {"text": "one", "author": "ada", "lang": "en", "number": 7},
    {"text": None, "author": "bob", "lang": "en", "number": 7},
    {"text": "three", "author": "ada", "lang": "de", "number": 8},
]
BY_AUTHOR = {
    "a.jsonl": "\n".join([*map(json.dumps, AUTHORS), '{"text": "by nobody"}']).encode(),
    "a.csv": in_csv([{name: str(value) for name, value in row.items()} for row in AUTHORS]),
    "a.parquet": in_parquet(**{name: [row[name] for row in AUTHORS] for name in AUTHORS[0]}),
}


@pytest.mark.parametrize("name", BY_AUTHOR)
def test_where_selects_rows(written: Write, name: str) -> None:
    path = written(name, BY_AUTHOR[name])
    assert lines(path, author="ada") == ["one", "three"]
    assert lines(path, author="ada", lang="de") == lines(path, number="8") == ["three"]
    assert lines(path, author="eve") == lines(path, author="ADA") == []


def test_zero_is_an_id_and_nan_is_none(written: Write) -> None:
    rows = [{"text": "so", "id": id} for id in (0, 1, float("nan"), None)]
    content = "\n".join(map(json.dumps, rows)).encode()
    found = list(posts_file.read(written("a.jsonl", content), "ada", Rows()))
    assert [(post.id, post.is_numbered) for post in found] == [("0", False), ("1", False), ("3", True), ("4", True)]


def test_where_rejects_a_field_with_several_values(written: Write) -> None:
    content = json.dumps({"text": "a", "author": {"name": "ada"}}).encode()
    with pytest.raises(Failure, match=r"line 1 of a.jsonl has more than one value in the field 'author'"):
        lines(written("a.jsonl", content), author="ada")


def test_where_rejects_a_missing_field(written: Write) -> None:
    for name, sentence in {
        "a.csv": "line 1 of a.csv has no column 'by': name the right one in where",
        "a.parquet": "a.parquet has no column 'by': name the right one in where",
    }.items():
        with pytest.raises(Failure, match=sentence):
            lines(written(name, BY_AUTHOR[name]), by="ada")
    with pytest.raises(Failure, match=r"a.txt is plain text, which has no field 'by': remove where, or correct format"):
        lines(written("a.txt", FILES["a.txt"]), by="ada")


@pytest.mark.parametrize(
    ("kind", "value", "time"),
    [
        (pa.timestamp("ns"), 1539202764123456789, "2018-10-10T20:19:24Z"),
        (pa.timestamp("ns", "Europe/Berlin"), 1539202764123456789, "2018-10-10T20:19:24Z"),
        (pa.timestamp("us", "Nowhere/Else"), 1539202764123456, "2018-10-10T20:19:24Z"),
        (pa.timestamp("ms"), 2**62, ""),
        (pa.timestamp("ms", "UTC"), -(2**62), ""),
        (pa.date32(), 17814, "2018-10-10T00:00:00Z"),
        (pa.date32(), 2**30, ""),
        (pa.time64("ns"), 2**45, ""),
        (pa.duration("ns"), 1, ""),
        (pa.list_(pa.timestamp("us")), [0], ""),
    ],
)
def test_time_of_any_type_is_read_or_ignored(written: Write, kind: pa.DataType, value: object, time: str) -> None:
    content = in_parquet(text=["one", "two"], created_at=pa.array([value, None], kind))
    one, two = posts_file.read(written("a.parquet", content), "ada", Rows())
    assert (to_utc_time(one.created), two.created) == (time, "")


def test_unreadable_value_is_reported(written: Write) -> None:
    nested = pa.array([[1]], pa.list_(pa.timestamp("ns")))
    with pytest.raises(Failure, match=r"a.parquet has a column of values that Python can't represent") as failure:
        lines(written("a.parquet", in_parquet(text=["one"], created_at=nested)))
    assert failure.value.reason is Reason.INVALID_POSTS


def test_row_without_an_id_gets_its_number(written: Write) -> None:
    path = written("a.jsonl", b'{"text": "one", "id": 7}\n\n{"text": "two"}\n{"text": "three", "id": ""}')
    found = posts_file.read(path, "ada", Rows())
    assert [(post.id, post.is_numbered) for post in found] == [("7", False), ("3", True), ("4", True)]


def test_file_without_posts_is_empty(written: Write) -> None:
    for name in ("a.jsonl", "a.csv", "a.txt"):
        assert lines(written(name, b"")) == []


def test_post_of_ten_megabytes_is_read(written: Write) -> None:
    for long in ("x" * (10 << 20), "🌊" * (10 << 18)):
        as_json = json.dumps({"text": long})  # twelve characters for each emoji
        for name, content in {"a.txt": long, "a.csv": f"text\n{long}\n", "a.jsonl": as_json}.items():
            assert lines(written(name, content.encode())) == [long]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"id,body\n1,x\n", "line 1 of a.csv has no column 'text': name the right one in textField"),
        ("a.csv", b'text\n"one\ntwo', "a.csv after line 1 is not valid CSV"),
        ("a.csv", b"id,text\n1\n", "line 2 of a.csv has no text in the field 'text': remove rows without text"),
        ("a.csv", b'text\n"' + b"x\n" * (posts_file.MAX_CSV_LINE_CHARACTERS // 2 + 1), "larger than field limit"),
        ("a.csv", b"text\n\xff\n", "is not UTF-8"),
        ("a.csv", b"text\n" + b"x" * posts_file.MAX_CSV_LINE_CHARACTERS, "line 2 of a.csv is too long for a post"),
        ("a.parquet", b"PAR1 no", "a.parquet is damaged or not a Parquet file"),
        ("a.parquet", FILES["a.parquet"][:-9], "a.parquet is damaged or not a Parquet file"),
        ("a.parquet", in_parquet(body=["x"]), "has no column 'text': name the right one in textField"),
        ("a.parquet", in_parquet(text=["x", None]), "row 2 of a.parquet has no text"),
        ("a.parquet", in_parquet(text=[1]), "row 1 of a.parquet has no text"),
        ("a.txt", b"one\n\xff\n", "line 2 of a.txt is not UTF-8"),
        ("a.txt", b"x" * posts_file.MAX_LINE_BYTES, "line 1 of a.txt is too long for a post"),
    ],
)
def test_invalid_file_is_reported(written: Write, name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(Failure) as failure:
        lines(written(name, content))
    assert failure.value.reason is Reason.INVALID_POSTS
    assert sentence in str(failure.value)


def test_where_that_matches_no_row_is_reported() -> None:
    rows = Rows(where={"author": "eve", "lang": "en"})
    posts = [Post("ada", "1", "one"), Post("ada", "2", "two")]
    assert list(posts_file.require_match(iter(posts), "ada", rows)) == posts
    with pytest.raises(Failure, match="no row of the source @ada has 'author' = 'eve' and 'lang' = 'en': correct its"):
        list(posts_file.require_match(iter(()), "ada", rows))
    assert list(posts_file.require_match(iter(()), "ada", Rows())) == []
