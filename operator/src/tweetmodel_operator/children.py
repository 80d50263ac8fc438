"""The kinds of objects that the operator creates or watches for a TweetModel.

The table alone determines the watches, the periodic lists, the cache and the metrics; a test compares the chart's RBAC
rules with the table. Another kind needs an entry with a parser, and a type of requests with a builder in `manifests`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tweetmodel_operator.observed import ObservedJob, ObservedPod
from tweetmodel_operator.parse import JsonObject, parse_job, parse_pod

ObservedChild = ObservedJob | ObservedPod


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
    parse: Callable[[JsonObject], ObservedChild | None]
    """Parser of raw objects; None for an object that the operator did not create."""
    is_unfinished_work: bool = False
    """True if an object of the kind that the cache can't drop means that the TweetModel is not idle."""

    def parse_all(self, items: Iterable[JsonObject]) -> list[ObservedChild]:
        """Return the children among raw objects."""
        return [child for item in items if (child := self.parse(item))]

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of an object, of the objects of a namespace, or of all objects."""
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{base}{scope}/{self.plural}" + (f"/{name}" if name else "")


_READ = frozenset({"get", "list", "watch"})

JOB = ChildKind("Job", "batch", "v1", "jobs", _READ | {"create", "patch", "delete"}, parse_job, is_unfinished_work=True)
POD = ChildKind("Pod", "", "v1", "pods", _READ, parse_pod)

CHILD_KINDS = (JOB, POD)
"""In the order of live reads: pods are read after the Jobs, so the pods of a complete Job contain its report."""
BY_KIND = {child.kind: child for child in CHILD_KINDS}


def is_evictable(child: ObservedChild) -> bool:
    """Return whether the cache can drop a child: a finished Job with a TTL.

    The operator sets the TTL after the outcome is in the status, except for purge Jobs, which are always read live.
    """
    return isinstance(child, ObservedJob) and child.is_finished and child.has_ttl
