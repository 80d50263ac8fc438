"""A proxy between an operator and the real API server that injects faults.

The proxy forwards requests, and watches line by line. A `Fault` can respond instead of the API server, never respond,
drop lines of a watch, or act just before or after a write.
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


class ConnectionAborted(Exception):
    """The proxy closes the connection without a response."""


class Fault:
    """Base class of faults: by itself no fault."""

    async def before(self, request: web.Request) -> web.Response | None:
        """Return a response instead of the API server's; None forwards the request."""

    async def after(self, request: web.Request) -> None:
        """Act after the API server has handled the request, and before the operator gets the response."""

    async def on_line(self, request: web.Request, line: bytes) -> bytes | None:
        """Return the line of a watch that the operator gets; None drops the line."""
        return line

    def on_body(self, request: web.Request, body: bytes) -> bytes:
        """Return the body of the response that the operator gets."""
        return body


def error_response(code: int, headers: dict[str, str] | None = None) -> web.Response:
    """Return a failure in the format of the API server."""
    return web.json_response(failure_status(code) | {"details": {}}, status=code, headers=headers)


def failure_status(code: int) -> dict[str, object]:
    """Return a Status object with a failure."""
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "injected fault"}


@dataclass
class Proxy:
    """The connection of one operator to the API server; a test may change `fault` at any time."""

    host: str
    session: aiohttp.ClientSession
    fault: Fault = field(default_factory=Fault)
    writes: list[str] = field(default_factory=list)
    """Verb and path of each write request."""
    last_write: float = 0.0
    """Time of the last write request, on the monotonic clock."""
    port: int = 0
    tls: ssl.SSLContext | None = None
    """TLS of the proxy; None for plain HTTP."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Proxy"]:
        """Listen until the context manager ends."""
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
        """Return a kubeconfig for the proxy."""
        cluster = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}
        users = [{"name": "proxy", "user": {"token": "proxy"}}]
        head = {"apiVersion": "v1", "kind": "Config", "current-context": "proxy", "users": users}
        return json.dumps(head | {"clusters": [cluster], "contexts": [context]})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method in WRITES:
            self.writes.append(f"{request.method} {request.path}")
            self.last_write = time.monotonic()
        fault = self.fault
        try:
            return await fault.before(request) or await self._forward(request, fault)
        except (ConnectionAborted, aiohttp.ClientConnectionResetError):  # the operator may have closed the connection
            if request.transport:
                request.transport.abort()
            raise asyncio.CancelledError from None

    async def _forward(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers.pop("Authorization", None)
        url, data = self.host + request.raw_path, await request.read() or None
        async with self.session.request(request.method, url, headers=headers, data=data) as upstream:
            if request.query.get("watch") == "true" and upstream.status == 200:
                return await self._stream(request, upstream)
            body = await upstream.read()
            await fault.after(request)
            headers = {"Content-Type": upstream.content_type}
            return web.Response(body=fault.on_body(request, body), status=upstream.status, headers=headers)

    async def _stream(self, request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        async for line in lines(upstream):
            forwarded = await self.fault.on_line(request, line)
            if forwarded is not None:
                await response.write(forwarded + b"\n")
        return response


def create_tls(folder: Path) -> ssl.SSLContext:
    """Return TLS for a server at 127.0.0.1 whose CA certificate is ca.crt in the folder."""
    certificate, key = folder / "ca.crt", folder / "ca.key"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=proxy -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-out", certificate, "-keyout", key], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def start_proxy(tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Yield a proxy for the API server of the kubeconfig, with or without TLS."""
    configuration = Configuration()
    await config.load_kube_config(client_configuration=configuration)
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    context.load_cert_chain(configuration.cert_file, configuration.key_file)
    sockets: WeakSet[socket.socket] = WeakSet()

    def create_socket(address: AddrInfoType) -> socket.socket:
        created = socket.socket(*address[:3])
        sockets.add(created)
        return created

    connector = aiohttp.TCPConnector(ssl=context, limit=0, socket_factory=create_socket)
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        Proxy(configuration.host, session, tls=tls).serving() as proxy,
    ):
        yield proxy
    while any(created.fileno() >= 0 for created in sockets):  # the session does not wait for the end of TLS
        await asyncio.sleep(0.01)


@dataclass
class AtWrite(Fault):
    """Calls `action` once, just before or after the API server handles the n-th write; the write gets no response."""

    number: int
    after_write: bool
    action: Callable[[], None]
    _writes: int = 0

    async def before(self, request: web.Request) -> web.Response | None:
        if request.method in WRITES:
            self._writes += 1
            if self._writes == self.number and not self.after_write:
                self._fire()
        return None

    async def after(self, request: web.Request) -> None:
        if request.method in WRITES and self._writes == self.number:
            self._fire()

    def _fire(self) -> None:
        self._writes += 1  # so that the action is not called again
        self.action()
        raise ConnectionAborted


@dataclass
class RejectAll(Fault):
    """Rejects all requests."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)

    async def before(self, request: web.Request) -> web.Response | None:
        return error_response(self.code, self.headers)


@dataclass
class RequireToken(Fault):
    """Accepts one token only, and aborts the watches that began with another token."""

    token: str

    async def before(self, request: web.Request) -> web.Response | None:
        return None if self._has_token(request) else error_response(401)

    async def on_line(self, request: web.Request, line: bytes) -> bytes | None:
        if not self._has_token(request):
            raise ConnectionAborted
        return line

    def _has_token(self, request: web.Request) -> bool:
        return request.headers.get("Authorization", "").lower() == f"bearer {self.token}"


@dataclass
class DropEvents(Fault):
    """Drops all events of some kinds."""

    kinds: tuple[str, ...]

    async def on_line(self, request: web.Request, line: bytes) -> bytes | None:
        return None if request.path.endswith(self.kinds) and b'"BOOKMARK"' not in line[:30] else line


class HalfOpen(Fault):
    """Never responds, like a half-open connection, also after the fault is over."""

    async def before(self, request: web.Request) -> web.Response | None:
        await asyncio.Event().wait()
        return None

    async def on_line(self, request: web.Request, line: bytes) -> bytes | None:
        await asyncio.Event().wait()
        return None


@dataclass
class WatchError(Fault):
    """Replaces the first line of each collection's watch with an ERROR event."""

    code: int
    _done: set[str] = field(default_factory=set)

    async def on_line(self, request: web.Request, line: bytes) -> bytes | None:
        if request.path in self._done:
            return line
        self._done.add(request.path)
        return json.dumps({"type": "ERROR", "object": failure_status(self.code)}).encode()


@dataclass
class StaleLists(Fault):
    """Repeats the first response to each list, like an API server with an outdated cache."""

    first: dict[str, bytes] = field(default_factory=dict)

    def on_body(self, request: web.Request, body: bytes) -> bytes:
        is_list = request.method == "GET" and request.path.endswith(("/tweetmodels", "/jobs", "/pods"))
        return self.first.setdefault(request.path_qs, body) if is_list else body
