"""The kinds of objects created or followed by the operator for a TweetModel.

The table alone determines the watches, the periodic lists, the cache and the metrics; a test compares the chart's RBAC
rules with the table. Another kind is another entry, and a builder in `manifests`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tweetmodel_operator.observed import ObservedJob, ObservedPod
from tweetmodel_operator.parse import JsonObject, parse_job, parse_pod

Child = ObservedJob | ObservedPod


@dataclass(frozen=True)
class ChildKind:
    """A kind of child object."""

    kind: str
    group: str
    """API group; empty for the core group."""
    version: str
    plural: str
    verbs: frozenset[str]
    """Verbs of the operator's permissions."""
    parse: Callable[[JsonObject], Child | None]
    """Parser of raw objects; None for an object that the operator did not create."""

    def parse_all(self, items: Iterable[JsonObject]) -> list[Child]:
        """Return the children among raw objects."""
        return [child for item in items if (child := self.parse(item))]

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of an object, of the objects of a namespace, or of all objects."""
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{base}{scope}/{self.plural}" + (f"/{name}" if name else "")


_READ = frozenset({"get", "list", "watch"})

JOB = ChildKind("Job", "batch", "v1", "jobs", _READ | {"create", "patch", "delete"}, parse_job)
POD = ChildKind("Pod", "", "v1", "pods", _READ, parse_pod)

CHILD_KINDS = (JOB, POD)
BY_KIND = {child.kind: child for child in CHILD_KINDS}


def is_evictable(child: Child) -> bool:
    """Return whether the cache can drop a child: a finished Job with a TTL, with the outcome in the status."""
    return isinstance(child, ObservedJob) and child.is_finished and child.has_ttl
