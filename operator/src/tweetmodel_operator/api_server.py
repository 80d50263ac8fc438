"""Client of the Kubernetes API for JSON objects. It counts every request and raises every error as an ApiError.

The asynchronous official client provides authentication and TLS. Its typed models are not used, because the operator
reads a dozen fields of three kinds and keeps thousands of objects in memory.
"""

import json
import re
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from tweetmodel_api import API_VERSION, DEFAULTS_PLURAL, PLURAL
from tweetmodel_operator import metrics, names
from tweetmodel_operator.parse import JsonObject

JSON = "application/json"
METADATA_ONLY = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Accept header for lists of metadata only."""
APPLY = "application/apply-patch+yaml; charset=utf-8"
MERGE = "application/merge-patch+json"
TIMEOUT_SECONDS = 30
PAGE_SIZE = 500
"""Items in a page of a list."""


class ApiError(Exception):
    """The API server rejected a request (HTTP status `code`), or is unreachable (`code` 0)."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class ApiServer:
    """A connection to the API server of the kubeconfig or of the pod's ServiceAccount."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.on_write: Callable[[JsonObject], None] = lambda _: None
        """Called with the response to each write."""

    @classmethod
    async def connect(cls) -> "ApiServer":
        """Connect with the pod's ServiceAccount, else with KUBECONFIG or ~/.kube/config.

        Raises:
            kubernetes.aio.config.ConfigException: there is neither a ServiceAccount nor a kubeconfig.
        """
        configuration = Configuration()
        # Otherwise aiohttp looks up a proxy and a .netrc in a thread for each request: a fifth of the operator's time.
        # kopf's watches ignore the environment too. The proxy-url of a kubeconfig is still used.
        configuration.client_session_kwargs = {"trust_env": False}
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)
        return cls(ApiClient(configuration))

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def get(self, path: str, accept: str = JSON, **query: str) -> JsonObject:
        """Return an object or a list."""
        return await self._request("GET", path, query=query, accept=accept)

    async def items(self, path: str, accept: str = JSON, **query: str) -> AsyncIterator[JsonObject]:
        """Yield the objects of a collection, page by page."""
        token = ""
        while True:
            more = {"continue": token} if token else {}
            page = await self.get(path, accept, limit=str(PAGE_SIZE), **query, **more)
            for item in page["items"]:
                yield item
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        """Create an object in the collection `path`."""
        return await self._request("POST", path, body)

    async def apply(self, path: str, body: JsonObject, manager: str) -> JsonObject:
        """Apply an object (server-side apply): afterwards `manager` owns exactly the fields of `body`."""
        return await self._request("PATCH", path, as_yaml(body), APPLY, {"fieldManager": manager, "force": "true"})

    async def merge(self, path: str, body: JsonObject, manager: str = names.FIELD_MANAGER) -> JsonObject:
        """Apply a JSON merge patch; `manager` is the field manager of the changed fields."""
        return await self._request("PATCH", path, body, MERGE, {"fieldManager": manager})

    async def delete(self, path: str) -> JsonObject:
        """Delete an object in the foreground: the object remains until its dependents are deleted."""
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
                data = _parse_object(await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            metrics.API_REQUESTS.labels(method, "none").inc()
            raise ApiError(0, "Unreachable", f"{method} {path}: no usable response ({error!r})") from error
        metrics.API_REQUESTS.labels(method, str(response.status)).inc()
        if response.status >= 400:
            raise _rejection(response.status, data or {}, f"{method} {path}")
        if data is None:
            raise ApiError(0, "Unreachable", f"{method} {path}: no usable response (not a JSON object)")
        if method != "GET":
            self.on_write(data)
        return data


def _rejection(code: int, status: JsonObject, request: str) -> ApiError:
    message = status.get("message") or f"{request} was rejected with code {code}"
    return ApiError(code, status.get("reason", ""), message)


def _parse_object(body: bytes) -> JsonObject | None:
    """Return a JSON object, or None: the API server rejects an unknown kind with 404 in plain text."""
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def as_yaml(body: JsonObject) -> bytes:
    """Return the body as JSON that is also valid YAML with the same value, as server-side apply requires.

    Almost all JSON is YAML, but YAML does not combine two escapes into one character above U+FFFF, such as an emoji,
    and requires escapes for further line breaks and control characters (yaml.org/spec/1.2.2, sections 5.1 and 5.7).
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", _LONE_SURROGATE.sub("\ufffd", text)).encode()


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def tweetmodels_path(namespace: str = "") -> str:
    """Return the path of the TweetModels of a namespace, or of all namespaces."""
    return f"/apis/{API_VERSION}" + (f"/namespaces/{namespace}" if namespace else "") + f"/{PLURAL}"


def tweetmodel_path(namespace: str, name: str) -> str:
    """Return the path of a TweetModel."""
    return f"{tweetmodels_path(namespace)}/{name}"


def defaults_path(namespace: str, name: str) -> str:
    """Return the path of a TweetModelDefaults."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{DEFAULTS_PLURAL}/{name}"
