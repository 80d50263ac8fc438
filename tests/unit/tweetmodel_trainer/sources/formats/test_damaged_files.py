"""Reads every file format with hostile posts and with damage."""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

import hostile
from makers import zipped
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Cleaning, Rows
from tweetmodel_trainer.data.clean import clean_posts
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.formats import posts_file, x_archive

Write = Callable[[str, bytes], Path]
ROWS = [
    {"id": str(n // 2), "text": text, "created_at": f"{2026 - n}-01-01T00:00:00Z", "lang": "en", "unknown": "field"}
    for n, text in enumerate([*hostile.POSTS, "10 MB " + "x" * (10 << 20)])
]
"""Every id twice, the latest post first, with an unknown field."""


def in_json_lines(rows: Sequence[dict[str, str]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def in_csv(rows: Sequence[dict[str, str]]) -> bytes:
    out = io.StringIO()
    table = csv.DictWriter(out, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    return out.getvalue().encode()


def in_parquet(rows: Sequence[dict[str, str]]) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(rows)), out)
    return out.getvalue()


def in_one_line(text: str) -> str:
    return text.replace("\r\n", " ").replace("\n", " ")


def in_text(rows: Sequence[dict[str, str]]) -> bytes:
    return "\n".join(in_one_line(row["text"]) for row in rows).encode()


def in_tweets_js(rows: Sequence[dict[str, str]]) -> bytes:
    tweets = [{"tweet": {"full_text": row["text"], "id_str": row["id"], **row}} for row in rows]
    return f"window.YTD.tweets.part0 = {json.dumps(tweets, ensure_ascii=False)}".encode()


def in_zip(rows: Sequence[dict[str, str]]) -> bytes:
    return zipped({"data/tweets.js": in_tweets_js(rows), "data/note-tweet.js": b"window.YTD.note_tweet.part0 = [{}]"})


KINDS = {
    "tweets.js": in_tweets_js,
    "archive.zip": in_zip,
    "posts.jsonl": in_json_lines,
    "posts.csv": in_csv,
    "posts.parquet": in_parquet,
    "posts.txt": in_text,
    "posts.jsonl.gz": lambda rows: gzip.compress(in_json_lines(rows), 1),
    "posts.csv.gz": lambda rows: gzip.compress(in_csv(rows), 1),
    "posts.parquet.gz": lambda rows: gzip.compress(in_parquet(rows), 1),
    "posts.txt.gz": lambda rows: gzip.compress(in_text(rows), 1),
}


def read(path: Path) -> Iterator[Post]:
    if path.name in ("tweets.js", "archive.zip"):
        return x_archive.read(path, "ada")
    return posts_file.read(path, "ada", Rows())


@pytest.mark.parametrize("name", KINDS)
def test_hostile_posts_are_read_unchanged(written: Write, name: str) -> None:
    found = list(read(written(name, KINDS[name](ROWS))))
    if ".txt" in name:
        assert [post.text for post in found] == [in_one_line(row["text"]) for row in ROWS]
        return
    assert [post.text for post in found] == [row["text"] for row in ROWS]
    assert [(post.id, post.created) for post in found] == [(row["id"], row["created_at"]) for row in ROWS]
    counts = Counts()
    assert all(len(post.text.splitlines()) == 1 for post in clean_posts(found, counts, Cleaning(drop=())) if post.text)
    assert (counts.first, counts.last) == (ROWS[-1]["created_at"], ROWS[0]["created_at"])


STRIKING = (b"\0", b"\xff", b"[", b"{", b"null", b'"', b"\r", b"1e999", b"NaN", b"{}", b"-1", b"\\ud800", b"9" * 25)


def damaged(content: bytes, generator: random.Random) -> bytes:
    """Return the content with a few bytes changed, inserted or removed, or with its end cut off."""
    for _ in range(generator.choice((1, 1, 2, 5))):
        at, more = generator.randrange(len(content) + 1), generator.randrange(20)
        inserted = generator.choice((generator.randbytes(more), generator.choice(STRIKING), b""))
        content = content[:at] + inserted + (b"" if generator.random() < 0.1 else content[at + more :])
    return content


def failure_of(path: Path) -> Failure | None:
    """Return the failure of a file, or None if the file is read and the kept posts can be written."""
    try:
        for post in clean_posts(read(path), Counts(), Cleaning(languages=("en",), exclude_accounts=("eve",))):
            f"{post.id} {post.text}".encode()
    except Failure as failure:
        return failure
    return None


@pytest.mark.parametrize("name", KINDS)
def test_damaged_file_is_read_or_reported(written: Write, name: str) -> None:
    whole = KINDS[name](ROWS[:12])
    files = (written(name, damaged(whole, random.Random(f"{name}/{seed}"))) for seed in range(150))
    failures = list(filter(None, map(failure_of, files)))
    assert len(failures) > 20
    assert {failure.reason for failure in failures} <= {Reason.INVALID_ARCHIVE, Reason.INVALID_POSTS}
    for message in map(str, failures):
        assert "\n" not in message
        assert any(part in message for part in (name, "tweets.js", "note-tweet.js"))
