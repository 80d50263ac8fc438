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
from tweetmodel_trainer.data.post import to_utc_time
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.formats import posts_file as posts

Write = Callable[[str, bytes], Path]


def lines(path: Path, field: str = "text", **where: str) -> list[str]:
    return [post.text for post in posts.read(path, "ada", field, where=where)]


def test_json_lines_are_read_plain_and_gzipped(written: Write) -> None:
    content = b'{"text": "one", "id": 7}\n\n{"text": "two"}\n'
    assert lines(written("a.jsonl", content)) == lines(written("a.jsonl.gz", gzip.compress(content))) == ["one", "two"]


def test_a_list_of_objects_is_read_as_lines_of_them_are(written: Write) -> None:
    content = b'\xef\xbb\xbf [\n  {"text": "one", "id": 7},\n  {"text": "two"}\n]\n'
    assert lines(written("a.json", content)) == lines(written("a.json.gz", gzip.compress(content))) == ["one", "two"]
    assert lines(written("a.json", b"[]")) == []


def test_the_named_field_holds_the_text(written: Write) -> None:
    assert lines(written("a.jsonl", b'{"body": "one"}'), "body") == ["one"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"text": "one"}\n{"text": "tw', "line 2 of a.jsonl is no JSON"),
        (b'{"text": "\xe9"}', "line 1 of a.jsonl is not UTF-8"),
        (b'{"body": "one"}', "has no text in the field 'text': name the right one in textField"),
        (b'{"text": 1}', "has no text in the field"),
        (b"7", "line 1 of a.jsonl is no JSON object"),
        (b'{"text": "one"}\n{"id": ' + b"1" * 5000 + b"}", "line 2 of a.jsonl holds what no post does"),
        (b'{"a":' * 100_000, "line 1 of a.jsonl holds what no post does"),
        (b"[" * 100_000, "a.jsonl holds what no post does"),
        (b'[{"text": "one"}, 7]', "element 2 of a.jsonl is no JSON object: write a list of objects"),
        (b'[{"text": "one"}, {"body": "two"}]', "element 2 of a.jsonl has no text in the field 'text'"),
        (b'[{"text": "one"},', "a.jsonl breaks off or is no JSON at line 1"),
        (b'[{"text": "one"}]\n[{"text": "two"}]', "a.jsonl goes on behind its list at line 2: save it again in UTF-8"),
        (b'[{"text": "one"}];\n[{"text": "two"}]', "a.jsonl goes on behind its list at line 2"),
        (b'[{"text": "' + b"x" * posts.MAX_LINE_BYTES + b'"}]', "a.jsonl holds one element of more than 33,554,432"),
        (b'[{"text": "\xe9"}]', "a.jsonl is not UTF-8"),
        (gzip.compress(b"[" + b'{"text": "one"},' * 5000)[:-20], "a.jsonl is damaged after element"),
        (gzip.compress(b"x" * posts.MAX_LINE_BYTES, 1), "line 1 of a.jsonl is too long for a post"),
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
def test_only_the_rows_that_are_asked_for_are_read(written: Write, name: str) -> None:
    path = written(name, BY_AUTHOR[name])
    assert lines(path, author="ada") == ["one", "three"]
    assert lines(path, author="ada", lang="de") == lines(path, number="8") == ["three"]
    assert lines(path, author="eve") == lines(path, author="ADA") == []


def test_an_id_of_nought_is_one_and_no_number_is_none(written: Write) -> None:
    rows = [{"text": "so", "id": id} for id in (0, 1, float("nan"), None)]
    content = "\n".join(map(json.dumps, rows)).encode()
    found = list(posts.read(written("a.jsonl", content), "ada", "text"))
    assert [(post.id, post.is_numbered) for post in found] == [("0", False), ("1", False), ("3", True), ("4", True)]


def test_a_field_of_several_values_can_not_be_asked_for(written: Write) -> None:
    content = json.dumps({"text": "a", "author": {"name": "ada"}}).encode()
    with pytest.raises(Failure, match=r"line 1 of a.jsonl has more than one value in the field 'author'"):
        lines(written("a.jsonl", content), author="ada")


def test_what_no_row_can_be_asked_for_is_told(written: Write) -> None:
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
def test_a_time_of_any_kind_is_read_or_passed_over(written: Write, kind: pa.DataType, value: object, time: str) -> None:
    content = in_parquet(text=["one", "two"], created_at=pa.array([value, None], kind))
    one, two = posts.read(written("a.parquet", content), "ada", "text")
    assert (to_utc_time(one.created), two.created) == (time, "")


def test_a_value_that_nobody_can_read_is_told(written: Write) -> None:
    nested = pa.array([[1]], pa.list_(pa.timestamp("ns")))
    with pytest.raises(Failure, match=r"a.parquet holds what no post does") as failure:
        lines(written("a.parquet", in_parquet(text=["one"], created_at=nested)))
    assert failure.value.reason is Reason.INVALID_POSTS


def test_a_row_without_an_id_has_its_number(written: Write) -> None:
    path = written("a.jsonl", b'{"text": "one", "id": 7}\n\n{"text": "two"}\n{"text": "three", "id": ""}')
    found = posts.read(path, "ada", "text")
    assert [(post.id, post.is_numbered) for post in found] == [("7", False), ("3", True), ("4", True)]


def test_a_file_without_posts_is_empty(written: Write) -> None:
    for name in ("a.jsonl", "a.csv", "a.txt"):
        assert lines(written(name, b"")) == []


def test_a_post_of_ten_megabytes_is_read(written: Write) -> None:
    for long in ("x" * (10 << 20), "🌊" * (10 << 18)):
        as_json = json.dumps({"text": long})  # twelve characters for each emoji
        for name, content in {"a.txt": long, "a.csv": f"text\n{long}\n", "a.jsonl": as_json}.items():
            assert lines(written(name, content.encode())) == [long]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"id,body\n1,x\n", "line 1 of a.csv has no column 'text': name the right one in textField"),
        ("a.csv", b'text\n"one\ntwo', "a.csv after line 1 is no CSV"),
        ("a.csv", b"id,text\n1\n", "line 2 of a.csv has no text in the field 'text': leave such rows out"),
        ("a.csv", b'text\n"' + b"x\n" * (posts.MAX_CSV_LINE_CHARACTERS // 2 + 1), "larger than field limit"),
        ("a.csv", b"text\n\xff\n", "is not UTF-8"),
        ("a.csv", b"text\n" + b"x" * posts.MAX_CSV_LINE_CHARACTERS, "line 2 of a.csv is too long for a post"),
        ("a.parquet", b"PAR1 no", "a.parquet is damaged or no Parquet file"),
        ("a.parquet", FILES["a.parquet"][:-9], "a.parquet is damaged or no Parquet file"),
        ("a.parquet", in_parquet(body=["x"]), "has no column 'text': name the right one in textField"),
        ("a.parquet", in_parquet(text=["x", None]), "row 2 of a.parquet has no text"),
        ("a.parquet", in_parquet(text=[1]), "row 1 of a.parquet has no text"),
        ("a.txt", b"one\n\xff\n", "line 2 of a.txt is not UTF-8"),
        ("a.txt", b"x" * posts.MAX_LINE_BYTES, "line 1 of a.txt is too long for a post"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(written: Write, name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(Failure) as failure:
        lines(written(name, content))
    assert failure.value.reason is Reason.INVALID_POSTS
    assert sentence in str(failure.value)
