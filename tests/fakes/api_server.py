"""The API server in memory: objects by path, with the rules of Kubernetes.

Only the transport of the API client is replaced, so paging, server-side apply and the cache of own writes are real.
The fake enforces resource versions and UIDs, counts requests, injects errors, and can end the operator before or after
a write.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from makers import NOW
from tweetmodel_api import DEFAULTS_KIND, DEFAULTS_PLURAL, KIND, PLURAL
from tweetmodel_operator.api_server import APPLY, JSON, ApiError, ApiServer
from tweetmodel_operator.parse import JsonObject

KINDS = {PLURAL: KIND, DEFAULTS_PLURAL: DEFAULTS_KIND, "jobs": "Job", "pods": "Pod", "events": "Event"}
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
FOREGROUND = "foregroundDeletion"

_PATH = re.compile(
    r"(?P<group>/api/v1|/apis/[^/]+/[^/]+)(/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)"
    r"(/(?P<name>[^/]+))?(/(?P<subresource>status))?"
)


class OperatorCrash(BaseException):
    """The process of the operator ends; no handler of errors runs."""


class Request(NamedTuple):
    """A received request."""

    method: str
    path: str
    manager: str
    """Field manager of a change; empty for other requests."""
    body: JsonObject

    @property
    def is_read(self) -> bool:
        return self.method == "GET"

    @property
    def plural(self) -> str:
        return _parse_path(self.path)["plural"]


class Location(NamedTuple):
    """Place of an object in the store."""

    group: str
    plural: str
    namespace: str
    name: str


Watcher = Callable[[str, JsonObject, str], None]
"""Called with kind, object and type of each event, as `Resync.update_cache` is by a watch."""


@dataclass
class FakeApiServer(ApiServer):
    """An API server with objects in memory."""

    objects: dict[Location, JsonObject] = field(default_factory=dict)
    version: int = 0
    """Resource version of the last write."""
    requests: list[Request] = field(default_factory=list)
    """Requests of the operator, including rejected ones."""
    writes: int = 0
    """Number of objects created, changed or deleted by the operator."""
    crash_at: int | None = None
    """Number of the write at the crash of the operator."""
    crash_after: bool = False
    """True if the write precedes the crash."""
    now: str = NOW
    """Time of new objects and deletions."""
    created: list[Location] = field(default_factory=list)
    """Objects created by the operator."""
    tokens: dict[str, JsonObject] = field(default_factory=dict)
    """Status of the TokenReview of each valid token."""
    watchers: list[Watcher] = field(default_factory=list)
    on_write: Callable[[JsonObject], None] = lambda _: None
    _rejections: list[tuple[Callable[[Request], bool], ApiError]] = field(default_factory=list)

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    # Access without a request

    def add(self, path: str, raw: JsonObject) -> JsonObject:
        """Store an object as if another client had created the object; return the stored object."""
        location = _location(path, raw)
        generated = {"namespace": location.namespace, "uid": f"uid-of-{location.name}", "creationTimestamp": self.now}
        metadata = generated | raw["metadata"]
        stored = raw | {"kind": KINDS.get(location.plural, raw.get("kind", "")), "metadata": metadata}
        return self._store(location, copy.deepcopy(stored))

    def find(self, path: str) -> JsonObject | None:
        """Return the stored object at a path, or None."""
        return self.objects.get(_location(path))

    def collection(self, path: str) -> list[JsonObject]:
        """Return the stored objects of a collection, oldest first."""
        parts = _parse_path(path)
        wanted = (parts["group"], parts["plural"])
        return [
            found
            for at, found in self.objects.items()
            if (at.group, at.plural) == wanted and parts["namespace"] in (None, at.namespace)
        ]

    def update(self, path: str, **parts: JsonObject) -> JsonObject:
        """Merge changes into metadata, spec or status as another client; return the new object."""
        location = _location(path)
        changed = copy.deepcopy(self.objects[location])
        _merge(changed, copy.deepcopy(parts))
        return self._store(location, changed)

    def replace(self, path: str, **parts: JsonObject) -> JsonObject:
        """Replace spec or status as another client; return the new object."""
        location = _location(path)
        return self._store(location, copy.deepcopy(self.objects[location] | parts))

    def remove(self, path: str) -> None:
        """Remove an object and all owned objects, without regard to finalizers."""
        self._remove(_location(path))

    def reject(self, error: ApiError, *, method: str = "", plural: str = "", manager: str = "") -> None:
        """Reject all matching requests, until `accept_all`."""

        def matches(request: Request) -> bool:
            return (
                request.method.startswith(method)
                and (not plural or request.plural == plural)
                and request.manager.startswith(manager)
            )

        self._rejections.append((matches, error))

    def accept_all(self) -> None:
        """Reject no more requests."""
        self._rejections.clear()

    @property
    def reads(self) -> int:
        """Number of reads by the operator."""
        return sum(request.is_read for request in self.requests)

    # Requests

    async def _request(
        self,
        method: str,
        path: str,
        body: JsonObject | bytes | None = None,
        content_type: str = JSON,
        query: dict[str, str] | None = None,
        accept: str = JSON,
    ) -> JsonObject:
        query = query or {}
        sent: JsonObject = json.loads(body) if isinstance(body, bytes) else copy.deepcopy(body or {})
        request = Request(method, path, query.get("fieldManager", ""), sent)
        self.requests.append(request)
        for matches, error in self._rejections:
            if matches(request):
                raise error
        if method == "GET":
            return self._get(path, query)
        if path == TOKEN_REVIEWS:
            return {"status": self.tokens.get(sent["spec"]["token"], {"authenticated": False})}
        return self._write(request, content_type)

    def _get(self, path: str, query: dict[str, str]) -> JsonObject:
        if _parse_path(path)["name"]:
            return copy.deepcopy(self._existing(_location(path)))
        items = [
            {part: value for part, value in found.items() if part != "kind"}  # items of a list have no kind
            for found in self.collection(path)
            if _is_selected(found, query)
        ]
        return {"metadata": {"resourceVersion": str(self.version)}, "items": copy.deepcopy(items)}

    def _write(self, request: Request, content_type: str) -> JsonObject:
        is_last = self.writes + 1 == self.crash_at
        if is_last and not self.crash_after:
            self.crash_at = None
            raise OperatorCrash
        if request.method == "POST":
            written = self._create(request)
        elif request.method == "DELETE":
            written = self._delete(_location(request.path))
        else:
            written = self._patch(request, content_type)
        self.writes += 1
        if is_last:
            self.crash_at = None
            raise OperatorCrash
        answer = copy.deepcopy(written)
        self.on_write(answer)
        return answer

    def _create(self, request: Request) -> JsonObject:
        location = _location(request.path, request.body)
        if location in self.objects:
            raise ApiError(409, "AlreadyExists", f"{location.plural} {location.name} already exists")
        self.created.append(location)
        return self.add(request.path, request.body)

    def _patch(self, request: Request, content_type: str) -> JsonObject:
        location, body = _location(request.path), request.body
        old = self._existing(location)
        for precondition in ("uid", "resourceVersion"):
            wanted = body.get("metadata", {}).get(precondition)
            if wanted and wanted != old["metadata"].get(precondition):
                raise ApiError(409, "Conflict", f"{location.name} has another {precondition}")
        new = copy.deepcopy(old)
        if content_type == APPLY:
            self._apply(new, request)
        else:
            _merge(new, body)
        return self._store(location, new)

    def _apply(self, new: JsonObject, request: Request) -> None:
        """Apply a complete status; ownership of single fields is not simulated."""
        assert request.path.endswith("/status"), f"server-side apply of {request.path} is not simulated"
        new["status"] = request.body["status"]

    def _delete(self, location: Location) -> JsonObject:
        """Delete an object in the foreground: a Job remains until its pods have terminated."""
        old = self._existing(location)
        if old["metadata"].get("deletionTimestamp"):
            return old
        new = copy.deepcopy(old)
        if any(_is_active_pod(self.objects[at]) for at in self._dependents(old)):
            new["metadata"].setdefault("finalizers", []).append(FOREGROUND)
        if not new["metadata"].get("finalizers"):
            self._remove(location)
            return old
        new["metadata"]["deletionTimestamp"] = self.now
        return self._store(location, new)

    # The store

    def _existing(self, location: Location) -> JsonObject:
        if location not in self.objects:
            raise ApiError(404, "NotFound", f"{location.plural} {location.name} not found")
        return self.objects[location]

    def _store(self, location: Location, new: JsonObject) -> JsonObject:
        old = self.objects.get(location)
        if new == old:
            return old
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        if old and _changes_generation(old, new):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        self.objects[location] = new
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self._remove(location)
        else:
            self._notify(new, "MODIFIED" if old else "ADDED")
        return new

    def _remove(self, location: Location) -> None:
        removed = self.objects.pop(location)
        self.version += 1
        self._notify(removed, "DELETED")
        for dependent in list(self._dependents(removed)):
            self._remove(dependent)

    def _dependents(self, owner: JsonObject) -> Iterator[Location]:
        uid = owner["metadata"].get("uid")
        for location, found in self.objects.items():
            if uid and uid in [reference["uid"] for reference in found["metadata"].get("ownerReferences", [])]:
                yield location

    def _notify(self, raw: JsonObject, event_type: str) -> None:
        for watcher in self.watchers:
            watcher(raw["kind"], copy.deepcopy(raw), event_type)


def _parse_path(path: str) -> dict[str, Any]:
    match = _PATH.fullmatch(path)
    assert match, path
    return match.groupdict()


def _location(path: str, raw: JsonObject | None = None) -> Location:
    """Return the place of the object at a path, or of an object in the collection at the path."""
    parts = _parse_path(path)
    name = parts["name"] or (raw or {})["metadata"]["name"]
    return Location(parts["group"], parts["plural"], parts["namespace"] or "", name)


def _changes_generation(old: JsonObject, new: JsonObject) -> bool:
    is_deleted = new["metadata"].get("deletionTimestamp") != old["metadata"].get("deletionTimestamp")
    return is_deleted or new.get("spec") != old.get("spec")


def _is_active_pod(raw: JsonObject) -> bool:
    return raw["kind"] == "Pod" and raw["status"]["phase"] in ("Pending", "Running")


def _is_selected(raw: JsonObject, query: dict[str, str]) -> bool:
    """Return whether an object matches labelSelector and fieldSelector, lists of `name=value`."""
    labels = raw["metadata"].get("labels", {})
    return all(labels.get(name) == value for name, value in _terms(query.get("labelSelector", ""))) and all(
        _field(raw, name) == value for name, value in _terms(query.get("fieldSelector", ""))
    )


def _terms(selector: str) -> Iterator[tuple[str, str]]:
    for term in filter(None, selector.split(",")):
        name, _, value = term.partition("=")
        yield name, value


def _field(raw: Any, path: str) -> object:
    for name in path.split("."):
        raw = raw.get(name, {})
    return raw


def _merge(target: JsonObject, patch: JsonObject) -> None:
    """Apply a JSON merge patch (RFC 7396)."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            child = target.setdefault(name, {})
            _merge(child, value)
        else:
            target[name] = value
