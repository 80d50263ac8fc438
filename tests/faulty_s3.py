"""A proxy before an S3 service that injects a fault into chosen requests."""

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from http_server import QuietHandler, QuietServer

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Request:
    """A request of a client."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """A response to a client."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: int | None = None
    """Number of bytes of the body after which the connection is closed; None to send all."""


Forward = Callable[[Request], Response]
"""Forwards a request to the S3 service."""
Fault = Callable[[Request, Forward], Response | None]
"""Returns a faulty response, or None to reset the connection, and may forward the request."""


def unavailable(_: Request, __: Forward) -> Response:
    return Response(503, {}, SLOW_DOWN)


def reset(_: Request, __: Forward) -> None:
    return None


def executed_but_unavailable(request: Request, forward: Forward) -> Response:
    forward(request)
    return unavailable(request, forward)


def executed_but_reset(request: Request, forward: Forward) -> None:
    forward(request)


def executed_twice(request: Request, forward: Forward) -> Response:
    forward(request)
    return forward(request)


def body_ends_early(request: Request, forward: Forward) -> Response:
    response = forward(request)
    return replace(response, sent=len(response.body) // 2)


def body_truncated(request: Request, forward: Forward) -> Response:
    """The Content-Length is that of the truncated body."""
    response = forward(request)
    return replace(response, body=response.body[: len(response.body) // 2])


def body_corrupted(request: Request, forward: Forward) -> Response:
    response = forward(request)
    return replace(response, body=_corrupted(response.body))


def wrong_checksums(request: Request, forward: Forward) -> Response:
    response = forward(request)
    wrong = {"ETag": f'"{"0" * 32}"', "x-amz-checksum-crc32": "AAAAAA==", "Content-MD5": "A" * 22 + "=="}
    return replace(response, headers=response.headers | wrong)


def stored_truncated(request: Request, forward: Forward) -> Response:
    half = request.body[: len(request.body) // 2]
    return forward(replace(request, body=half, headers=request.headers | {"Content-Length": str(len(half))}))


def stored_corrupted(request: Request, forward: Forward) -> Response:
    return forward(replace(request, body=_corrupted(request.body)))


def _corrupted(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body


class FaultyS3:
    """The proxy. In an `injecting` block the chosen requests, counted from 0, get the fault."""

    def __init__(self, upstream: str) -> None:
        self.requests: list[str] = []
        """Method and path of each request since the last `injecting`."""
        self._fault: Fault | None = None
        self._chosen: Container[int] = ()
        self._upstream = urlsplit(upstream).netloc
        self._lock = threading.Lock()
        outer = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer._serve(self, Request(self.command, self.path, dict(self.headers), body))

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

        self.server = QuietServer(Handler)
        self.url = self.server.url

    @contextmanager
    def injecting(self, fault: Fault, chosen: Container[int]) -> Iterator[None]:
        self.requests, self._fault, self._chosen = [], fault, chosen
        try:
            yield
        finally:
            self._fault = None

    def _serve(self, handler: QuietHandler, request: Request) -> None:
        with self._lock:
            number = len(self.requests)
            self.requests.append(f"{request.method} {request.path}")
        fault = self._fault if number in self._chosen else None
        response = fault(request, self._forward) if fault else self._forward(request)
        if response is None:
            # closing with a linger time of 0 resets the connection (tcp(7), SO_LINGER)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            return
        handler.send_response_only(response.status)
        length = {} if request.method == "HEAD" else {"Content-Length": str(len(response.body))}
        for name, value in (response.headers | length).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(response.body[: response.sent])
        handler.close_connection = response.sent is not None

    def _forward(self, request: Request) -> Response:
        connection = http.client.HTTPConnection(self._upstream)
        connection.request(request.method, request.path, request.body, request.headers)
        response = connection.getresponse()
        body = response.read()
        hop_by_hop = {"connection", "transfer-encoding", "date", "server"}
        headers = {name: value for name, value in response.getheaders() if name.lower() not in hop_by_hop}
        connection.close()
        return Response(response.status, headers, body)
