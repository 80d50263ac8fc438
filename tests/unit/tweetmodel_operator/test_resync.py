"""The resync: finds changes that no watch event reported."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from makers import KEY
from tweetmodel_operator import names
from tweetmodel_operator.cache import Cache
from tweetmodel_operator.observed import Key
from tweetmodel_operator.resync import Resync


def tweetmodel(version: int) -> dict[str, Any]:
    return {"metadata": {"name": KEY.name, "namespace": KEY.namespace, "resourceVersion": str(version)}}


def job(version: int, **status: Any) -> dict[str, Any]:
    metadata = {
        "name": "job",
        "namespace": KEY.namespace,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-23T12:00:00Z",
        "labels": names.job_labels(KEY.name, "train", "a" * 16, 1),
    }
    return {"metadata": metadata, "spec": {}, "status": status}


class Lists:
    """An API server with these lists."""

    def __init__(self, **items: list[dict[str, Any]]) -> None:
        self._items = items

    async def items(self, path: str, *_: str, **__: str) -> AsyncIterator[dict[str, Any]]:
        for item in self._items.get(path.rsplit("/", 1)[-1], []):
            yield item


async def woken_after_resync(*, idle: bool = False, **lists: list[dict[str, Any]]) -> tuple[set[Key], Cache]:
    """The keys that a resync wakes, if the cache has a TweetModel with a Job and the API server has these lists."""
    cache, woken = Cache(), set[Key]()
    cache.update("TweetModel", tweetmodel(1))
    cache.update("Job", job(2))
    if idle:
        cache.evict(KEY)
    await Resync(Lists(**lists), cache, [""], 60, woken.add).resync("")
    return woken, cache


async def test_without_changes_nothing_is_woken() -> None:
    woken, _ = await woken_after_resync(tweetmodels=[tweetmodel(1)], jobs=[job(2)])
    assert not woken


async def test_a_missed_change_is_found() -> None:
    woken, _ = await woken_after_resync(tweetmodels=[tweetmodel(3)], jobs=[job(2)])
    assert woken == {KEY}
    woken, _ = await woken_after_resync(idle=True, tweetmodels=[tweetmodel(3)])
    assert woken == {KEY}


async def test_a_missed_end_of_a_job_is_found() -> None:
    ended = job(3, conditions=[{"type": "Complete", "status": "True"}])
    woken, _ = await woken_after_resync(tweetmodels=[tweetmodel(1)], jobs=[ended])
    assert woken == {KEY}


@pytest.mark.parametrize("lists", [{"jobs": [job(2)]}, {"tweetmodels": [tweetmodel(1)]}], ids=["tweetmodel", "job"])
async def test_a_missed_deletion_causes_a_live_read(lists: dict[str, Any]) -> None:
    woken, cache = await woken_after_resync(**lists)
    assert woken == {KEY}
    assert cache.get(KEY) is None


def test_repeated_events_wake_nothing() -> None:
    woken: list[Key] = []
    resync = Resync(Lists(), Cache(), [""], 60, woken.append)
    for event in (tweetmodel(1), tweetmodel(1)):
        resync.observe("TweetModel", event, "MODIFIED")
    resync.observe("Pod", {"metadata": {"name": "pod", "namespace": KEY.namespace, "labels": {}}}, "DELETED")
    assert woken == [KEY]
