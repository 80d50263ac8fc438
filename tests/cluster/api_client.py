"""The operator's own client of the API server, which can also watch, empty a collection, and read plain text."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp

from tweetmodel_operator.api_server import ApiError, ApiServer, JsonObject


class Client(ApiServer):
    """Talks to the API server of the kubeconfig."""

    async def open(self, method: str, path: str) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json"}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        url = self._client.configuration.host + path
        answer = await self._client.call_api(method, url, headers, _request_timeout=86400)
        answer.response.raise_for_status()
        return answer.response

    async def text(self, path: str) -> str:
        async with await self.open("GET", path) as answer:
            return await answer.text()

    async def replace(self, path: str, body: JsonObject) -> JsonObject:
        """Puts an object in the place of the one that is there, whatever its version: a custom resource needs it."""
        while True:
            version = (await self.get(path))["metadata"]["resourceVersion"]
            try:
                return await self._request(
                    "PUT", path, body | {"metadata": body["metadata"] | {"resourceVersion": version}}
                )
            except ApiError as error:
                if error.code != 409:
                    raise

    async def empty(self, path: str) -> None:
        """Deletes a collection, which may take longer than the API server gives one request."""
        while (await self.get(path, limit="1"))["items"]:
            with suppress(aiohttp.ClientResponseError):
                async with await self.open("DELETE", path + "?propagationPolicy=Background&gracePeriodSeconds=0"):
                    pass

    async def watch(self, path: str) -> AsyncIterator[JsonObject]:
        """Events of a collection; objects that are there already come as ADDED."""
        async with await self.open("GET", path + "?watch=true") as answer:
            try:
                async for line in lines(answer):
                    yield json.loads(line)
            finally:  # who stops listening cuts the connection: nobody would wait for the farewell of TLS
                if answer.connection and answer.connection.transport:
                    answer.connection.transport.abort()


async def lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a watch as they come; aiohttp's own reading by lines refuses long ones."""
    buffer = b""
    async for chunk in answer.content.iter_any():
        *whole, buffer = (buffer + chunk).split(b"\n")
        for line in whole:
            yield line
