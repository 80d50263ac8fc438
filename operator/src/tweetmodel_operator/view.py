"""What the watches said last of TweetModels, Jobs and pods, so that a pass over them costs the API server nothing.

Our own writes are put in as they are answered, so it never lags behind those; behind others' it may.
`reconcile.py` says what may be done on its word. What is done with is let go of: of a TweetModel at rest, and of a
finished Job that has its TTL, only the version is kept.
"""

import json
from dataclasses import dataclass, field
from typing import NamedTuple

from tweetmodel_api import KIND
from tweetmodel_operator import names
from tweetmodel_operator.api_server import JsonObject
from tweetmodel_operator.observe import is_idle, is_of_status
from tweetmodel_operator.state import Key

RESTLESS = ("ready", "uncountedTerminatedPods")
"""Fields of a Job's status that change with its pods, and no decision looks at."""


class _Record(NamedTuple):
    """An object without what no decision looks at; as text, which is a fifth of what it takes as dicts."""

    version: int
    text: str

    def raw(self) -> JsonObject:
        raw: JsonObject = json.loads(self.text)
        raw["metadata"]["resourceVersion"] = str(self.version or "")
        return raw


@dataclass
class _Seen:
    tweetmodel: _Record | None = None
    jobs: dict[str, _Record] = field(default_factory=dict)
    pods: dict[str, _Record] = field(default_factory=dict)
    over: dict[str, int] = field(default_factory=dict)
    """Finished Jobs that have their TTL, in the version that has it: a list may be older, and show them without."""

    def of(self, kind: str) -> dict[str, _Record]:
        return self.jobs if kind == "Job" else self.pods


@dataclass
class View:
    """TweetModels with their Jobs and pods, as far as they are not at rest."""

    _seen: dict[Key, _Seen] = field(default_factory=dict)
    _at_rest: dict[Key, int] = field(default_factory=dict)
    """The version of a TweetModel at which nothing was left to do."""
    _doubted: set[Key] = field(default_factory=set)
    _hearsay: set[Key] = field(default_factory=set)
    """TweetModels that a list alone has told of, which may be of the past."""

    def put(self, kind: str, raw: JsonObject, listed: bool = False) -> bool:
        """Takes an object as it is now, or as a list says; whether that is news for its TweetModel."""
        key = key_of(kind, raw)
        if key is None:
            return False
        if kind == KIND:
            return self._put_tweetmodel(key, raw, listed)
        name = raw["metadata"]["name"]
        if kind == "Job" and _is_over(raw):
            return self._let_go(key, name, _version(raw))
        if key in self._at_rest:
            if kind == "Pod":
                return False
            self.doubt(key)  # a Job that is at work for a TweetModel at rest
        seen = self._seen.setdefault(key, _Seen())
        old, new = seen.of(kind).get(name), _record(kind, raw)
        if new.version <= (old.version if old else seen.over.get(name, -1)):
            return False
        seen.of(kind)[name] = new
        expected = seen.tweetmodel is not None or key in self._doubted  # else the TweetModel's own event is to come
        return expected and (not old or old.text != new.text)

    def _let_go(self, key: Key, job: str, version: int) -> bool:
        seen = self._seen.get(key)
        if seen is None:
            return False
        seen.over[job] = version
        return bool(seen.jobs.pop(job, None))

    def _put_tweetmodel(self, key: Key, raw: JsonObject, listed: bool) -> bool:
        if self.knows(key, raw):
            return False
        if listed:
            self._hearsay.add(key)
        else:
            self._hearsay.discard(key)
        self._at_rest.pop(key, None)
        self._seen.setdefault(key, _Seen()).tweetmodel = _record(KIND, raw)
        return True

    def knows(self, key: Key, tweetmodel: JsonObject) -> bool:
        """Whether it has seen a TweetModel in this version, of which the metadata is enough."""
        seen = self._seen.get(key)
        version = seen.tweetmodel.version if seen and seen.tweetmodel else self._at_rest.get(key)
        return version is not None and version >= _version(tweetmodel)

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
        self._hearsay.discard(key)
        self._at_rest.pop(key, None)
        self.put(KIND, tweetmodel)
        for kind, found in (("Job", jobs), ("Pod", pods)):
            present = {item["metadata"]["name"] for item in found["items"]}
            held = self._seen.setdefault(key, _Seen()).of(kind)
            for name in [n for n, record in held.items() if n not in present and record.version <= _version(found)]:
                del held[name]
            for item in found["items"]:
                self.put(kind, item)

    def read(self, key: Key) -> tuple[JsonObject, list[JsonObject], list[JsonObject]] | None:
        """A TweetModel with its Jobs and pods; None where it must be read afresh."""
        seen = self._seen.get(key)
        if key in self._doubted or seen is None or seen.tweetmodel is None:
            return None
        jobs, pods = ([record.raw() for record in held.values()] for held in (seen.jobs, seen.pods))
        return seen.tweetmodel.raw(), jobs, pods

    def is_hearsay(self, key: Key) -> bool:
        """Whether a list alone has told of a TweetModel as it is here."""
        return key in self._hearsay

    def doubt(self, key: Key) -> None:
        """Has the key read afresh the next time."""
        self._doubted.add(key)

    @property
    def unsettled(self) -> bool:
        """Whether there is any TweetModel that is not at rest."""
        return bool(self._seen)

    def held(self, kind: str, namespace: str) -> set[tuple[Key, str]]:
        """Names of the objects of a kind that it takes for present, in one namespace or (empty) in all."""
        if kind == KIND:
            every = ((key, key.name) for key in self._seen.keys() | self._at_rest.keys())
        else:
            every = ((key, name) for key, seen in self._seen.items() for name in seen.of(kind))
        return {(key, name) for key, name in every if namespace in ("", key.namespace)}

    def rest(self, key: Key) -> None:
        """Lets go of a TweetModel that nothing is left to do for."""
        seen = self._seen.pop(key, None)
        self._hearsay.discard(key)
        if seen and seen.tweetmodel:
            self._at_rest[key] = seen.tweetmodel.version

    def forget(self, key: Key) -> None:
        """Takes a TweetModel for gone or unknown."""
        self._seen.pop(key, None)
        self._at_rest.pop(key, None)
        self._doubted.discard(key)
        self._hearsay.discard(key)


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


def _record(kind: str, raw: JsonObject) -> _Record:
    metadata = {n: value for n, value in raw["metadata"].items() if n not in ("managedFields", "resourceVersion")}
    essence = {"metadata": metadata, "spec": raw.get("spec", {}), "status": raw.get("status", {})}
    if kind != KIND:
        metadata["annotations"] = {n: v for n, v in metadata.get("annotations", {}).items() if n != names.PLAN}
        spec = _of_pod(raw) if kind == "Pod" else _of_job(raw["spec"])
        status = {n: value for n, value in essence["status"].items() if n not in RESTLESS}
        if kind == "Job" and is_idle(raw):  # how long it has been, may matter
            written = filter(is_of_status, raw["metadata"].get("managedFields", []))
            metadata["managedFields"] = [{n: entry[n] for n in ("subresource", "time")} for entry in written]
        essence |= {"spec": spec, "status": status}
    return _Record(_version(raw), json.dumps(essence, separators=(",", ":")))


def _of_job(spec: JsonObject) -> JsonObject:
    """A Job's spec, and of its pods only what they may use."""
    return spec | ({"template": {"spec": _of_pod(spec["template"])}} if "template" in spec else {})


def _of_pod(raw: JsonObject) -> JsonObject:
    """Of a pod's spec only its node and what our container may use."""
    spec = raw.get("spec", {})
    containers = [
        {n: c.get(n, {}) for n in ("name", "resources")}
        for c in spec.get("containers", [])
        if c["name"] == names.CONTAINER
    ]
    return {"nodeName": spec.get("nodeName", ""), "containers": containers}
