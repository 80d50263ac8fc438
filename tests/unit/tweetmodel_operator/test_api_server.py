"""Requests and responses of the API client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import example, given
from hypothesis import strategies as st
from kubernetes.aio.client import ApiClient, Configuration

from makers import KEY, observed
from tweetmodel_operator.api_server import ApiError, ApiServer, as_yaml
from tweetmodel_operator.apply_defaults import apply_defaults
from tweetmodel_operator.settings import Settings


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("a gull \U0001f426, a flag \U0001f1e9\U0001f1ea and a family \U0001f468\u200d\U0001f469\u200d\U0001f467")
@example("NUL \x00, DEL \x7f, next line \x85, line \u2028 and paragraph \u2029, byte order \ufeff, none \uffff")
@example('quote " backslash \\ and what looks like escapes: \\ud83d\\udc26 \\n')
@example("key: [not, yaml] # no comment - 'no' |")
def test_any_text_survives_server_side_apply(text: str) -> None:
    assert yaml.safe_load(as_yaml({"status": {"samples": [text]}})) == {"status": {"samples": [text]}}


def test_half_a_character_becomes_the_mark_for_it() -> None:
    assert yaml.safe_load(as_yaml({"text": "half \ud83d of it"})) == {"text": "half \ufffd of it"}


@asynccontextmanager
async def answering(status: int, text: str) -> AsyncIterator[ApiServer]:
    """A connection to an API server that answers everything so."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        connection = ApiServer(ApiClient(Configuration(host=str(server.make_url("")).rstrip("/"))))
        try:
            yield connection
        finally:
            await connection.close()


@pytest.mark.parametrize("text", ["404 page not found", '"not found"', "", "\xff"])
async def test_an_error_keeps_its_code_whatever_its_body(text: str) -> None:
    async with answering(404, text) as api:
        with pytest.raises(ApiError, match="GET /apis was rejected with code 404") as rejection:
            await api.get("/apis")
    assert rejection.value.code == 404


async def test_a_response_that_is_no_json_object_is_an_error() -> None:
    async with answering(200, "<html>a proxy's page of welcome</html>") as api:
        with pytest.raises(ApiError, match="no usable response") as rejection:
            await api.get("/apis")
    assert rejection.value.code == 0


async def test_without_the_crd_of_tweetmodeldefaults_the_clusters_defaults_apply() -> None:
    async with answering(404, "404 page not found") as api:
        assert await apply_defaults(api, observed(omitted_fields=("queueName",)), Settings()) is False
        with pytest.raises(ApiError, match=f"/tweetmodels/{KEY.name} was rejected"):
            await apply_defaults(api, observed(omitted_fields=("queueName",)), Settings(defaults={"queueName": "gpus"}))
