"""An S3 that misbehaves: a proxy before one that does not, which spoils the requests it is told to."""

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from http_server import QuietHandler, QuietServer

BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: int | None = None
    """So many bytes of the body are sent, then the connection ends; None: all."""


Ask = Callable[[Request], Answer]
Fault = Callable[[Request, Ask], Answer | None]
"""Answers a request, or doesn't (None: the connection is reset), with or without asking the S3 behind."""


def busy(_: Request, __: Ask) -> Answer:
    return Answer(503, {}, BUSY)


def reset(_: Request, __: Ask) -> None:
    return None


def takes_it_and_is_busy(request: Request, ask: Ask) -> Answer:
    ask(request)
    return busy(request, ask)


def takes_it_and_resets(request: Request, ask: Ask) -> None:
    ask(request)


def takes_it_twice(request: Request, ask: Ask) -> Answer:
    ask(request)
    return ask(request)


def breaks_off(request: Request, ask: Ask) -> Answer:
    answer = ask(request)
    return replace(answer, sent=len(answer.body) // 2)


def answers_half_and_says_it_is_all(request: Request, ask: Ask) -> Answer:
    answer = ask(request)
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def answers_other_bytes(request: Request, ask: Ask) -> Answer:
    answer = ask(request)
    return replace(answer, body=_other(answer.body))


def lies_about_checksums(request: Request, ask: Ask) -> Answer:
    answer = ask(request)
    false = {"ETag": f'"{"0" * 32}"', "x-amz-checksum-crc32": "AAAAAA==", "Content-MD5": "A" * 22 + "=="}
    return replace(answer, headers=answer.headers | false)


def keeps_half(request: Request, ask: Ask) -> Answer:
    half = request.body[: len(request.body) // 2]
    return ask(replace(request, body=half, headers=request.headers | {"Content-Length": str(len(half))}))


def keeps_other_bytes(request: Request, ask: Ask) -> Answer:
    return ask(replace(request, body=_other(request.body)))


def _other(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body


class FaultyS3:
    """While `spoiling`, the chosen requests, counted from 0, go wrong; `asked` has all since then."""

    def __init__(self, behind: str) -> None:
        self.asked: list[str] = []
        self._fault: Fault | None = None
        self._chosen: Container[int] = ()
        self._behind = urlsplit(behind).netloc
        self._lock = threading.Lock()
        outer = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer._serve(self, Request(self.command, self.path, dict(self.headers), body))

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

        self.server = QuietServer(Handler)
        self.address = self.server.url

    @contextmanager
    def spoiling(self, fault: Fault, chosen: Container[int]) -> Iterator[None]:
        self.asked, self._fault, self._chosen = [], fault, chosen
        try:
            yield
        finally:
            self._fault = None

    def _serve(self, handler: QuietHandler, request: Request) -> None:
        with self._lock:
            number = len(self.asked)
            self.asked.append(f"{request.method} {request.path}")
        spoilt = self._fault if number in self._chosen else None
        answer = spoilt(request, self._ask) if spoilt else self._ask(request)
        if answer is None:
            # Closed with a time to linger of 0 it is reset (tcp(7), SO_LINGER).
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            return
        handler.send_response_only(answer.status)
        length = {} if request.method == "HEAD" else {"Content-Length": str(len(answer.body))}
        for name, value in (answer.headers | length).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer.body[: answer.sent])
        handler.close_connection = answer.sent is not None

    def _ask(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection(self._behind)
        connection.request(request.method, request.path, request.body, request.headers)
        response = connection.getresponse()
        body = response.read()
        hop = {"connection", "transfer-encoding", "date", "server"}
        headers = {name: value for name, value in response.getheaders() if name.lower() not in hop}
        connection.close()
        return Answer(response.status, headers, body)
