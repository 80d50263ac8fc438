"""Stands between an operator and the real API server, and plays the fault that a test asks for.

It passes requests on as they come, watches line by line. A `Fault` may answer in the API server's place, keep
somebody waiting, take lines out of a watch, or do something just before or after a write.
"""

import asyncio
import json
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakSet

import aiohttp
from aiohttp import AddrInfoType, web
from api_client import lines
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

WRITES = ("POST", "PUT", "PATCH", "DELETE")
HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}
HOP_BY_HOP |= {"content-encoding", "accept-encoding"}


class Broken(Exception):
    """The connection is closed without an answer."""


class Fault:
    """Nothing goes wrong; faults are what differs from it."""

    async def before(self, request: web.Request) -> web.Response | None:
        """What is answered in the API server's place; None passes the request on."""

    async def after(self, request: web.Request) -> None:
        """Comes once the API server has done what the request asks for, and before anybody is told."""

    async def line(self, request: web.Request, line: bytes) -> bytes | None:
        """A line of a watch as it is passed on; None swallows it."""
        return line

    def answered(self, request: web.Request, body: bytes) -> bytes:
        """What the API server has answered, as it is passed on."""
        return body


def refusal(code: int, headers: dict[str, str] | None = None) -> web.Response:
    """A Status as the API server words it."""
    return web.json_response(failure(code) | {"details": {}}, status=code, headers=headers)


def failure(code: int) -> dict[str, object]:
    """A Status of the API server that says no."""
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "played"}


@dataclass
class Proxy:
    """One operator's way to the API server; `fault` may be changed at any time."""

    host: str
    session: aiohttp.ClientSession
    fault: Fault = field(default_factory=Fault)
    writes: list[str] = field(default_factory=list)
    """Verb and path of each write that was asked for."""
    wrote: float = 0.0
    """When the last one was asked for."""
    port: int = 0
    tls: ssl.SSLContext | None = None
    """Of its own; without, it speaks plain HTTP."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Proxy"]:
        """Listens while the block runs."""
        application = web.Application(client_max_size=1 << 26)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def kubeconfig(self) -> str:
        """By which an operator comes here."""
        cluster = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}
        users = [{"name": "proxy", "user": {"token": "proxy"}}]
        head = {"apiVersion": "v1", "kind": "Config", "current-context": "proxy", "users": users}
        return json.dumps(head | {"clusters": [cluster], "contexts": [context]})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method in WRITES:
            self.writes.append(f"{request.method} {request.path}")
            self.wrote = time.monotonic()
        fault = self.fault
        try:
            return await fault.before(request) or await self._pass_on(request, fault)
        except (Broken, aiohttp.ClientConnectionResetError):  # the latter: who asked has gone
            if request.transport:
                request.transport.abort()
            raise asyncio.CancelledError from None

    async def _pass_on(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers.pop("Authorization", None)
        url, data = self.host + request.raw_path, await request.read() or None
        async with self.session.request(request.method, url, headers=headers, data=data) as answer:
            if request.query.get("watch") == "true" and answer.status == 200:
                return await self._stream(request, answer)
            body = await answer.read()
            await fault.after(request)
            passed_on = fault.answered(request, body)
            return web.Response(body=passed_on, status=answer.status, headers={"Content-Type": answer.content_type})

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        async for line in lines(answer):
            passed_on = await self.fault.line(request, line)
            if passed_on is not None:
                await response.write(passed_on + b"\n")
        return response


def certified(folder: Path) -> ssl.SSLContext:
    """Of a server at 127.0.0.1, which whoever has the folder's ca.crt believes."""
    certificate, key = folder / "ca.crt", folder / "ca.key"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=proxy -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-out", certificate, "-keyout", key], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def proxy(tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy before the API server of the kubeconfig, with or without TLS of its own."""
    configuration = Configuration()
    await config.load_kube_config(client_configuration=configuration)
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    context.load_cert_chain(configuration.cert_file, configuration.key_file)
    sockets: WeakSet[socket.socket] = WeakSet()

    def opened(address: AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        sockets.add(made)
        return made

    connector = aiohttp.TCPConnector(ssl=context, limit=0, socket_factory=opened)
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        Proxy(configuration.host, session, tls=tls).serving() as made,
    ):
        yield made
    while any(one.fileno() >= 0 for one in sockets):  # the session does not wait for TLS's farewells
        await asyncio.sleep(0.01)


@dataclass
class AtWrite(Fault):
    """Calls `then` just before or after the API server has done the n-th write from now on, which nobody hears of."""

    number: int
    after_it: bool
    then: Callable[[], None]
    _seen: int = 0

    async def before(self, request: web.Request) -> web.Response | None:
        if request.method in WRITES:
            self._seen += 1
            if self._is_it(request) and not self.after_it:
                self._fire()
        return None

    async def after(self, request: web.Request) -> None:
        if request.method in WRITES and self._is_it(request):
            self._fire()

    def _is_it(self, request: web.Request) -> bool:
        return self._seen == self.number

    def _fire(self) -> None:
        self._seen += 1  # once
        self.then()
        raise Broken


@dataclass
class Answering(Fault):
    """Refuses everything."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)

    async def before(self, request: web.Request) -> web.Response | None:
        return refusal(self.code, self.headers)


@dataclass
class Expecting(Fault):
    """Takes one token, and cuts the watches that were opened with another."""

    token: str

    async def before(self, request: web.Request) -> web.Response | None:
        return None if self._is_known(request) else refusal(401)

    async def line(self, request: web.Request, line: bytes) -> bytes | None:
        if not self._is_known(request):
            raise Broken
        return line

    def _is_known(self, request: web.Request) -> bool:
        return request.headers.get("Authorization", "").lower() == f"bearer {self.token}"


@dataclass
class Swallowing(Fault):
    """Takes all events of these kinds out of the watches."""

    kinds: tuple[str, ...]

    async def line(self, request: web.Request, line: bytes) -> bytes | None:
        return None if request.path.endswith(self.kinds) and b'"BOOKMARK"' not in line[:30] else line


class HalfOpen(Fault):
    """Keeps everybody waiting: what waits here is never answered, even when the fault is over."""

    async def before(self, request: web.Request) -> web.Response | None:
        await asyncio.Event().wait()
        return None

    async def line(self, request: web.Request, line: bytes) -> bytes | None:
        await asyncio.Event().wait()
        return None


@dataclass
class InStream(Fault):
    """Answers each watch with an ERROR in its stream, of this code, once for each kind."""

    code: int
    _told: set[str] = field(default_factory=set)

    async def line(self, request: web.Request, line: bytes) -> bytes | None:
        if request.path in self._told:
            return line
        self._told.add(request.path)
        return json.dumps({"type": "ERROR", "object": failure(self.code)}).encode()


@dataclass
class Past(Fault):
    """Answers each list with what it was the first time, as an API server does whose cache lags behind."""

    first: dict[str, bytes] = field(default_factory=dict)

    def answered(self, request: web.Request, body: bytes) -> bytes:
        is_list = request.method == "GET" and request.path.endswith(("/tweetmodels", "/jobs", "/pods"))
        return self.first.setdefault(request.path_qs, body) if is_list else body
