"""Application of decisions: order of the writes, and creation of children of any kind."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from fakes.api_server import FakeApiServer
from fakes.cluster import PATH, FakeCluster, fake_cluster, new_reconciler, reconcile_until_idle
from makers import KEY, UID, decided, job, observed
from tweetmodel_api.status import TweetModelStatus
from tweetmodel_operator import manifests, names
from tweetmodel_operator.api_server import ApiError
from tweetmodel_operator.apply import JobRejected, apply_decision
from tweetmodel_operator.children import ChildKind
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.manifests import Builder
from tweetmodel_operator.observed import Observed
from tweetmodel_operator.settings import Settings


@dataclass(frozen=True)
class ServiceRequest:
    """A request for another kind of child."""

    name: str


SERVICE = ChildKind("Service", "", "v1", "services", frozenset({"get", "list", "watch", "create"}), lambda raw: raw)
SERVICES = SERVICE.path(KEY.namespace)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Decision:
    """A decision that creates a Service."""

    def build(request: ServiceRequest, settings: Settings, _: str) -> dict[str, Any]:
        return {"metadata": {"name": request.name, "labels": {"by": settings.instance}}}

    monkeypatch.setitem(manifests.BUILDERS, ServiceRequest, Builder(SERVICE, build))
    return Decision(create=(ServiceRequest("ada"),))


async def test_a_new_kind_of_child_is_created_by_its_builder(service: Decision) -> None:
    server = FakeApiServer()
    await apply_decision(server, observed(), service, Settings(instance=UID), "")
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", SERVICES)
    assert request.body == {"metadata": {"name": "ada", "labels": {"by": UID}}}


async def test_an_existing_child_counts_as_created(service: Decision) -> None:
    server = FakeApiServer()
    server.add(SERVICES, {"metadata": {"name": "ada"}})
    await apply_decision(server, observed(), service, Settings(), "")
    assert server.writes == 0


@pytest.mark.parametrize(
    ("code", "message"), [(403, "exceeded quota"), (500, "failed calling webhook")], ids=["quota", "webhook"]
)
async def test_a_rejected_child_raises_before_the_status_is_written(service: Decision, code: int, message: str) -> None:
    server = FakeApiServer()
    server.reject(ApiError(code, "", message))
    decision = replace(service, status=observed().status)
    with pytest.raises(JobRejected, match=message):
        await apply_decision(server, observed(), decision, Settings(), "")
    assert [request.path for request in server.requests] == [SERVICES]


def stored(cluster: FakeCluster, **changes: Any) -> Observed:
    """Return the observation of the stored TweetModel."""
    metadata = cluster.tweetmodel["metadata"]
    return observed(generation=metadata["generation"], resource_version=metadata["resourceVersion"], **changes)


def new_status() -> TweetModelStatus:
    status = decided(observed()).status
    assert status
    return status


async def test_writes_are_made_in_their_order() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    old, (new,) = cluster.created_jobs[0], decided(observed(retry="now")).create
    decision = Decision(
        set_finalizer=True,
        delete=("missing",),
        suspend=((old, True),),
        create=(new,),
        status=new_status(),
        set_ttl=(old,),
        orphan_warning="The folder remains.",
    )
    cluster.requests.clear()
    await apply_decision(cluster, stored(cluster), decision, Settings(), "")
    writes = [(request.method, request.path.rsplit("/", 1)[-1]) for request in cluster.requests]
    assert writes == [
        ("PATCH", KEY.name),
        ("DELETE", "missing"),
        ("PATCH", old),
        ("POST", "jobs"),
        ("PATCH", "status"),
        ("PATCH", old),
        ("POST", "events"),
    ]
    assert cluster.requests[0].body["metadata"]["finalizers"] == [names.FINALIZER]


async def test_the_finalizer_is_removed_after_all_other_writes() -> None:
    cluster = fake_cluster(deletionPolicy="Delete")
    await reconcile_until_idle(cluster)
    old = cluster.created_jobs[0]
    cluster.requests.clear()
    await apply_decision(cluster, stored(cluster), Decision(delete=(old,), set_finalizer=False), Settings(), "")
    assert [request.method for request in cluster.requests] == ["DELETE", "PATCH"]
    assert not cluster.has_finalizer


async def test_finalizers_of_others_stay() -> None:
    cluster = fake_cluster(deletionPolicy="Delete")
    cluster.update(PATH, metadata={"finalizers": ["example.com/other"]})
    await reconcile_until_idle(cluster)
    assert cluster.tweetmodel["metadata"]["finalizers"] == ["example.com/other", names.FINALIZER]
    cluster.edit(deletionPolicy="Retain")
    await reconcile_until_idle(cluster)
    assert cluster.tweetmodel["metadata"]["finalizers"] == ["example.com/other"]


async def test_a_finalizer_of_a_restored_tweetmodel_is_removed() -> None:
    cluster = fake_cluster(deletionPolicy="Retain")
    cluster.update(PATH, metadata={"finalizers": [names.FINALIZER]})
    await reconcile_until_idle(cluster)
    assert "finalizers" not in cluster.tweetmodel["metadata"] or not cluster.tweetmodel["metadata"]["finalizers"]


async def test_a_changed_deletion_policy_causes_no_conflict() -> None:
    cluster = fake_cluster(deletionPolicy="Delete")
    await reconcile_until_idle(cluster)
    cluster.edit(deletionPolicy="Retain")
    await new_reconciler(cluster).reconcile(KEY)
    assert not cluster.has_finalizer


async def test_a_rejected_job_of_a_new_tweetmodel_causes_no_conflict() -> None:
    cluster = fake_cluster(deletionPolicy="Delete")
    cluster.reject(ApiError(403, "", "exceeded quota"), method="POST", plural="jobs")
    await new_reconciler(cluster).reconcile(KEY)
    assert cluster.has_finalizer
    assert cluster.conditions["Ready"] == ("Unknown", "PodRefused")


async def test_a_stale_status_is_not_written() -> None:
    cluster = fake_cluster()
    before = stored(cluster)
    cluster.edit(suspend=True)
    with pytest.raises(ApiError, match="resourceVersion") as conflict:
        await apply_decision(cluster, before, Decision(status=new_status()), Settings(), "")
    assert conflict.value.code == 409
    assert "status" not in cluster.tweetmodel


def nulls(value: Any, path: str = "") -> list[str]:
    """Return the paths of all fields that are null."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if value is None else []
    return found + [each for name, child in children for each in nulls(child, f"{path}.{name}")]


async def test_a_status_is_written_without_empty_fields() -> None:
    cluster = fake_cluster()
    await apply_decision(cluster, stored(cluster), Decision(status=new_status()), Settings(), "")
    (request, *_) = cluster.requests
    assert request.path == f"{PATH}/status"
    assert nulls(request.body) == []
    assert "model" not in request.body["status"]


async def test_an_unchanged_status_is_not_written() -> None:
    cluster, status = fake_cluster(), new_status()
    await apply_decision(cluster, stored(cluster, status=status), Decision(status=status), Settings(), "")
    assert cluster.requests == []


async def test_a_suspension_marks_the_job_and_a_resumption_removes_the_mark() -> None:
    cluster = fake_cluster()
    await reconcile_until_idle(cluster)
    name = cluster.created_jobs[0]
    for is_suspended in (True, False):
        decision = Decision(suspend=((name, is_suspended),))
        await apply_decision(cluster, stored(cluster), decision, Settings(), "")
        assert cluster.job()["spec"]["suspend"] is is_suspended
        assert (names.SUSPENDED_ANNOTATION in cluster.job()["metadata"]["annotations"]) is is_suspended


async def test_writes_to_a_deleted_job_are_ignored() -> None:
    cluster, name = fake_cluster(), job().obj().name
    decision = Decision(delete=(name,), suspend=((name, True),), set_ttl=(name,))
    await apply_decision(cluster, stored(cluster), decision, Settings(), "")
    assert cluster.writes == 0


async def test_an_event_that_can_not_be_written_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    cluster = fake_cluster(suspend=True)
    cluster.reject(ApiError(403, "Forbidden", "no events"), method="POST", plural="events")
    await reconcile_until_idle(cluster, new_reconciler(cluster))
    assert cluster.conditions["Ready"] == ("False", "Suspended")
    assert "can't write the event Suspended: no events" in caplog.text
