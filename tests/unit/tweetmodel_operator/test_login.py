"""How kopf comes to its session, and what that counts."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import kopf
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kopf._cogs.structs.credentials import LoginError, Vault, VaultKey
from prometheus_client import REGISTRY

from tweetmodel_operator.login import Logins

KEY = VaultKey("log_in")


def told(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"tweetmodel_{name}", labels)
    assert value is not None
    return value


def info(token: str = "one", server: str = "http://localhost") -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(server=server, token=token)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """Takes the token `one`."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers["Authorization"] == "Bearer one" else 401)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as made:
        yield made


@pytest.mark.parametrize(
    ("token", "code", "asked"),
    [("one", "200", "?watch=true"), ("one", "200", "?limit=1"), ("two", "401", "?watch=true")],
)
async def test_what_kopf_asks_for_is_counted_and_a_watch_that_is_opened_is_heard(
    server: TestServer, token: str, code: str, asked: str
) -> None:
    before, heard = (
        told("api_requests_total", verb="GET", code=code),
        told("watch_last_event_timestamp_seconds", kind="Pod"),
    )
    async with Logins().session(info(token, str(server.make_url("")))).aiohttp_session as session:
        await session.request(method="get", url=server.make_url(f"/api/v1/pods{asked}"))
    assert told("api_requests_total", verb="GET", code=code) == before + 1
    assert (told("watch_last_event_timestamp_seconds", kind="Pod") > heard) == ((code, asked) == ("200", "?watch=true"))


async def test_what_is_not_answered_is_counted() -> None:
    before = told("api_requests_total", verb="GET", code="none")
    async with Logins().session(info()).aiohttp_session as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get("http://localhost:1/api/v1/pods")
    assert told("api_requests_total", verb="GET", code="none") == before + 1


async def test_credentials_that_were_refused_are_not_tried_again_and_new_ones_are() -> None:
    logins, vault = Logins(), Vault()
    refused, same, new = (logins.session(info(token)) for token in ("one", "one", "two"))
    await vault.populate({KEY: refused})
    await asyncio.gather(vault.invalidate(KEY, refused), vault.populate({KEY: same}))
    with pytest.raises(LoginError):
        vault.select()
    await vault.populate({KEY: new})
    assert vault.select()[1].info is new
    for session in (refused, new):
        await session.aiohttp_session.close()
