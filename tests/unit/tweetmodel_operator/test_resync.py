"""The resync finds changes that no watch event reported."""

from typing import Any

import pytest

from fakes import objects
from fakes.api_server import FakeApiServer
from makers import KEY
from tweetmodel_operator.api_server import ApiError, tweetmodels_path
from tweetmodel_operator.cache import Cache
from tweetmodel_operator.children import JOB, POD
from tweetmodel_operator.observed import Key
from tweetmodel_operator.resync import Resync


def tweetmodel(version: int) -> dict[str, Any]:
    return objects.tweetmodel(resourceVersion=str(version))


def job(version: int, **status: Any) -> dict[str, Any]:
    return objects.job("ada-train-1", "train", version=version, **status)


def server_with(*raw_objects: dict[str, Any]) -> FakeApiServer:
    """Return an API server with these TweetModels and Jobs, at their versions."""
    server = FakeApiServer()
    for raw in raw_objects:
        path = JOB.path(KEY.namespace) if raw["kind"] == "Job" else tweetmodels_path(KEY.namespace)
        server.version = int(raw["metadata"]["resourceVersion"]) - 1
        server.add(path, raw)
    return server


async def woken_after_resync(*raw_objects: dict[str, Any], is_idle: bool = False) -> tuple[set[Key], Cache]:
    """Return the keys that a resync wakes, if the cache has a TweetModel with a Job and the server these objects."""
    cache, woken = Cache(), set[Key]()
    cache.update("TweetModel", tweetmodel(1))
    cache.update("Job", job(2))
    if is_idle:
        cache.evict(KEY)
    await Resync(server_with(*raw_objects), cache, [""], 60, woken.add).resync("")
    return woken, cache


async def test_without_changes_nothing_is_woken() -> None:
    woken, _ = await woken_after_resync(tweetmodel(1), job(2))
    assert not woken


@pytest.mark.parametrize("is_idle", [False, True], ids=["active", "idle"])
async def test_a_missed_change_is_found(is_idle: bool) -> None:
    present = [tweetmodel(3)] if is_idle else [tweetmodel(3), job(2)]
    woken, _ = await woken_after_resync(*present, is_idle=is_idle)
    assert woken == {KEY}


async def test_a_missed_end_of_a_job_is_found() -> None:
    woken, _ = await woken_after_resync(tweetmodel(1), job(3, **objects.job_complete()))
    assert woken == {KEY}


@pytest.mark.parametrize("present", [job(2), tweetmodel(1)], ids=["tweetmodel", "job"])
async def test_a_missed_deletion_causes_a_live_read(present: dict[str, Any]) -> None:
    woken, cache = await woken_after_resync(present)
    assert woken == {KEY}
    assert cache.get(KEY) is None


def test_repeated_events_wake_nothing() -> None:
    woken: list[Key] = []
    resync = Resync(FakeApiServer(), Cache(), [""], 60, woken.append)
    for event in (tweetmodel(1), tweetmodel(1)):
        resync.update_cache("TweetModel", event, "MODIFIED")
    foreign = {"metadata": {"name": "pod", "namespace": KEY.namespace, "labels": {}}}
    resync.update_cache("Pod", foreign, "DELETED")
    assert woken == [KEY]


def test_a_deletion_event_removes_the_job_from_the_cache() -> None:
    cache, woken = Cache(), set[Key]()
    resync = Resync(FakeApiServer(), cache, [""], 60, woken.add)
    resync.update_cache("TweetModel", tweetmodel(1), "ADDED")
    resync.update_cache("Job", job(2), "ADDED")
    woken.clear()
    resync.update_cache("Job", job(3), "DELETED")
    assert woken == {KEY}
    assert cache.cached_names("Job", "") == set()


@pytest.mark.parametrize("path", [tweetmodels_path("a"), JOB.path("a"), POD.path("a")])
async def test_a_kind_that_can_not_be_listed_is_named(path: str) -> None:
    server = FakeApiServer()
    resync = Resync(server, Cache(), ["a"], 60, lambda _: None)
    assert await resync._find_list_error() == ""
    server.reject(ApiError(403, "Forbidden", "no"), plural=path.rsplit("/", 1)[-1])
    assert await resync._find_list_error() == f"can't list {path} (no): check the RBAC rules of the chart"
