"""Generates the X archive of a made-up account.

The quickstart and the tests need a freely usable archive with the shape and the noise of a real export. Posts are drawn
from a grammar and decorated with links, entities and odd spacing, which cleaning removes; retweets and short posts are
added. The same seed gives the same bytes for one build of zlib, and the same texts everywhere.

    python examples/archive/generate.py --out build/archive.zip --seed 1
"""

import argparse
import html
import io
import json
import random
import re
import string
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from grammar import sample

KEPT = 2633
RETWEETS = 610
# Fewer than three plain words each, in every form.
TOO_SHORT = (
    "https://t.co/lampOnLamp",
    "@gull_gerald thanks",
    "#fog",
    "@harbour_mabel @gull_brenda look #gulls https://t.co/gullsAgain",
    "Fog  again.",
    "tea &\n#toast",
)

HANDLE = "lighthouse_ada"
ACCOUNT_ID = "1123500000000000001"
JOINED = datetime(2019, 5, 1, 6, 0, tzinfo=UTC)
EXPORTED = datetime(2023, 12, 1, 6, 0, tzinfo=UTC)
MEAN_GAP = timedelta(hours=11)
SNOWFLAKE_EPOCH = datetime(2010, 11, 4, 1, 42, 54, 657000, tzinfo=UTC)
SOURCE = '<a href="https://mobile.twitter.com" rel="nofollow">Twitter Web App</a>'
PAGE = "<!doctype html>\n<title>Your archive</title>\n<p>The archive of @lighthouse_ada, who does not exist.</p>\n"

Json = dict[str, Any]


def archive(seed: int = 1) -> bytes:
    """Return the archive as a zip."""
    posts = tweets(seed)
    data = {
        "account": _script("account", [{"account": _account()}]),
        "profile": _script("profile", [{"profile": _profile()}]),
        "tweets": _script("tweets", [{"tweet": post} for post in posts]),
    }
    manifest = _manifest(data, {"account": 1, "profile": 1, "tweets": len(posts)})
    files = {
        "Your archive.html": PAGE,
        "data/manifest.js": "window.__THAR_CONFIG = " + _json(manifest),
        **{f"data/{name}.js": content for name, content in data.items()},
    }
    return _zip(files)


def tweets(seed: int = 1) -> list[Json]:
    """Return the posts in the format of `data/tweets.js`, newest first."""
    rng = random.Random(seed)
    moment, posts = JOINED, []
    for text in _texts(rng):
        moment += timedelta(milliseconds=1 + int(rng.random() * 2 * MEAN_GAP.total_seconds() * 1000))
        posts.append(_tweet(rng, text, moment))
    return posts[::-1]


def _texts(rng: random.Random) -> list[str]:
    """Return the texts of all posts in the encoding of X, in random order."""
    kept = [_dress(rng, html.escape(sample(rng), quote=False)) for _ in range(KEPT)]
    retweets = [html.escape(sample(rng, "retweet"), quote=False) for _ in range(RETWEETS)]
    short = [html.escape(text, quote=False) for text in TOO_SHORT]
    return sorted(kept + retweets + short, key=lambda _: rng.random())


def _dress(rng: random.Random, text: str) -> str:
    """Add noise that cleaning removes: a wider gap, a line break or a link."""
    [gap] = rng.choices([" ", "  ", "\n", "\n\n"], [80, 8, 8, 4])
    [before_link] = rng.choices([None, " ", "\n"], [84, 12, 4])
    text = re.sub(r"(?<=[.:,]) ", gap, text, count=1)
    if before_link is None:
        return text
    return text + before_link + "https://t.co/" + "".join(rng.choices(string.ascii_letters, k=10))


def _tweet(rng: random.Random, text: str, moment: datetime) -> Json:
    """Return a post with the fields of an export."""
    post_id = str(_snowflake(moment) + int(rng.random() * 2**22))
    entities = _entities(text)
    is_retweet = text.startswith("RT @")
    return {
        "edit_info": {
            "initial": {
                "editTweetIds": [post_id],
                "editableUntil": _iso(moment + timedelta(hours=1)),
                "editsRemaining": "5",
                "isEditEligible": not is_retweet,
            }
        },
        "retweeted": False,
        "source": SOURCE,
        "entities": entities,
        "display_text_range": ["0", str(len(text))],
        "favorite_count": "0" if is_retweet else str(int(60 * rng.random() ** 4)),
        "id_str": post_id,
        "truncated": False,
        "retweet_count": str(int(9 * rng.random() ** 4)),
        "id": post_id,
        **({"possibly_sensitive": False} if entities["urls"] else {}),
        "created_at": f"{moment:%a %b %d %H:%M:%S +0000 %Y}",
        "favorited": False,
        "full_text": text,
        "lang": "en",
        **(_reply(entities["user_mentions"][0], moment) if text.startswith("@") else {}),
    }


def _entities(text: str) -> Json:
    """Return the positions of hashtags, mentions and links in a text, in the format of X."""

    def found(pattern: str) -> list[tuple[str, list[str]]]:
        return [(m[1], [str(m.start()), str(m.end())]) for m in re.finditer(pattern, text)]

    return {
        "hashtags": [{"text": tag, "indices": at} for tag, at in found(r"#(\w+)")],
        "symbols": [],
        "user_mentions": [
            {
                "name": handle.replace("_", " ").title(),
                "screen_name": handle,
                "indices": at,
                "id_str": _user_id(handle),
                "id": _user_id(handle),
            }
            for handle, at in found(r"@(\w+)")
        ],
        "urls": [
            {
                "url": f"https://t.co/{code}",
                "expanded_url": f"https://lighthouse.example/log/{code}",
                "display_url": f"lighthouse.example/log/{code}",
                "indices": at,
            }
            for code, at in found(r"https://t\.co/(\w+)")
        ],
    }


def _reply(to: Json, moment: datetime) -> Json:
    """Return the fields of a reply to a post ten minutes earlier."""
    answered = str(_snowflake(moment - timedelta(minutes=10)))
    return {
        "in_reply_to_status_id_str": answered,
        "in_reply_to_status_id": answered,
        "in_reply_to_user_id": to["id"],
        "in_reply_to_user_id_str": to["id"],
        "in_reply_to_screen_name": to["screen_name"],
    }


def _account() -> Json:
    return {
        "email": "ada@lighthouse.example",
        "createdVia": "web",
        "username": HANDLE,
        "accountId": ACCOUNT_ID,
        "createdAt": _iso(JOINED),
        "accountDisplayName": "Ada of the lamp",
    }


def _profile() -> Json:
    bio = "Keeper of the lamp. Not speaking to the fog. A made-up person."
    return {"description": {"bio": bio, "website": "", "location": "199 stairs up"}}


def _manifest(data: dict[str, str], counts: dict[str, int]) -> Json:
    """Return the manifest for the page of the archive: the account, and the files of each kind of data."""
    return {
        "userInfo": {"accountId": ACCOUNT_ID, "userName": HANDLE, "displayName": "Ada of the lamp"},
        "archiveInfo": {
            "sizeBytes": str(sum(len(content.encode()) for content in data.values())),
            "generationDate": _iso(EXPORTED),
            "isPartialArchive": False,
            "maxPartSizeBytes": "53687091200",
        },
        "dataTypes": {
            name: {
                "files": [
                    {
                        "fileName": f"data/{name}.js",
                        "globalName": f"YTD.{name}.part0",
                        "count": str(count),
                    }
                ]
            }
            for name, count in counts.items()
        },
    }


def _snowflake(moment: datetime) -> int:
    """Return the smallest post id of a millisecond."""
    return (moment - SNOWFLAKE_EPOCH) // timedelta(milliseconds=1) << 22


def _user_id(handle: str) -> str:
    return str(zlib.crc32(handle.encode()))


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _script(name: str, items: list[Json]) -> str:
    return f"window.YTD.{name}.part0 = {_json(items)}"


def _json(value: Json | list[Json]) -> str:
    return json.dumps(value, indent=2, separators=(",", " : "), ensure_ascii=False)


def _zip(files: dict[str, str]) -> bytes:
    """Return a zip whose bytes do not depend on clock and machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=EXPORTED.timetuple()[:6])
            entry.create_system = 3  # the default depends on the operating system
            entry.external_attr = 0o644 << 16
            package.writestr(entry, content.encode(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return buffer.getvalue()


def main() -> None:
    """Write the archive to the file of the command line."""
    parser = argparse.ArgumentParser(description="Write the X archive of a made-up account.")
    parser.add_argument("--out", type=Path, default=Path("build/archive.zip"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(archive(options.seed))
    print(f"{options.out}: {KEPT} posts to keep, {RETWEETS} retweets, {len(TOO_SHORT)} short posts")


if __name__ == "__main__":
    main()
