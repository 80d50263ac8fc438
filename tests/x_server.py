"""A server with the endpoints of the X API v2 that the trainer uses, and with one account."""

import json
import threading
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter

from http_server import QuietHandler, QuietServer

TOKEN = "AAAA-token"


class XServer(QuietServer):
    """X in memory."""

    def __init__(self) -> None:
        self.posts: dict[int, dict[str, Any]] = {}
        self.retweets: set[int] = set()
        self.user: dict[str, Any] = {"id": "7", "username": "ada", "protected": False}
        self.errors: list[dict[str, str]] = []
        """Errors in place of the account."""
        self.refusals: list[tuple[int, dict[str, str]]] = []
        """Status and headers of the next responses."""
        self.overrides: dict[str, object] = {}
        """Responses by path, in place of the real ones."""
        self.billed = 0
        """Number of posts that X has charged for."""
        self.page_requests = 0
        self.responding = threading.Event()
        self.responding.set()
        outer = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                outer.responding.wait()
                status, headers, value = outer.response(self.path, self.headers["Authorization"])
                content = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.respond(status, content, headers)

        super().__init__(Handler)

    def write(self, *ids: int, **fields: Any) -> None:
        for id_ in ids:
            self.posts[id_] = {"id": str(id_), "text": f"post {id_}", "author_id": "7"} | fields

    def retweet(self, *ids: int) -> None:
        self.write(*ids)
        self.retweets |= set(ids)

    def response(self, path: str, authorization: str) -> tuple[int, dict[str, str], object]:
        if self.refusals:
            status, headers = self.refusals.pop(0)
            return status, headers, {"title": "refused", "detail": "no"}
        if authorization != f"Bearer {TOKEN}":
            return 401, {}, {"title": "Unauthorized"}
        url = urlsplit(path)
        if url.path in self.overrides:
            return 200, {}, self.overrides[url.path]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path in ("/2/users/by/username/ada", "/2/users/7"):
            known = url.path.endswith("/7") or self.user["username"] == "ada"
            if self.errors or not known:
                return 200, {}, {"errors": self.errors or [{"title": "Not Found Error", "detail": "no such user"}]}
            return 200, {}, {"data": self.user | {"public_metrics": {"tweet_count": len(self.posts)}}}
        assert url.path == "/2/users/7/tweets"
        assert query["exclude"] == "retweets"
        self.page_requests += 1
        return 200, {}, self.page(query, query.pop("pagination_token", ""))

    def page(self, query: dict[str, str], token: str) -> dict[str, object]:
        """Return a page as X cuts it: retweets count, and are removed afterwards. A token fits only its request."""
        until, since = int(query.get("until_id", 1 << 62)), int(query.get("since_id", 0))
        if token:
            last, request = token.split("?")
            assert request == urlencode(query)
            until = int(last)
        fitting = [id_ for id_ in sorted(self.posts, reverse=True) if since < id_ < until]
        counted = fitting[: int(query["max_results"])]
        shown = [self.posts[id_] for id_ in counted if id_ not in self.retweets]
        self.billed += len(shown)
        more = {"next_token": f"{counted[-1]}?{urlencode(query)}"} if len(fitting) > len(counted) else {}
        return ({"data": shown} if shown else {}) | {"meta": {"result_count": len(shown)} | more}


class Redirected(HTTPAdapter):
    """Sends requests for X to a server of the test."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: Any, **options: Any) -> requests.Response:
        request.url = self.url + request.path_url
        return super().send(request, **options)
