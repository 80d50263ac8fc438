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
from tweetmodel_trainer.sources.formats import x_archive

Write = Callable[[str, bytes], Path]


def part(*texts: str, number: int = 0) -> bytes:
    items = [{"tweet": {"id_str": str(i), "full_text": text}} for i, text in enumerate(texts)]
    return f"window.YTD.tweets.part{number} = {json.dumps(items)}".encode()


def texts(path: Path) -> list[str]:
    return [post.text for post in x_archive.read(path, "ada")]


def test_zip_from_x_is_read(written: Write) -> None:
    assert texts(written("a.zip", zipped({"data/account.js": b"", "data/tweets.js": part("one", "two")}))) == [
        "one",
        "two",
    ]


def test_parts_are_read_in_order(written: Write) -> None:
    files = {f"data/tweets-part{n}.js": part(f"part {n}", number=n) for n in (10, 2, 1)}
    path = written("a.zip", zipped({**files, "data/tweets.js": part("part 0")}))
    assert texts(path) == ["part 0", "part 1", "part 2", "part 10"]


def test_old_archive_in_a_folder_is_read(written: Write) -> None:
    path = written("a.zip", zipped({"twitter-2023/data/tweet.js": part("old").replace(b"YTD.tweets", b"YTD.tweet")}))
    assert texts(path) == ["old"]


def test_single_tweets_js_is_read(written: Write) -> None:
    assert texts(written("tweets.js", b"\xef\xbb\xbf" + part("alone"))) == ["alone"]


def test_empty_account_has_no_posts(written: Write) -> None:
    assert texts(written("a.zip", zipped({"data/tweets.js": part()}))) == []


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("half.zip", zipped({"data/tweets.js": part("one")})[:60], "half.zip is truncated"),
        ("empty.zip", zipped({"data/account.js": b""}), "empty.zip contains no data/tweets.js"),
        ("latin.zip", zipped({"data/tweets.js": part("x").replace(b"x", b"\xe9")}), "data/tweets.js is not UTF-8"),
        ("tweets.js", part("one")[:-8], "tweets.js is truncated or not valid JSON at line 1"),
        ("tweets.js", b"", "tweets.js is truncated or not valid JSON"),
        ("tweets.js", b'window.YTD.tweets.part0 = {"a": 1}', "tweets.js is not a list"),
        ("tweets.js", b'[{"tweet": {"id": 1}}]', "tweet 1 in tweets.js has no full_text"),
        (
            "tweets.js",
            b'[{"tweet": {"full_text": "a"}},\n{"tweet": {\n"full_text": wrong}}]',
            "not valid JSON at line 3",
        ),
        ("tweets.js", b"[1]", "tweet 1 in tweets.js has no full_text"),
        ("tweets.js", b"[" * 100_000, "tweets.js is too deeply nested or has too long a number"),
        (
            "tweets.js",
            b'[{"tweet": {"id": ' + b"1" * 5000 + b"}}]",
            "tweets.js is too deeply nested or has too long a number",
        ),
    ],
)
def test_invalid_archive_is_reported_with_advice(written: Write, name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(Failure) as failure:
        texts(written(name, content))
    assert failure.value.reason is Reason.INVALID_ARCHIVE
    assert sentence in str(failure.value)
    assert "download the archive from X again" in str(failure.value)


def test_empty_tweet_is_read(written: Write) -> None:
    assert texts(written("tweets.js", part("one", "", "two"))) == ["one", "", "two"]


def test_large_archive_needs_little_memory(written: Write) -> None:
    path = written("tweets.js", part(*(f"tweet {n} \U0001f426 {'x' * 200}" for n in range(50_000))))
    tracemalloc.start()
    count = sum(1 for _ in x_archive.read(path, "ada"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 50_000
    assert peak < path.stat().st_size / 2


def test_damaged_lzma_member_is_reported(written: Write) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as package:
        package.writestr("data/tweets.js", part(*(f"some text {n}" for n in range(100))))
    content = bytearray(buffer.getvalue())
    content[60:90] = b"\xff" * 30
    with pytest.raises(Failure, match="damaged"):
        texts(written("a.zip", bytes(content)))


def test_damaged_member_is_reported(written: Write) -> None:
    content = bytearray(zipped({"data/tweets.js": part(*"some text that is long enough to be deflated" * 9)}))
    content[60:70] = b"\xff" * 10
    with pytest.raises(Failure, match="damaged"):
        texts(written("a.zip", bytes(content)))


def note(text: str, id_: str) -> dict[str, object]:
    return {"noteTweet": {"noteTweetId": id_, "core": {"text": text}, "createdAt": "2025-06-04T10:00:00.000Z"}}


def js(name: str, items: list[object]) -> bytes:
    return f"window.YTD.{name}.part0 = {json.dumps(items)}".encode()


def tweet(id_: str, text: str, **fields: object) -> dict[str, object]:
    return {"tweet": {"id_str": id_, "full_text": text, **fields}}


LONG = "The harbor master asked whether the light could be dimmed on Sundays & holidays, " * 8


def cut(text: str) -> str:
    return text[:270].replace("&", "&amp;") + "… https://t.co/abcDEF12"


def test_long_post_has_its_full_text(written: Write) -> None:
    files = {
        "data/tweets.js": js("tweets", [tweet("1001", cut(LONG)), tweet("1002", "short and whole")]),
        "data/note-tweet.js": js("note_tweet", [note(LONG, "1000")]),
    }
    assert texts(written("a.zip", zipped(files))) == [LONG, "short and whole"]


def test_long_posts_with_the_same_opening_keep_their_own_text(written: Write) -> None:
    ends = [LONG + end for end in ("first", "second")]
    files = {
        "data/tweets.js": js("tweets", [tweet("1001", cut(LONG)), tweet("9001", cut(LONG))]),
        "data/note-tweet.js": js("note_tweet", [note(ends[1], "9000"), note(ends[0], "1000")]),
    }
    assert texts(written("a.zip", zipped(files))) == ends


def test_post_with_only_the_opening_of_a_long_one_is_unchanged(written: Write) -> None:
    other = LONG[:120] + "but this one ends otherwise"
    files = {
        "data/tweets.js": js("tweets", [tweet("1001", other)]),
        "data/note-tweet.js": js("note_tweet", [note(LONG, "1000")]),
    }
    assert texts(written("a.zip", zipped(files))) == [other]


def test_edited_post_has_only_its_last_version(written: Write) -> None:
    first = {"edit_info": {"initial": {"editTweetIds": ["1", "2", "3"]}}}
    later = {"edit_info": {"edit": {"initialTweetId": "1", "editControlInitial": {"editTweetIds": ["1", "2", "3"]}}}}
    unedited = {"edit_info": {"initial": {"editTweetIds": ["4"]}}}
    items = [
        tweet("3", "third", **later),
        tweet("2", "second", **later),
        tweet("1", "first", **first),
        tweet("4", "x", **unedited),
    ]
    assert texts(written("a.zip", zipped({"data/tweets.js": js("tweets", items)}))) == ["third", "x"]


def test_edit_tweet_ids_beside_the_text_are_read(written: Write) -> None:
    items = [tweet(id_, text, edit_tweet_ids=["1", "2"]) for id_, text in (("1", "first"), ("2", "last"))]
    assert texts(written("tweets.js", js("tweets", items))) == ["last"]


def test_unpacked_archive_is_read(tmp_path: Path) -> None:
    (tmp_path / "export" / "data").mkdir(parents=True)
    for name, content in {"tweets.js": part("one"), "tweets-part1.js": part("two"), "like.js": b"no"}.items():
        (tmp_path / "export" / "data" / name).write_bytes(content)
    assert texts(tmp_path / "export") == ["one", "two"]


def test_metadata_is_read(written: Write) -> None:
    fields = {"created_at": "Wed Oct 10 20:19:24 +0000 2018", "lang": "en"}
    reply = {"in_reply_to_user_id": "7", "in_reply_to_screen_name": "bob"}
    thread = {"in_reply_to_user_id": "8", "in_reply_to_screen_name": "Ada"}
    items = [tweet("1", "one", **fields), tweet("2", "@bob no", **reply), tweet("3", "and", **thread)]
    one, two, three = x_archive.read(written("tweets.js", js("tweets", items)), "ada")
    assert (one.created, one.language) == ("Wed Oct 10 20:19:24 +0000 2018", "en")
    assert [one.is_reply, two.is_reply, three.is_reply] == [False, True, False]
