"""The operator's API client, extended by watches, deletion of collections, and requests with a text response."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp

from tweetmodel_operator.api_server import ApiError, ApiServer
from tweetmodel_operator.parse import JsonObject


class Client(ApiServer):
    """A connection to the API server of the kubeconfig."""

    async def open(self, method: str, path: str) -> aiohttp.ClientResponse:
        """Send a request, and return the response before its body is read."""
        headers = {"Accept": "application/json"}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        url = self._client.configuration.host + path
        response = (await self._client.call_api(method, url, headers, _request_timeout=86400)).response
        response.raise_for_status()
        return response

    async def text(self, path: str) -> str:
        """Return the body of a response as text."""
        async with await self.open("GET", path) as response:
            return await response.text()

    async def replace(self, path: str, body: JsonObject) -> JsonObject:
        """Replace an object regardless of its version, which a custom resource requires in the request."""
        while True:
            version = (await self.get(path))["metadata"]["resourceVersion"]
            try:
                return await self._request(
                    "PUT", path, body | {"metadata": body["metadata"] | {"resourceVersion": version}}
                )
            except ApiError as error:
                if error.code != 409:
                    raise

    async def delete_collection(self, path: str) -> None:
        """Delete all objects of a collection, with more than one request if the API server's timeout ends the first."""
        while (await self.get(path, limit="1"))["items"]:
            with suppress(aiohttp.ClientResponseError):
                async with await self.open("DELETE", path + "?propagationPolicy=Background&gracePeriodSeconds=0"):
                    pass

    async def watch(self, path: str) -> AsyncIterator[JsonObject]:
        """Yield the events of a collection, beginning with an ADDED event for each existing object."""
        async with await self.open("GET", path + "?watch=true") as response:
            try:
                async for line in lines(response):
                    yield json.loads(line)
            finally:  # closing the connection would wait for the end of TLS
                if response.connection and response.connection.transport:
                    response.connection.transport.abort()


async def lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of a watch; aiohttp's own iterator rejects long lines."""
    buffer = b""
    async for chunk in response.content.iter_any():
        *complete, buffer = (buffer + chunk).split(b"\n")
        for line in complete:
            yield line
