"""Requests an account and its posts from the X API v2 with tweepy.

The requests exclude retweets, since X would charge for them. X removes retweets only after it has cut a page, so a page
may be short or empty although older posts follow.

Limits: docs.x.com/x-api/posts/timelines (3,200 posts, pages of 100).
"""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import requests
import tweepy

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.x_pages import Fields, Gap, Page, is_id, is_post

logger = logging.getLogger(__name__)

MAX_PAGE_POSTS, MIN_PAGE_POSTS = 100, 5
TIMEOUT_SECONDS = 30.0
MAX_WAIT_SECONDS = 3600
"""Maximum wait for a rate limit; if X names a longer time, another pod continues later."""
FIELDS = "created_at,lang,in_reply_to_user_id,author_id,note_tweet,edit_history_tweet_ids"

_UNEXPECTED = "unexpected response"
_TOKEN_ADVICE = "put an app's bearer token into the key bearerToken of the Secret that xAPI names."

Response = dict[str, Any]


@dataclass(frozen=True)
class _PageRequest:
    """Parameters of a request for posts with since < id < until."""

    user_id: str
    until: int | None
    since: int | None
    count: int
    pagination_token: str | None


def connect(token: str) -> tweepy.Client:
    """Return a client of the X API.

    Raises:
        Failure: XTokenInvalid if the token has invalid characters.
    """
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Failure(Reason.X_TOKEN_INVALID, f"the Secret contains no valid bearer token: {_TOKEN_ADVICE}")
    client = tweepy.Client(token, return_type=dict)
    client.session.request = partial(client.session.request, timeout=TIMEOUT_SECONDS)  # tweepy sets no timeout
    return client


class Timeline:
    """The timeline of an account. Errors of the X API are raised as failures."""

    def __init__(self, client: tweepy.Client, handle: str, affordable: int, report: Callable[..., None]) -> None:
        """Create a timeline.

        Args:
            client: client of the X API.
            handle: handle of the account.
            affordable: number of posts within the remaining budget.
            report: reports metrics by name; called before a wait for a rate limit.
        """
        self._client = client
        self._handle = handle
        self._report = report
        self.affordable = affordable
        self.budget_spent = False
        """True if more posts may exist, and the budget forbids a request for them."""

    def user(self, stored: Sequence[Fields]) -> Response:
        """Return the account.

        Args:
            stored: posts of earlier collections, to identify an account with a new handle.

        Raises:
            Failure: the account is protected, suspended, renamed or missing, or belongs to another person now.
        """
        fields = {"user_fields": ["protected", "public_metrics"]}
        response = self._call(lambda: self._client.get_user(username=self._handle, **fields))
        user = response.get("data")
        if user:
            return self._checked_user(user, stored)
        if "has been suspended" in json.dumps(response.get("errors")):
            message = f"X has suspended @{self._handle}: remove the source, or use the archive of its owner."
            raise Failure(Reason.ACCOUNT_SUSPENDED, message)
        raise self._missing(stored)

    def _checked_user(self, user: Response, stored: Sequence[Fields]) -> Response:
        if not _is_user(user):
            raise self._unreachable(_UNEXPECTED)
        if user.get("protected"):
            message = (
                f"@{self._handle} is protected: request the archive of its owner, and use the archive as the source."
            )
            raise Failure(Reason.ACCOUNT_PROTECTED, message)
        of_others = [post for post in stored if post.get("author_id", user["id"]) != user["id"]]
        if of_others:
            message = (
                f"@{self._handle} belongs to another account now (the account whose posts were read is gone): remove "
                "the source, or read the new account with another TweetModel."
            )
            raise self._renamed(of_others) or Failure(Reason.ACCOUNT_MISSING, message)
        return user

    def _missing(self, stored: Sequence[Fields]) -> Failure:
        message = f"there is no account @{self._handle} on X: correct the handle, which its owner may have changed."
        return self._renamed(stored) or Failure(Reason.ACCOUNT_MISSING, message)

    def _renamed(self, stored: Sequence[Fields]) -> Failure | None:
        """Look up the author of stored posts by id, and return a failure with the new handle; None if there is none."""
        author = next((post["author_id"] for post in stored if "author_id" in post), None)
        if not author:
            return None
        user = self._call(lambda: self._client.get_user(id=author)).get("data")
        if not isinstance(user, dict) or "username" not in user:
            return None
        message = f"@{self._handle} was renamed to @{user['username']}: correct the source's handle."
        return Failure(Reason.ACCOUNT_RENAMED, message)

    def pages(self, user_id: str, gap: Gap, max_posts: int) -> Iterator[tuple[Page, list[Response]]]:
        """Yield the pages of a gap, newest first, until `max_posts` are read or the budget is spent.

        If X returns posts without a token for more, the page covers all older ids. An empty page covers nothing:
        another request for these ids is free, while a wrong page would hide posts.
        """
        until, token = gap.until, None
        while max_posts > 0:
            if self.affordable < MIN_PAGE_POSTS:
                # Whether the newest gap has any posts is unknown, so only other gaps count.
                self.budget_spent |= until is not None or gap.since is None
                return
            count = max(MIN_PAGE_POSTS, min(MAX_PAGE_POSTS, max_posts, self.affordable))
            posts, next_token = self._request_page(_PageRequest(user_id, until, gap.since, count, token))
            if posts:
                page = _page_of(posts, until, gap, is_last=not next_token)
                self.affordable -= len(posts)
                max_posts -= len(posts)
                yield page, posts
                until = page.low
            if not next_token:
                return
            token = None if posts else next_token  # valid for this request only, and `until` changes after posts

    def _request_page(self, request: _PageRequest) -> tuple[list[Response], str | None]:
        """Return posts, newest first, and the token for older posts; None at the end."""
        response = self._call(
            lambda: self._client.get_users_tweets(
                request.user_id,
                max_results=request.count,
                until_id=request.until,
                since_id=request.since,
                pagination_token=request.pagination_token,
                exclude=["retweets"],
                tweet_fields=FIELDS,
            )
        )
        posts = response.get("data", [])
        if not posts and response.get("errors"):  # protected since the request for the account
            message = f"X hides the posts of @{self._handle}: request the archive of its owner, and use the archive."
            raise Failure(Reason.ACCOUNT_PROTECTED, message)
        # Stored ids are never requested again, so accept only valid pages.
        if not _is_valid_page(response, request):
            raise self._unreachable(_UNEXPECTED)
        return posts, response["meta"].get("next_token")

    def _call(self, request: Callable[[], Any]) -> Response:
        """Send a request, and repeat the request after a rate limit.

        Raises:
            Failure: X refuses the request, or does not respond as documented.
        """
        while True:
            try:
                response = request()
                if isinstance(response, dict):
                    return response
                raise self._unreachable(_UNEXPECTED)
            except tweepy.TooManyRequests as error:
                self._wait(error)
            except (tweepy.HTTPException, requests.RequestException, ValueError, RecursionError) as error:
                raise self._request_failure(error) from None

    def _wait(self, error: tweepy.TooManyRequests) -> None:
        """Wait until the rate limit is reset.

        Raises:
            Failure: XUnreachable if X names no reset time within `MAX_WAIT_SECONDS`; the next pod tries again.
        """
        seconds = (error.reset_time or 0) - time.time() + 1
        if error.reset_time is None or seconds > MAX_WAIT_SECONDS:
            message = (
                "X limits the rate of requests (HTTP 429, without a reset time within the hour): wait until "
                "the next pod tries again."
            )
            raise Failure(Reason.X_UNREACHABLE, message)
        until = datetime.fromtimestamp(error.reset_time, UTC)
        logger.info("@%s: waiting for the rate limit of X until %s", self._handle, until.strftime("%H:%M:%SZ"))
        self._report(rate_limited_seconds=max(0.0, seconds))
        time.sleep(max(0.0, seconds))

    def _request_failure(self, error: Exception) -> Failure:
        status = error.response.status_code if isinstance(error, tweepy.HTTPException) else 0
        if status == 401:
            return Failure(Reason.X_TOKEN_INVALID, f"X rejects the bearer token: {_TOKEN_ADVICE}")
        if status in (402, 403):
            detail = " ".join(str(error).split())[:200]
            message = f"X refuses to read @{self._handle} ({detail}): check the app's access and credits at X."
            return Failure(Reason.X_FORBIDDEN, message)
        if status == 404:
            return self._missing([])
        return self._unreachable(f"HTTP {status}" if status else type(error).__name__)

    def _unreachable(self, detail: str) -> Failure:
        message = f"the X API failed for @{self._handle} ({detail}): wait until the API recovers."
        return Failure(Reason.X_UNREACHABLE, message)


def _is_user(value: object) -> bool:
    if not isinstance(value, dict) or not is_id(value.get("id")):
        return False
    metrics = value.get("public_metrics")
    return isinstance(metrics, dict) and isinstance(metrics.get("tweet_count"), int)


def _page_of(posts: Sequence[Fields], until: int | None, gap: Gap, is_last: bool) -> Page:
    """Return the page of these posts; the last page of a gap covers all remaining ids."""
    ids = [int(post["id"]) for post in posts]
    low = min(ids)
    if is_last:
        low = gap.since + 1 if gap.since is not None else 0
    return Page(until or max(ids) + 1, low, bought=len(posts))


def _is_valid_page(response: Response, request: _PageRequest) -> bool:
    posts, meta = response.get("data", []), response.get("meta")
    if not isinstance(posts, list) or not isinstance(meta, dict):
        return False
    if not posts and meta.get("result_count") != 0:
        return False
    low, high = request.since or -1, request.until or math.inf
    if not all(is_post(post) and low < int(post["id"]) < high for post in posts):
        return False
    next_token = meta.get("next_token")
    is_repeated = bool(next_token) and next_token == request.pagination_token
    return isinstance(next_token, str | None) and not is_repeated
