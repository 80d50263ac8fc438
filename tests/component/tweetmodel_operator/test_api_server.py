"""Requests of the API client over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from makers import KEY, observed
from tweetmodel_operator.api_server import ApiError, ApiServer
from tweetmodel_operator.defaulting import apply_defaults
from tweetmodel_operator.settings import Settings


@asynccontextmanager
async def server_with_response(status: int, text: str) -> AsyncIterator[ApiServer]:
    """Connect to an API server that responds to every request in the same way."""

    async def respond(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", respond)
    async with TestServer(application) as server:
        connection = ApiServer(ApiClient(Configuration(host=str(server.make_url("")).rstrip("/"))))
        try:
            yield connection
        finally:
            await connection.close()


@pytest.mark.parametrize(
    "text", ["404 page not found", '"not found"', "", "\xff"], ids=["text", "json-string", "empty", "not-utf-8"]
)
async def test_an_error_has_the_http_status_for_any_body(text: str) -> None:
    async with server_with_response(404, text) as api:
        with pytest.raises(ApiError, match="GET /apis was rejected with code 404") as rejection:
            await api.get("/apis")
    assert rejection.value.code == 404


async def test_a_response_without_a_json_object_is_an_error() -> None:
    async with server_with_response(200, "<html>login page of a proxy</html>") as api:
        with pytest.raises(ApiError, match="no usable response") as rejection:
            await api.get("/apis")
    assert rejection.value.code == 0


async def test_defaults_of_the_cluster_apply_without_the_crd_of_tweetmodeldefaults() -> None:
    async with server_with_response(404, "404 page not found") as api:
        assert await apply_defaults(api, observed(omitted_fields=("queueName",)), Settings()) is False
        with pytest.raises(ApiError, match=f"/tweetmodels/{KEY.name} was rejected"):
            await apply_defaults(api, observed(omitted_fields=("queueName",)), Settings(defaults={"queueName": "gpus"}))
