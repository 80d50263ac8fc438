"""The cache: which changes cause a reconcile, which objects are evicted, and when a live read is necessary."""

from datetime import datetime
from typing import Any

import pytest

from makers import KEY, time
from tweetmodel_operator import names
from tweetmodel_operator.cache import Cache, CachedTweetModel, LiveRead
from tweetmodel_operator.observed import Freshness, ObservedJob


def tweetmodel(version: int, **status: Any) -> dict[str, Any]:
    metadata = {"name": KEY.name, "namespace": KEY.namespace, "resourceVersion": str(version)}
    return {"kind": "TweetModel", "metadata": metadata, "spec": {}, "status": status}


def child(version: int, name: str = "ada-train-1", spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": KEY.namespace,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-23T12:00:00Z",
        "labels": names.job_labels(KEY.name, "train", "a" * 16, 1),
    }
    return {"kind": "Job", "metadata": metadata, "spec": spec or {}, "status": status}


COMPLETE = [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-23T12:10:00Z"}]
TTL = {"ttlSecondsAfterFinished": 60}


def live_read(version: int) -> LiveRead:
    """A live read of a TweetModel without children."""
    return LiveRead(
        CachedTweetModel.parse(tweetmodel(version)), {"Job": [], "Pod": []}, {"Job": version + 1, "Pod": version + 1}
    )


def jobs(cache: Cache) -> list[ObservedJob]:
    snapshot = cache.get(KEY)
    assert snapshot
    return snapshot.jobs


@pytest.fixture
def cache() -> Cache:
    """A cache with a TweetModel and its Job."""
    cache = Cache()
    cache.update("TweetModel", tweetmodel(1))
    cache.update("Job", child(2))
    return cache


def test_the_event_of_an_own_write_causes_no_reconcile(cache: Cache) -> None:
    cache.record_write(tweetmodel(3, observedGeneration=1))
    cache.record_write(child(4, "ada-train-2"))
    assert not cache.update("TweetModel", tweetmodel(3, observedGeneration=1))
    assert not cache.update("Job", child(4, "ada-train-2"))


def test_a_later_write_of_somebody_else_causes_a_reconcile(cache: Cache) -> None:
    cache.record_write(tweetmodel(3))
    assert cache.update("TweetModel", tweetmodel(4))


def test_a_late_event_does_not_overwrite_a_newer_version(cache: Cache) -> None:
    cache.record_write(tweetmodel(5, observedGeneration=2))
    assert not cache.update("TweetModel", tweetmodel(4, observedGeneration=1))
    snapshot = cache.get(KEY)
    assert snapshot
    assert snapshot.tweetmodel.status == '{"observedGeneration":2}'


def test_only_facts_that_decisions_depend_on_cause_a_reconcile(cache: Cache) -> None:
    assert not cache.update("Job", child(3, ready=1))
    assert not cache.update("Job", child(4, uncountedTerminatedPods={"failed": ["uid"]}))
    assert cache.update("Job", child(5, conditions=COMPLETE))


def test_the_time_without_pods_is_known_from_the_last_status_write(cache: Cache) -> None:
    def written(version: int, second: int, **status: Any) -> dict[str, Any]:
        job = child(version, startTime="2026-11-23T12:00:00Z", **status)
        fields = {"manager": "m", "subresource": "status", "time": f"2026-11-23T12:00:{second:02d}Z", "fieldsV1": {}}
        job["metadata"]["managedFields"] = [fields]
        return job

    def since() -> datetime | None:
        return jobs(cache)[0].no_pods_since

    assert cache.update("Job", written(3, 1, active=1))
    assert not cache.update("Job", written(4, 2, active=1, ready=1))
    assert since() is None
    assert cache.update("Job", written(5, 3))
    assert since() == time("2026-11-23T12:00:03Z")


def test_a_finished_job_with_a_ttl_is_evicted(cache: Cache) -> None:
    cache.update("Job", child(3, spec=TTL, conditions=COMPLETE))
    assert jobs(cache) == []


def test_a_stale_list_does_not_restore_an_evicted_job(cache: Cache) -> None:
    cache.record_write(child(4, spec=TTL, conditions=COMPLETE))
    assert not cache.update("Job", child(3, conditions=COMPLETE), from_list=True)
    assert jobs(cache) == []
    assert cache.update("Job", child(9)), "another Job of the same name"


def test_an_idle_tweetmodel_is_reconciled_after_a_change_only(cache: Cache) -> None:
    cache.evict(KEY)
    assert not cache.update("TweetModel", tweetmodel(1))
    assert not cache.update("Job", child(3, spec=TTL, conditions=COMPLETE))
    assert not cache.update("Pod", child(4, "pod"))
    assert cache.update("TweetModel", tweetmodel(5))


def test_an_unfinished_job_of_an_idle_tweetmodel_causes_a_live_read(cache: Cache) -> None:
    cache.evict(KEY)
    assert cache.update("Job", child(3, "another"))
    assert cache.get(KEY) is None


def test_a_live_read_replaces_the_cached_objects(cache: Cache) -> None:
    cache.invalidate(KEY)
    assert cache.get(KEY) is None
    cache.replace(KEY, live_read(7))
    assert jobs(cache) == []


def test_a_job_created_after_a_live_read_stays(cache: Cache) -> None:
    cache.update("Job", child(9, "new"))
    cache.replace(KEY, live_read(7))
    assert [job.name for job in jobs(cache)] == ["new"]


def test_jobs_that_arrive_before_their_tweetmodel_wait_for_it() -> None:
    cache = Cache()
    assert not cache.update("Job", child(2))
    assert cache.update("TweetModel", tweetmodel(1))
    assert len(jobs(cache)) == 1


def test_a_tweetmodel_from_a_list_is_list_only_until_a_watch_event() -> None:
    cache = Cache()
    cache.update("TweetModel", tweetmodel(1), from_list=True)
    assert cache.freshness(KEY) is Freshness.LIST_ONLY
    cache.update("TweetModel", tweetmodel(2))
    assert cache.freshness(KEY) is Freshness.CACHED


def test_names_lists_the_cached_objects_of_a_kind(cache: Cache) -> None:
    assert cache.names("TweetModel", "") == {(KEY, KEY.name)}
    assert cache.names("Job", KEY.namespace) == {(KEY, "ada-train-1")}
    assert cache.names("Job", "other") == set()
