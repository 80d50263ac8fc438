"""The login of kopf: its session counts requests, and rejected credentials are not reused."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import kopf
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kopf._cogs.structs.credentials import LoginError, Vault, VaultKey
from prometheus_client import REGISTRY

from tweetmodel_operator.kopf_login import Sessions

KEY = VaultKey("log_in")


def sample(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"tweetmodel_{name}", labels)
    assert value is not None
    return value


def info(token: str = "one", server: str = "http://localhost") -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(server=server, token=token)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """A server that accepts the token `one`."""

    async def respond(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers["Authorization"] == "Bearer one" else 401)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", respond)
    async with TestServer(application) as started:
        yield started


@pytest.mark.parametrize(
    ("token", "code", "query"),
    [("one", "200", "?watch=true"), ("one", "200", "?limit=1"), ("two", "401", "?watch=true")],
    ids=["watch", "list", "rejected-watch"],
)
async def test_requests_and_started_watches_of_kopf_are_counted(
    server: TestServer, token: str, code: str, query: str
) -> None:
    before, last_event = (
        sample("api_requests_total", verb="GET", code=code),
        sample("watch_last_event_timestamp_seconds", kind="Pod"),
    )
    async with Sessions().session(info(token, str(server.make_url("")))).aiohttp_session as session:
        await session.request(method="get", url=server.make_url(f"/api/v1/pods{query}"))
    assert sample("api_requests_total", verb="GET", code=code) == before + 1
    assert (sample("watch_last_event_timestamp_seconds", kind="Pod") > last_event) == (
        (code, query) == ("200", "?watch=true")
    )


async def test_requests_without_a_response_are_counted() -> None:
    before = sample("api_requests_total", verb="GET", code="none")
    async with Sessions().session(info()).aiohttp_session as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get("http://localhost:1/api/v1/pods")
    assert sample("api_requests_total", verb="GET", code="none") == before + 1


async def test_rejected_credentials_are_replaced_by_new_ones() -> None:
    sessions, vault = Sessions(), Vault()
    rejected, same, new = (sessions.session(info(token)) for token in ("one", "one", "two"))
    await vault.populate({KEY: rejected})
    await asyncio.gather(vault.invalidate(KEY, rejected), vault.populate({KEY: same}))
    with pytest.raises(LoginError):
        vault.select()
    await vault.populate({KEY: new})
    assert vault.select()[1].info is new
    for session in (rejected, new):
        await session.aiohttp_session.close()
