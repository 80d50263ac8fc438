"""The one door to the Kubernetes API: JSON in, JSON out, every request counted, every refusal an ApiError.

The official client's asyncio half does authentication and TLS; its typed models are left aside, because
the operator reads a handful of fields of three kinds and must hold thousands of them cheaply.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from tweetmodel_api import API_VERSION, DEFAULTS_PLURAL, PLURAL
from tweetmodel_operator import metrics

JsonObject = dict[str, Any]

JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Of a list's objects their metadata alone: a fraction of the size."""
APPLY = "application/apply-patch+yaml; charset=utf-8"
MERGE = "application/merge-patch+json"
TIMEOUT_SECONDS = 30
PAGE = 500
"""Objects of a list that are read at once."""


class ApiError(Exception):
    """The API server refused a request, or, with code 0, did not answer."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class ApiServer:
    """A connection to the API server of the kubeconfig or of the pod's service account."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.written: Callable[[JsonObject], None] = lambda _: None
        """Hears what was answered to each write."""

    @classmethod
    async def connect(cls) -> "ApiServer":
        """Connects with the pod's service account, else with KUBECONFIG or ~/.kube/config.

        Raises:
            kubernetes.aio.config.ConfigException: neither is there.
        """
        configuration = Configuration()
        # Else aiohttp looks for a proxy and a .netrc in a thread, request by request: a fifth of the operator's time.
        # kopf's watches don't ask the environment either; a kubeconfig's proxy-url counts.
        configuration.client_session_kwargs = {"trust_env": False}
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)
        return cls(ApiClient(configuration))

    async def close(self) -> None:
        """Closes the connection."""
        await self._client.close()

    async def get(self, path: str, accept: str = JSON, **query: str) -> JsonObject:
        """Reads an object or a list."""
        return await self._request("GET", path, query=query, accept=accept)

    async def items(self, path: str, accept: str = JSON, **query: str) -> AsyncIterator[JsonObject]:
        """The objects of a collection, page by page."""
        token = ""
        while True:
            page = await self.get(path, accept, limit=str(PAGE), **query, **({"continue": token} if token else {}))
            for item in page["items"]:
                yield item
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        """Creates an object in the collection `path`."""
        return await self._request("POST", path, body)

    async def apply(self, path: str, body: JsonObject, manager: str) -> JsonObject:
        """Server-side apply: `manager` owns exactly the fields of `body` afterwards."""
        return await self._request("PATCH", path, as_yaml(body), APPLY, {"fieldManager": manager, "force": "true"})

    async def merge(self, path: str, body: JsonObject) -> JsonObject:
        """JSON merge patch."""
        return await self._request("PATCH", path, body, MERGE)

    async def delete(self, path: str) -> JsonObject:
        """Deletes an object; it stays visible until what it owns is gone."""
        return await self._request("DELETE", path, {"propagationPolicy": "Foreground"})

    async def _request(
        self,
        method: str,
        path: str,
        body: JsonObject | bytes | None = None,
        content_type: str = JSON,
        query: dict[str, str] | None = None,
        accept: str = JSON,
    ) -> JsonObject:
        headers = {"Accept": accept, "Content-Type": content_type}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        try:
            with metrics.API_REQUEST_SECONDS.labels(method).time():
                response = await self._client.call_api(method, url, headers, body, _request_timeout=TIMEOUT_SECONDS)
                data = _object(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            metrics.API_REQUESTS.labels(method, "none").inc()
            raise ApiError(0, "Unreachable", f"{method} {path}: no usable answer ({error!r})") from error
        metrics.API_REQUESTS.labels(method, str(response.status)).inc()
        if response.status >= 400:
            told = data or {}  # a kind that nobody has defined is a 404 in plain text
            message = told.get("message") or f"{method} {path} was answered with {response.status}"
            raise ApiError(response.status, told.get("reason", ""), message)
        if data is None:
            raise ApiError(0, "Unreachable", f"{method} {path}: no usable answer (no JSON object)")
        if method != "GET":
            self.written(data)
        return data


def _object(body: bytes) -> JsonObject | None:
    """A JSON object; None where it is none."""
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def as_yaml(body: JsonObject) -> bytes:
    """JSON that YAML reads as the same, as server-side apply wants it.

    Almost all JSON is YAML, but a character above U+FFFF, such as an emoji, must not be written as two escapes, and
    what YAML takes for a line break, or for no text, must be (yaml.org/spec/1.2.2, section 5.1 and 5.7).
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", _LONE.sub("\ufffd", text)).encode()


_LONE = re.compile("[\ud800-\udfff]")
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def tweetmodels_path(namespace: str = "") -> str:
    """Path of a namespace's TweetModels, or of all."""
    return f"/apis/{API_VERSION}" + (f"/namespaces/{namespace}" if namespace else "") + f"/{PLURAL}"


def tweetmodel_path(namespace: str, name: str) -> str:
    """Path of a TweetModel."""
    return f"{tweetmodels_path(namespace)}/{name}"


def defaults_path(namespace: str, name: str) -> str:
    """Path of a namespace's TweetModelDefaults."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{DEFAULTS_PLURAL}/{name}"


def jobs_path(namespace: str, name: str = "") -> str:
    """Path of a namespace's Jobs, of all, or of one."""
    return "/apis/batch/v1" + (f"/namespaces/{namespace}" if namespace else "") + "/jobs" + (f"/{name}" if name else "")


def pods_path(namespace: str, name: str = "") -> str:
    """Path of a namespace's pods, of all, or of one."""
    return "/api/v1" + (f"/namespaces/{namespace}" if namespace else "") + "/pods" + (f"/{name}" if name else "")
