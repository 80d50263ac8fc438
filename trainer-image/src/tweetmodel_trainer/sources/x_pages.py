"""Stores pages of the X API, so that no post is paid for twice.

A page is an object of JSON Lines. The name contains the range of ids and the number of posts that X charged for. So an
interrupted collection continues after the last page, a later collection buys only new posts, and an erased post is not
bought again.
"""

import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tweetmodel_api.layout import Layout
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage

logger = logging.getLogger(__name__)

Fields = Mapping[str, Any]
"""A post of the X API."""


@dataclass(frozen=True)
class Page:
    """All posts of an account with low <= id < until."""

    until: int
    low: int
    bought: int
    """Number of posts that X charged for; after an erasure the page contains fewer."""

    @property
    def name(self) -> str:
        """Name of the object in the folder of the account."""
        return f"{self.until}-{self.low}-{self.bought}.jsonl"


@dataclass(frozen=True)
class Gap:
    """Ids without a page: since < id < until; None means no limit."""

    until: int | None
    since: int | None


def parse_pages(names: Sequence[str]) -> list[Page]:
    """Return the pages among the names of objects, newest first."""
    matches = (re.fullmatch(r"(\d+)-(\d+)-(\d+)\.jsonl", name) for name in names)
    return sorted((Page(*map(int, match.groups())) for match in matches if match), key=lambda page: -page.until)


def find_gaps(pages: Sequence[Page]) -> list[Gap]:
    """Return the gaps between pages, newest first; the last gap reaches back to the first post of the account."""
    if not pages:
        return [Gap(None, None)]
    gaps = [Gap(None, pages[0].until - 1)]
    low = pages[0].low
    for page in pages[1:]:
        if page.until < low:
            gaps.append(Gap(low, page.until - 1))
        low = min(low, page.low)
    if low > 0:
        gaps.append(Gap(low, None))
    return gaps


def write_page(posts: Sequence[Fields], uri: str, storage: Storage) -> None:
    """Write a page to storage."""
    storage.write_object(uri, "".join(json.dumps(post) + "\n" for post in posts).encode())


def read_page(uri: str, folder: Path, storage: Storage) -> list[Fields]:
    """Return the posts of a page in storage.

    Raises:
        Failure: InvalidPosts if the page is damaged.
    """
    path = folder / "page.jsonl"
    storage.download_object(uri, path)
    try:
        with path.open(encoding="utf-8") as lines:
            posts = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        posts = [None]
    path.unlink()
    if not all(map(is_post, posts)):
        message = f"{uri} is damaged: delete the object, although X then charges for its posts again."
        raise Failure(Reason.INVALID_POSTS, message)
    return posts


def is_post(value: object) -> bool:
    """Return whether a value is a valid post of the X API."""
    if not isinstance(value, dict) or not is_id(value.get("id")) or not isinstance(value.get("text"), str):
        return False
    note, versions = value.get("note_tweet", {}), value.get("edit_history_tweet_ids", [])
    has_valid_note = isinstance(note, dict) and isinstance(note.get("text", ""), str)
    return has_valid_note and isinstance(versions, list) and all(map(is_id, versions))


def is_id(value: object) -> bool:
    """Return whether a value is an id of the X API."""
    return isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value) is not None


def erase(cleaning: Cleaning, layout: Layout, workdir: Path, storage: Storage) -> None:
    """Delete the pages of erased accounts, and remove erased posts from all other pages.

    Args:
        cleaning: names the posts and accounts.
        layout: folders of the TweetModel.
        workdir: folder for temporary files.
        storage: storage of the TweetModel.

    Raises:
        Failure: the storage fails; or InvalidPosts if a page is damaged, after all other pages are done.
    """
    uris = [f"{layout.raw}/{name}" for name in storage.names(layout.raw)]
    erased_folders = {layout.raw_x(account) for account in cleaning.erased_accounts}
    for folder in erased_folders & set(map(_folder, uris)):
        storage.delete(folder)
        logger.info("deleted %s", folder)
    if not cleaning.erased_posts:
        return
    damaged: list[Failure] = []
    for uri in uris:
        if _folder(uri) in erased_folders:
            continue
        try:
            _filter_page(uri, cleaning.erased_posts, workdir, storage)
        except Failure as failure:
            if failure.reason is not Reason.INVALID_POSTS:
                raise
            damaged.append(failure)
    if damaged:
        raise damaged[0]


def _folder(uri: str) -> str:
    return uri.rpartition("/")[0]


def _filter_page(uri: str, ids: Collection[str], workdir: Path, storage: Storage) -> None:
    """Remove posts from a page. The name still covers the ids, so they are not requested again."""
    with TemporaryDirectory(dir=workdir) as folder:
        posts = read_page(uri, Path(folder), storage)
    remaining = [post for post in posts if post["id"] not in ids]
    if len(remaining) < len(posts):
        write_page(remaining, uri, storage)
