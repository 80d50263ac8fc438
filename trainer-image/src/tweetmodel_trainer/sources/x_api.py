"""Reads an account's timeline from the X API v2, by tweepy, and pays for no post twice.

What was read is kept in storage page by page, each in an object that is named by the range of ids it covers and by how
many posts were bought with it, so a pod that dies reads on where it stopped, a later look reads what is new alone, and
a post that is forgotten stays paid for. Retweets are left out by X, since they would be paid for and left out here; but
X does so after it has cut the page, so a page may be short or empty with more behind it.

Prices: docs.x.com/x-api/getting-started/pricing. Limits: docs.x.com/x-api/posts/timelines (3,200 posts, pages of 100).
"""

import json
import logging
import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import requests
import tweepy

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import XApi
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.post import Post, from_fields
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.storage import Storage

logger = logging.getLogger(__name__)

DOLLARS_A_POST = Decimal("0.005")
DOLLARS_A_USER = Decimal("0.010")
PAGE, SMALLEST_PAGE = 100, 5
TIMEOUT_SECONDS = 30.0
FIELDS = "created_at,lang,in_reply_to_user_id,author_id,note_tweet,edit_history_tweet_ids"

NO_ANSWER = "what comes is not what was asked for"

_TOKEN_ADVICE = "put an app's bearer token into the key bearerToken of the Secret that xAPI names."

Fields = dict[str, Any]
Tell = Callable[..., None]
"""Told numbers by name, for the progress."""


@dataclass(frozen=True)
class Page:
    """All posts of an account with low <= id < until."""

    until: int
    low: int
    bought: int
    """Posts that X took money for; fewer are there once some were forgotten."""

    @property
    def name(self) -> str:
        """The object's name below the account's folder."""
        return f"{self.until}-{self.low}-{self.bought}.jsonl"


@dataclass(frozen=True)
class Gap:
    """Ids that nobody has asked for yet: since < id < until; None where there is no bound."""

    until: int | None
    since: int | None


def pages_of(names: Sequence[str]) -> list[Page]:
    """The pages that these objects are, newest first."""
    found = (re.fullmatch(r"(\d+)-(\d+)-(\d+)\.jsonl", name) for name in names)
    return sorted((Page(*map(int, match.groups())) for match in found if match), key=lambda page: -page.until)


def gaps(pages: Sequence[Page]) -> list[Gap]:
    """What no page covers, newest first; the last one reaches back to the account's beginning."""
    if not pages:
        return [Gap(None, None)]
    found = [Gap(None, pages[0].until - 1)]
    low = pages[0].low
    for page in pages[1:]:
        if page.until < low:
            found.append(Gap(low, page.until - 1))
        low = min(low, page.low)
    return [*found, Gap(low, None)] if low > 0 else found


def read(
    source: XApi,
    handle: str,
    token: str,
    uri: str,
    folder: Path,
    storage: Storage,
    tell: Tell,
    counts: Counts,
    forgotten: Collection[str] = (),
) -> Iterator[Post]:
    """The newest posts of an account, newest first, as far as limits and budget allow.

    Args:
        source: limits and budget.
        handle: the account's.
        token: bearer token of an app.
        uri: the account's folder in storage.
        folder: for files on the way.
        storage: where posts are kept.
        tell: told what it will cost, and how long X asks to wait.
        counts: of the account; told whether the budget ended the reading.
        forgotten: ids of posts that are not kept, though X may show them and take money for them.

    Raises:
        Failure: the token, the account or X is not what it should be.
    """
    pages = pages_of(storage.names(uri))
    posts = [post for page in pages for post in kept(f"{uri}/{page.name}", folder, storage)]
    bought = sum(page.bought for page in pages)
    allowed = int(Decimal(source.budget_usd) / DOLLARS_A_POST) - bought
    timeline = _Timeline(client(token), handle, allowed, tell)
    user = timeline.user(posts)
    unknown = user["public_metrics"]["tweet_count"] - len(posts)  # retweets, which cost nothing, are among them
    estimate = DOLLARS_A_USER + DOLLARS_A_POST * max(0, min(unknown, source.max_posts, allowed))
    logger.info("@%s: %d posts are kept; reading on costs at most about $%s", handle, len(posts), estimate)
    tell(estimated_usd=float(estimate))
    for gap in gaps(pages):
        most = source.max_posts - (0 if gap.until is None else len(posts))  # of older ones only what is missing
        for page, shown in timeline.pages(user["id"], gap, most):
            found = [post for post in shown if post["id"] not in forgotten]
            keep(found, f"{uri}/{page.name}", storage)
            posts += found
            bought += page.bought
            tell(posts=len(posts), spent_usd=float(DOLLARS_A_POST * bought))
    counts.budget_spent = timeline.budget_spent
    if timeline.budget_spent:
        logger.warning("@%s: the budget of $%s is spent: %d posts were read", handle, source.budget_usd, bought)
    return _newest(posts, handle, source.max_posts)


def client(token: str) -> tweepy.Client:
    """The door to X.

    Raises:
        Failure: XTokenInvalid where the token can't be one.
    """
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Failure(Reason.X_TOKEN_INVALID, f"the Secret holds nothing that can be a token: {_TOKEN_ADVICE}")
    door = tweepy.Client(token, return_type=dict)
    door.session.request = partial(door.session.request, timeout=TIMEOUT_SECONDS)  # else it would wait for ever
    return door


def keep(posts: Sequence[Fields], uri: str, storage: Storage) -> None:
    """Writes a page to storage."""
    storage.write(uri, "".join(json.dumps(post) + "\n" for post in posts).encode())


def kept(uri: str, folder: Path, storage: Storage) -> list[Fields]:
    """The posts of a page in storage.

    Raises:
        Failure: InvalidPosts where it is no page of posts.
    """
    path = folder / "page.jsonl"
    storage.download(uri, path)
    try:
        with path.open(encoding="utf-8") as lines:
            posts = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        posts = [None]
    path.unlink()
    if not all(map(is_post, posts)):
        sentence = f"{uri} is damaged: delete it, and its posts are read (and paid for) again."
        raise Failure(Reason.INVALID_POSTS, sentence)
    return posts


def _newest(posts: Sequence[Fields], handle: str, most: int) -> Iterator[Post]:
    """Each post in its last version and whole, newest first."""
    superseded = {id_ for post in posts for id_ in post.get("edit_history_tweet_ids", [])[:-1]}
    by_id = {post["id"]: post for post in posts if post["id"] not in superseded}
    for number, id_ in enumerate(sorted(by_id, key=int, reverse=True)[:most]):
        post = by_id[id_]
        yield from_fields(handle, post.get("note_tweet", {}).get("text") or post["text"], post, number)


def is_post(value: object) -> bool:
    """Whether this is a post as X describes it, which may be kept for good."""
    if not isinstance(value, dict):
        return False
    note, versions = value.get("note_tweet", {}), value.get("edit_history_tweet_ids", [])
    return (
        _is_id(value.get("id"))
        and isinstance(value.get("text"), str)
        and isinstance(note, dict)
        and isinstance(note.get("text", ""), str)
        and isinstance(versions, list)
        and all(map(_is_id, versions))
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value) is not None


def _is_user(value: object) -> bool:
    if not isinstance(value, dict) or not _is_id(value.get("id")):
        return False
    numbers = value.get("public_metrics")
    return isinstance(numbers, dict) and isinstance(numbers.get("tweet_count"), int)


class _Timeline:
    """X's answers, its refusals as Failures."""

    def __init__(self, door: tweepy.Client, handle: str, allowed: int, tell: Tell) -> None:
        self._door = door
        self._handle = handle
        self.allowed = allowed
        """Posts that the budget still pays for."""
        self.budget_spent = False
        """Whether more might have been read for more money."""
        self._tell = tell

    def user(self, posts: Sequence[Fields]) -> Fields:
        """The account; one that is gone, suspended, protected or another's now is told apart by a Reason."""
        asked = {"user_fields": ["protected", "public_metrics"]}
        answer = self._ask(lambda: self._door.get_user(username=self._handle, **asked))
        if user := answer.get("data"):
            if not _is_user(user):
                raise self._unreachable(NO_ANSWER)
            if user.get("protected"):
                sentence = f"@{self._handle} is protected: ask its owner for their archive, and use that."
                raise Failure(Reason.ACCOUNT_PROTECTED, sentence)
            if others := [post for post in posts if post.get("author_id", user["id"]) != user["id"]]:
                raise self._renamed(others) or self._another()
            found: Fields = user
            return found
        if "has been suspended" in json.dumps(answer.get("errors")):
            sentence = f"X has suspended @{self._handle}: remove the source, or use the archive of its owner."
            raise Failure(Reason.ACCOUNT_SUSPENDED, sentence)
        raise self._missing(posts)

    def _missing(self, posts: Sequence[Fields]) -> Failure:
        sentence = f"there is no account @{self._handle} on X: correct the handle, which its owner may have changed."
        return self._renamed(posts) or Failure(Reason.ACCOUNT_MISSING, sentence)

    def _another(self) -> Failure:
        told = f"@{self._handle} is another account now than the one whose posts were read, which is gone"
        return Failure(Reason.ACCOUNT_MISSING, f"{told}: remove the source, or read it by a new TweetModel.")

    def _renamed(self, posts: Sequence[Fields]) -> Failure | None:
        """An account whose posts were read before can be asked for by its id: it may go by another name now."""
        if author := next((post["author_id"] for post in posts if "author_id" in post), None):
            user = self._ask(lambda: self._door.get_user(id=author)).get("data")
            if isinstance(user, dict) and "username" in user:
                sentence = f"@{self._handle} is @{user['username']} now: correct the source's handle."
                return Failure(Reason.ACCOUNT_RENAMED, sentence)
        return None

    def pages(self, user: str, gap: Gap, most: int) -> Iterator[tuple[Page, list[Fields]]]:
        """The pages that fill a gap, newest first, until `most` posts are read or the budget is spent.

        Where X gives posts and no token for more, everything older is covered. An empty page covers nothing: to ask
        once more at the next look costs nothing, and what is taken for covered by mistake is lost for good.
        """
        until, token = gap.until, None
        while most > 0:
            if self.allowed < SMALLEST_PAGE:
                # Whether there are posts newer than those that are kept, only asking could tell.
                self.budget_spent |= until is not None or gap.since is None
                return
            count = max(SMALLEST_PAGE, min(PAGE, most, self.allowed))
            found, more = self._page(user, until, gap.since, count, token)
            if found:
                ids = [int(post["id"]) for post in found]
                low = min(ids) if more else 0 if gap.since is None else gap.since + 1
                page = Page(until or max(ids) + 1, low, bought=len(found))
                self.allowed -= len(found)
                most -= len(found)
                yield page, found
                until = page.low
            if not more:
                return
            token = None if found else more  # it belongs to this very request: behind posts, the next one is another

    def _page(
        self, user: str, until: int | None, since: int | None, count: int, token: str | None
    ) -> tuple[list[Fields], str | None]:
        """Posts between two ids, newest first, and the token for what is behind them; None where these are all."""
        answer = self._ask(
            lambda: self._door.get_users_tweets(
                user,
                max_results=count,
                until_id=until,
                since_id=since,
                pagination_token=token,
                exclude=["retweets"],
                tweet_fields=FIELDS,
            )
        )
        found, meta = answer.get("data", []), answer.get("meta")
        if not found and answer.get("errors"):  # protected since a moment ago
            sentence = f"X does not show the posts of @{self._handle}: ask its owner for their archive, and use that."
            raise Failure(Reason.ACCOUNT_PROTECTED, sentence)
        # A page is kept for good, and what it covers is not asked for again: so nothing is taken for no posts but that.
        if not (isinstance(found, list) and isinstance(meta, dict) and (found or meta.get("result_count") == 0)):
            raise self._unreachable(NO_ANSWER)
        if not all(is_post(post) and (since or -1) < int(post["id"]) < (until or math.inf) for post in found):
            raise self._unreachable(NO_ANSWER)
        more = meta.get("next_token")
        if not isinstance(more, str | None) or (more and more == token):
            raise self._unreachable(NO_ANSWER)
        return found, more

    def _ask(self, request: Callable[[], Any]) -> Fields:
        while True:
            try:
                answer = request()
                if isinstance(answer, dict):
                    return answer
                raise self._unreachable(NO_ANSWER)
            except tweepy.TooManyRequests as error:
                self._wait(error)
            except (tweepy.HTTPException, requests.RequestException, ValueError, RecursionError) as error:
                raise self._refusal(error) from None

    def _wait(self, error: tweepy.TooManyRequests) -> None:
        """Waits until X counts anew; a refusal that names no time is tried again by the next pod."""
        seconds = (error.reset_time or 0) - time.time() + 1
        if error.reset_time is None or seconds > 3600:
            raise Failure(Reason.X_UNREACHABLE, "X asks for fewer requests (429) and names no near time.")
        until = datetime.fromtimestamp(error.reset_time, UTC)
        logger.info("@%s: X asks to wait until %s", self._handle, until.strftime("%H:%M:%SZ"))
        self._tell(rate_limited_seconds=max(0.0, seconds))
        time.sleep(max(0.0, seconds))

    def _refusal(self, error: Exception) -> Failure:
        status = error.response.status_code if isinstance(error, tweepy.HTTPException) else 0
        if status == 401:
            return Failure(Reason.X_TOKEN_INVALID, f"X does not know the token: {_TOKEN_ADVICE}")
        if status in (402, 403):
            said = " ".join(str(error).split())[:200]
            sentence = f"X refuses to read @{self._handle} ({said}): check the app's access and credits at X."
            return Failure(Reason.X_FORBIDDEN, sentence)
        if status == 404:
            return self._missing([])
        return self._unreachable(f"HTTP {status}" if status else type(error).__name__)

    def _unreachable(self, what: str) -> Failure:
        return Failure(Reason.X_UNREACHABLE, f"X does not answer for @{self._handle} ({what}): wait until it does.")
