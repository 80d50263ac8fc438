"""The rules of the API server that the fake keeps."""

from typing import Any

import pytest

from fakes import objects
from fakes.api_server import FakeApiServer, OperatorCrash
from makers import KEY, NOW
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, tweetmodel_path, tweetmodels_path
from tweetmodel_operator.children import JOB, POD

PATH = tweetmodel_path(KEY.namespace, KEY.name)
JOBS = JOB.path(KEY.namespace)


@pytest.fixture
def server() -> FakeApiServer:
    """An API server with a TweetModel."""
    server = FakeApiServer()
    server.add(tweetmodels_path(KEY.namespace), objects.tweetmodel())
    return server


def status_body(server: FakeApiServer, **status: Any) -> dict[str, Any]:
    metadata = (server.find(PATH) or {})["metadata"]
    return {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": status}


async def test_a_write_changes_the_resource_version_and_nothing_else_does(server: FakeApiServer) -> None:
    first = await server.apply(f"{PATH}/status", status_body(server, observedGeneration=1), names.FIELD_MANAGER)
    same = await server.apply(f"{PATH}/status", status_body(server, observedGeneration=1), names.FIELD_MANAGER)
    assert first["metadata"]["resourceVersion"] == same["metadata"]["resourceVersion"] == "2"


@pytest.mark.parametrize("precondition", [{"resourceVersion": "0"}, {"uid": "another"}], ids=["version", "uid"])
async def test_a_write_with_another_version_or_uid_is_a_conflict(server: FakeApiServer, precondition: Any) -> None:
    with pytest.raises(ApiError) as conflict:
        await server.apply(f"{PATH}/status", {"metadata": precondition, "status": {}}, names.FIELD_MANAGER)
    assert conflict.value.code == 409


async def test_a_change_of_the_spec_increases_the_generation(server: FakeApiServer) -> None:
    server.update(PATH, metadata={"labels": {"a": "b"}}, status={"observedGeneration": 1})
    assert server.find(PATH)["metadata"]["generation"] == 1
    server.update(PATH, spec={"gpus": 2})
    assert server.find(PATH)["metadata"]["generation"] == 2


async def test_a_missing_object_is_not_found_and_an_existing_one_is_not_created(server: FakeApiServer) -> None:
    with pytest.raises(ApiError) as missing:
        await server.get(tweetmodel_path(KEY.namespace, "bob"))
    with pytest.raises(ApiError) as existing:
        await server.create(tweetmodels_path(KEY.namespace), objects.tweetmodel())
    assert (missing.value.code, existing.value.code) == (404, 409)


async def test_lists_follow_namespace_and_selectors(server: FakeApiServer) -> None:
    server.add(JOBS, objects.job("one", "collect"))
    server.add(JOBS, objects.job("two", "train"))
    server.add(JOB.path("other"), {"metadata": {"name": "three"}})
    of_step = await server.get(JOBS, labelSelector=f"{names.SELECTOR},{names.STEP_LABEL}=train")
    of_field = await server.get(JOBS, fieldSelector="metadata.name=one")
    everywhere = [item async for item in server.items(JOB.path())]
    assert [item["metadata"]["name"] for item in (*of_step["items"], *of_field["items"])] == ["two", "one"]
    assert [item["metadata"]["name"] for item in everywhere] == ["one", "two", "three"]


async def test_a_deleted_job_remains_until_its_pods_have_terminated(server: FakeApiServer) -> None:
    job = server.add(JOBS, objects.job("one"))
    pod = server.add(POD.path(KEY.namespace), objects.pod(job))
    await server.delete(f"{JOBS}/one")
    assert server.find(f"{JOBS}/one")["metadata"]["deletionTimestamp"] == NOW
    server.remove(POD.path(KEY.namespace, pod["metadata"]["name"]))
    server.update(f"{JOBS}/one", metadata={"finalizers": []})
    assert server.find(f"{JOBS}/one") is None


async def test_a_finished_job_is_deleted_at_once_with_its_pods(server: FakeApiServer) -> None:
    job = server.add(JOBS, objects.job("one"))
    server.add(POD.path(KEY.namespace), objects.pod(job) | {"status": objects.terminated()})
    await server.delete(f"{JOBS}/one")
    assert server.collection(JOBS) == server.collection(POD.path(KEY.namespace)) == []


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
async def test_a_crash_happens_once_before_or_after_a_write(server: FakeApiServer, is_after: bool) -> None:
    server.crash_at, server.crash_after = 1, is_after
    with pytest.raises(OperatorCrash):
        await server.create(JOBS, {"metadata": {"name": "one"}})
    assert (server.find(f"{JOBS}/one") is not None) is is_after
    await server.create(JOBS, {"metadata": {"name": "two"}})
    assert server.writes == 1 + is_after


async def test_watchers_receive_each_change(server: FakeApiServer) -> None:
    events: list[tuple[str, str]] = []
    server.watchers.append(lambda kind, raw, event_type: events.append((kind, event_type)))
    await server.create(JOBS, {"metadata": {"name": "one"}})
    await server.merge(f"{JOBS}/one", {"spec": {"suspend": True}})
    await server.delete(f"{JOBS}/one")
    assert events == [("Job", "ADDED"), ("Job", "MODIFIED"), ("Job", "DELETED")]
