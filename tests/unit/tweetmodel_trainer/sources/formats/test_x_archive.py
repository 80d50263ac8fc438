import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from makers import zipped
from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.formats import json_list
from tweetmodel_trainer.sources.formats import x_archive as archive

Write = Callable[[str, bytes], Path]


def part(*texts: str, number: int = 0) -> bytes:
    items = [{"tweet": {"id_str": str(i), "full_text": text}} for i, text in enumerate(texts)]
    return f"window.YTD.tweets.part{number} = {json.dumps(items)}".encode()


def texts(path: Path) -> list[str]:
    return [post.text for post in archive.read(path, "ada")]


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
        ("tweets.js", b'window.YTD.tweets.part0 = {"a": 1}', "tweets.js is not a list"),
        ("tweets.js", b'[{"tweet": {"id": 1}}]', "tweet 1 in tweets.js has no full_text"),
        ("tweets.js", b'[{"tweet": {"full_text": "a"}},\n{"tweet": {\n"full_text": wrong}}]', "no JSON at line 3"),
        ("tweets.js", b"[1]", "tweet 1 in tweets.js has no full_text"),
        ("tweets.js", b"[" * 100_000, "tweets.js holds what no post does"),
        ("tweets.js", b'[{"tweet": {"id": ' + b"1" * 5000 + b"}}]", "tweets.js holds what no post does"),
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


def test_a_tweet_without_words_is_one(written: Write) -> None:
    assert texts(written("tweets.js", part("one", "", "two"))) == ["one", "", "two"]


def test_a_large_archive_takes_little_memory(written: Write) -> None:
    path = written("tweets.js", part(*(f"tweet {n} \U0001f426 {'x' * 200}" for n in range(100_000))))
    tracemalloc.start()
    count = sum(1 for _ in archive.read(path, "ada"))
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


def note(text: str, id_: str) -> dict[str, object]:
    return {"noteTweet": {"noteTweetId": id_, "core": {"text": text}, "createdAt": "2025-06-04T10:00:00.000Z"}}


def js(name: str, items: list[object]) -> bytes:
    return f"window.YTD.{name}.part0 = {json.dumps(items)}".encode()


def tweet(id_: str, text: str, **fields: object) -> dict[str, object]:
    return {"tweet": {"id_str": id_, "full_text": text, **fields}}


LONG = "The harbour master asked whether the light could be dimmed on Sundays & holidays, " * 8


def cut(text: str) -> str:
    return text[:270].replace("&", "&amp;") + "… https://t.co/abcDEF12"


def test_a_long_post_is_read_whole(written: Write) -> None:
    files = {
        "data/tweets.js": js("tweets", [tweet("1001", cut(LONG)), tweet("1002", "short and whole")]),
        "data/note-tweet.js": js("note_tweet", [note(LONG, "1000")]),
    }
    assert texts(written("a.zip", zipped(files))) == [LONG, "short and whole"]


def test_of_long_posts_that_begin_alike_each_gets_its_own(written: Write) -> None:
    ends = [LONG + end for end in ("first", "second")]
    files = {
        "data/tweets.js": js("tweets", [tweet("1001", cut(LONG)), tweet("9001", cut(LONG))]),
        "data/note-tweet.js": js("note_tweet", [note(ends[1], "9000"), note(ends[0], "1000")]),
    }
    assert texts(written("a.zip", zipped(files))) == ends


def test_a_post_that_only_begins_like_a_long_one_stays_as_it_is(written: Write) -> None:
    other = LONG[:120] + "but this one ends otherwise"
    files = {
        "data/tweets.js": js("tweets", [tweet("1001", other)]),
        "data/note-tweet.js": js("note_tweet", [note(LONG, "1000")]),
    }
    assert texts(written("a.zip", zipped(files))) == [other]


def test_of_an_edited_post_only_the_last_version_stays(written: Write) -> None:
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


def test_edit_tweet_ids_beside_the_text_are_understood_too(written: Write) -> None:
    items = [tweet(id_, text, edit_tweet_ids=["1", "2"]) for id_, text in (("1", "first"), ("2", "last"))]
    assert texts(written("tweets.js", js("tweets", items))) == ["last"]


def test_an_unpacked_archive_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "export" / "data").mkdir(parents=True)
    for name, content in {"tweets.js": part("one"), "tweets-part1.js": part("two"), "like.js": b"no"}.items():
        (tmp_path / "export" / "data" / name).write_bytes(content)
    assert texts(tmp_path / "export") == ["one", "two"]


def test_a_file_of_many_windows_is_read_one_post_at_a_time(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_list, "WINDOW_CHARACTERS", 40)
    many = [f"post {n} \u2028 with 🌊 and \\ and [" for n in range(50)]
    assert texts(written("tweets.js", part(*many))) == many
    with pytest.raises(Failure, match="breaks off or is no JSON at line 3"):
        texts(written("tweets.js", b'[\n{"full_text": "one"},\n{"full_text": "tw'))


def test_what_a_post_says_of_itself_is_kept(written: Write) -> None:
    fields = {"created_at": "Wed Oct 10 20:19:24 +0000 2018", "lang": "en"}
    reply = {"in_reply_to_user_id": "7", "in_reply_to_screen_name": "bob"}
    thread = {"in_reply_to_user_id": "8", "in_reply_to_screen_name": "Ada"}
    items = [tweet("1", "one", **fields), tweet("2", "@bob no", **reply), tweet("3", "and", **thread)]
    one, two, three = archive.read(written("tweets.js", js("tweets", items)), "ada")
    assert (one.created, one.language) == ("Wed Oct 10 20:19:24 +0000 2018", "en")
    assert [one.is_reply, two.is_reply, three.is_reply] == [False, True, False]


ANY = st.recursive(
    st.none() | st.booleans() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=20
)


@given(st.lists(ANY), st.integers(1, 50))
def test_elements_are_those_that_json_reads(values: list[object], window: int) -> None:
    document = json.dumps(values, ensure_ascii=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "WINDOW_CHARACTERS", window)
        assert list(json_list.iter_elements(io.StringIO(document))) == values
