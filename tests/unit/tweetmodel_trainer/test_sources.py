import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from makers import zipped
from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources import archive, jsonl

Write = Callable[[str, bytes], Path]


def part(*texts: str, number: int = 0) -> bytes:
    items = [{"tweet": {"id_str": str(i), "full_text": text}} for i, text in enumerate(texts)]
    return f"window.YTD.tweets.part{number} = {json.dumps(items)}".encode()


def texts(path: Path) -> list[str]:
    return [post.text for post in archive.read(path, path.name, "ada")]


def test_the_zip_as_x_makes_it_is_read(written: Write) -> None:
    assert texts(written("a.zip", zipped({"data/account.js": b"", "data/tweets.js": part("one", "two")}))) == [
        "one",
        "two",
    ]


def test_the_parts_of_a_large_archive_are_read_in_order(written: Write) -> None:
    files = {f"data/tweets-part{n}.js": part(f"part {n}", number=n) for n in (10, 2, 1)}
    path = written("a.zip", zipped({**files, "data/tweets.js": part("part 0")}))
    assert texts(path) == ["part 0", "part 1", "part 2", "part 10"]


def test_an_old_archive_and_one_in_a_folder_are_read(written: Write) -> None:
    path = written("a.zip", zipped({"twitter-2023/data/tweet.js": part("old").replace(b"YTD.tweets", b"YTD.tweet")}))
    assert texts(path) == ["old"]


def test_a_tweets_js_on_its_own_is_read(written: Write) -> None:
    assert texts(written("tweets.js", b"\xef\xbb\xbf" + part("alone"))) == ["alone"]


def test_an_empty_account_has_no_posts(written: Write) -> None:
    assert texts(written("a.zip", zipped({"data/tweets.js": part()}))) == []


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("cut.zip", zipped({"data/tweets.js": part("one")})[:60], "cut.zip is cut off"),
        ("empty.zip", zipped({"data/account.js": b""}), "empty.zip holds no data/tweets.js"),
        ("latin.zip", zipped({"data/tweets.js": part("x").replace(b"x", b"\xe9")}), "data/tweets.js is not UTF-8"),
        ("tweets.js", part("one")[:-8], "tweets.js breaks off or is no JSON at line 1"),
        ("tweets.js", b"", "tweets.js breaks off or is no JSON"),
        ("tweets.js", b'window.YTD.tweets.part0 = {"a": 1}', "is not a list of tweets"),
        ("tweets.js", b'[{"tweet": {"id": 1}}]', "tweet 1 in tweets.js has no full_text"),
        ("tweets.js", b'[{"tweet": {"full_text": "a"}},\n{"tweet": {\n"full_text": wrong}}]', "no JSON at line 3"),
        ("tweets.js", b"[1]", "tweet 1 in tweets.js has no full_text"),
        ("tweets.js", b"[" * 100_000, "tweets.js holds what no export does"),
        ("tweets.js", b'[{"tweet": {"id": ' + b"1" * 5000 + b"}}]", "tweets.js holds what no export does"),
    ],
)
def test_what_is_wrong_with_an_archive_is_told_with_what_to_do(
    written: Write, name: str, content: bytes, sentence: str
) -> None:
    with pytest.raises(Failure) as failure:
        texts(written(name, content))
    assert failure.value.reason is Reason.INVALID_ARCHIVE
    assert sentence in str(failure.value)
    assert "download the archive from X again" in str(failure.value)


@pytest.mark.parametrize("piece", [1, 7, 64])
def test_an_archive_is_the_same_in_pieces_of_any_size(
    written: Write, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    many = [f'tweet {n} with "quotes", [brackets], \\ and \U0001f426' for n in range(30)]
    monkeypatch.setattr(archive, "PIECE", max(piece, len("window.YTD.tweets.part0 = [")))
    assert texts(written("tweets.js", part(*many).replace(b"}}, {", b"}} ,\n\n {"))) == many


def test_a_tweet_without_words_is_one(written: Write) -> None:
    assert texts(written("tweets.js", part("one", "", "two"))) == ["one", "", "two"]


def test_a_large_archive_takes_little_memory(written: Write) -> None:
    path = written("tweets.js", part(*(f"tweet {n} \U0001f426 {'x' * 200}" for n in range(100_000))))
    tracemalloc.start()
    count = sum(1 for _ in archive.read(path, path.name, "ada"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < path.stat().st_size / 2


def test_a_member_whose_compression_is_damaged_is_told(written: Write) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as package:
        package.writestr("data/tweets.js", part(*(f"some text {n}" for n in range(100))))
    content = bytearray(buffer.getvalue())
    content[60:90] = b"\xff" * 30
    with pytest.raises(Failure, match="damaged"):
        texts(written("a.zip", bytes(content)))


def test_a_damaged_member_is_told(written: Write) -> None:
    content = bytearray(zipped({"data/tweets.js": part(*"some text that is long enough to be deflated" * 9)}))
    content[60:70] = b"\xff" * 10
    with pytest.raises(Failure, match="damaged"):
        texts(written("a.zip", bytes(content)))


def lines(path: Path, field: str = "text") -> list[str]:
    return [post.text for post in jsonl.read(path, path.name, "ada", field)]


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
        (gzip.compress(b"x" * jsonl.LONGEST_LINE, 1), "line 1 of a.jsonl is too long for a post"),
        (gzip.compress(b'{"text": "one"}\n' * 5000)[:-20], "a.jsonl is damaged"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(written: Write, content: bytes, sentence: str) -> None:
    with pytest.raises(Failure) as failure:
        lines(written("a.jsonl", content))
    assert failure.value.reason is Reason.INVALID_POSTS
    assert sentence in str(failure.value)
