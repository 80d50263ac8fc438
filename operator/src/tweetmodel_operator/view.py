"""What the watches said last of TweetModels, Jobs and pods, so that a pass over them costs the API server nothing.

Our own writes are put in as they are answered, so it never lags behind those; behind others' it may.
`reconcile.py` says what may be done on its word. What is done with is let go of: of a TweetModel at rest only the
version is kept, and of a finished Job that has its TTL nothing, as if the TTL were over.
"""

from dataclasses import dataclass, field

from tweetmodel_api import KIND
from tweetmodel_operator import names
from tweetmodel_operator.api_server import JsonObject
from tweetmodel_operator.state import Key

RESTLESS = ("active", "ready", "terminating", "uncountedTerminatedPods")
"""Fields of a Job's status that change with each of its pods, and no decision looks at."""


@dataclass
class _Seen:
    """Raw objects by name, without what no decision looks at."""

    tweetmodel: JsonObject | None = None
    jobs: dict[str, JsonObject] = field(default_factory=dict)
    pods: dict[str, JsonObject] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, JsonObject]:
        return self.jobs if kind == "Job" else self.pods


@dataclass
class View:
    """TweetModels with their Jobs and pods, as far as they are not at rest."""

    _seen: dict[Key, _Seen] = field(default_factory=dict)
    _at_rest: dict[Key, int] = field(default_factory=dict)
    """The version of a TweetModel at which nothing was left to do."""
    _doubted: set[Key] = field(default_factory=set)

    def put(self, kind: str, raw: JsonObject) -> bool:
        """Takes an object as it is now; whether that is news for its TweetModel."""
        key = key_of(kind, raw)
        if key is None:
            return False
        if kind == KIND:
            return self._put_tweetmodel(key, raw)
        name = raw["metadata"]["name"]
        if kind == "Job" and _is_over(raw):
            seen = self._seen.get(key)
            return bool(seen and seen.jobs.pop(name, None))
        if key in self._at_rest:
            if kind == "Pod":
                return False
            self.doubt(key)  # a Job that is at work for a TweetModel at rest
        seen = self._seen.setdefault(key, _Seen())
        old, new = seen.of(kind).get(name), _essence(kind, raw)
        if old and _version(old) >= _version(new):
            return False
        seen.of(kind)[name] = new
        expected = seen.tweetmodel is not None or key in self._doubted  # else the TweetModel's own event is to come
        return expected and (not old or _said(old) != _said(new))

    def _put_tweetmodel(self, key: Key, raw: JsonObject) -> bool:
        seen = self._seen.get(key)
        version = _version(seen.tweetmodel) if seen and seen.tweetmodel else self._at_rest.get(key)
        if version is not None and version >= _version(raw):
            return False
        self._at_rest.pop(key, None)
        self._seen.setdefault(key, _Seen()).tweetmodel = _essence(KIND, raw)
        return True

    def drop(self, kind: str, raw: JsonObject) -> bool:
        """Takes an object that is gone; whether that is news for its TweetModel."""
        key = key_of(kind, raw)
        if key is None:
            return False
        if kind == KIND:
            self.forget(key)
            return True
        seen = self._seen.get(key)
        return bool(seen and seen.of(kind).pop(raw["metadata"]["name"], None))

    def answered(self, raw: JsonObject) -> None:
        """Takes what the API server answered to a write."""
        kind = raw.get("kind", "")
        if kind in (KIND, "Job"):
            self.put(kind, raw)

    def renew(self, key: Key, tweetmodel: JsonObject, jobs: JsonObject, pods: JsonObject) -> None:
        """Takes what was read afresh: what is not in it is gone, unless a watch has told of it since."""
        self._doubted.discard(key)
        self._at_rest.pop(key, None)
        self.put(KIND, tweetmodel)
        for kind, found in (("Job", jobs), ("Pod", pods)):
            present = {item["metadata"]["name"] for item in found["items"]}
            held = self._seen.setdefault(key, _Seen()).of(kind)
            for name in [n for n, raw in held.items() if n not in present and _version(raw) <= _version(found)]:
                del held[name]
            for item in found["items"]:
                self.put(kind, item)

    def read(self, key: Key) -> tuple[JsonObject, list[JsonObject], list[JsonObject]] | None:
        """A TweetModel with its Jobs and pods; None where it must be read afresh."""
        seen = self._seen.get(key)
        if key in self._doubted or seen is None or seen.tweetmodel is None:
            return None
        return seen.tweetmodel, list(seen.jobs.values()), list(seen.pods.values())

    def doubt(self, key: Key) -> None:
        """Has the key read afresh the next time."""
        self._doubted.add(key)

    def unlisted(self, namespace: str, listed: set[Key]) -> list[Key]:
        """TweetModels that it holds, of one namespace or of all, and a list of those that there are does not."""
        known = self._seen.keys() | self._at_rest.keys()
        return [key for key in known - listed if namespace in ("", key.namespace)]

    def rest(self, key: Key) -> None:
        """Lets go of a TweetModel that nothing is left to do for."""
        seen = self._seen.pop(key, None)
        if seen and seen.tweetmodel:
            self._at_rest[key] = _version(seen.tweetmodel)

    def forget(self, key: Key) -> None:
        """Takes a TweetModel for gone or unknown."""
        self._seen.pop(key, None)
        self._at_rest.pop(key, None)
        self._doubted.discard(key)


def key_of(kind: str, raw: JsonObject) -> Key | None:
    """The TweetModel that an object is, or is of."""
    metadata = raw["metadata"]
    name = metadata["name"] if kind == KIND else metadata.get("labels", {}).get(names.NAME)
    return Key(metadata["namespace"], name) if name else None


def _is_over(job: JsonObject) -> bool:
    """Whether the outcome of a Job is in its TweetModel's status: it has no TTL before."""
    ended = any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in _conditions(job))
    return ended and "ttlSecondsAfterFinished" in job["spec"]


def _conditions(raw: JsonObject) -> list[JsonObject]:
    found: list[JsonObject] = raw.get("status", {}).get("conditions", [])
    return found


def _version(raw: JsonObject) -> int:
    return int(raw["metadata"].get("resourceVersion") or 0)


def _essence(kind: str, raw: JsonObject) -> JsonObject:
    """The object without what is bulky and what no decision looks at."""
    metadata = {name: value for name, value in raw["metadata"].items() if name != "managedFields"}
    if kind == KIND:
        return raw | {"metadata": metadata}
    spec = {} if kind == "Pod" else {name: value for name, value in raw["spec"].items() if name != "template"}
    metadata["annotations"] = {n: v for n, v in metadata.get("annotations", {}).items() if n != names.PLAN}
    status = {name: value for name, value in raw.get("status", {}).items() if name not in RESTLESS}
    return {"metadata": metadata, "spec": spec, "status": status}


def _said(raw: JsonObject) -> JsonObject:
    """What two versions of an object are compared by."""
    return raw | {"metadata": {name: value for name, value in raw["metadata"].items() if name != "resourceVersion"}}
