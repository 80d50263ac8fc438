"""The cache: changes that cause a reconcile, evicted objects, and the necessity of live reads."""

from datetime import datetime
from typing import Any

import pytest

from fakes import objects
from makers import KEY, time
from tweetmodel_operator import names
from tweetmodel_operator.cache import Cache, CachedTweetModel, LiveRead
from tweetmodel_operator.observed import Freshness, ObservedJob

NAME = "ada-train-1"
COMPLETE = objects.job_complete("2026-11-23T12:10:00Z")
TTL = {"ttlSecondsAfterFinished": 60}


def tweetmodel(version: int, **status: Any) -> dict[str, Any]:
    return objects.tweetmodel(resourceVersion=str(version)) | {"status": status}


def job(version: int, name: str = NAME, spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return objects.job(name, "train", version=version, spec=spec, **status)


def live_read(version: int) -> LiveRead:
    """Return a live read of a TweetModel without children."""
    versions = {"Job": version + 1, "Pod": version + 1}
    return LiveRead(CachedTweetModel.parse(tweetmodel(version)), {"Job": [], "Pod": []}, versions)


def jobs(cache: Cache) -> list[ObservedJob]:
    snapshot = cache.get(KEY)
    assert snapshot
    return snapshot.jobs


@pytest.fixture
def cache() -> Cache:
    """A cache with a TweetModel and its Job."""
    cache = Cache()
    cache.update("TweetModel", tweetmodel(1))
    cache.update("Job", job(2))
    return cache


def test_the_event_of_an_own_write_causes_no_reconcile(cache: Cache) -> None:
    cache.record_write(tweetmodel(3, observedGeneration=1))
    cache.record_write(job(4, "ada-train-2"))
    assert not cache.update("TweetModel", tweetmodel(3, observedGeneration=1))
    assert not cache.update("Job", job(4, "ada-train-2"))


def test_a_later_write_of_another_client_causes_a_reconcile(cache: Cache) -> None:
    cache.record_write(tweetmodel(3))
    assert cache.update("TweetModel", tweetmodel(4))


def test_a_late_event_does_not_overwrite_a_newer_version(cache: Cache) -> None:
    cache.record_write(tweetmodel(5, observedGeneration=2))
    assert not cache.update("TweetModel", tweetmodel(4, observedGeneration=1))
    snapshot = cache.get(KEY)
    assert snapshot
    assert snapshot.tweetmodel.status == '{"observedGeneration":2}'


def test_only_facts_that_decisions_depend_on_cause_a_reconcile(cache: Cache) -> None:
    assert not cache.update("Job", job(3, ready=1))
    assert not cache.update("Job", job(4, uncountedTerminatedPods={"failed": ["uid"]}))
    assert cache.update("Job", job(5, **COMPLETE))


def test_the_time_without_pods_is_known_from_the_last_status_write(cache: Cache) -> None:
    def written(version: int, second: int, **status: Any) -> dict[str, Any]:
        raw = job(version, startTime="2026-11-23T12:00:00Z", **status)
        fields = {"manager": "m", "subresource": "status", "time": f"2026-11-23T12:00:{second:02d}Z", "fieldsV1": {}}
        raw["metadata"]["managedFields"] = [fields]
        return raw

    def no_pods_since() -> datetime | None:
        return jobs(cache)[0].no_pods_since

    assert cache.update("Job", written(3, 1, active=1))
    assert not cache.update("Job", written(4, 2, active=1, ready=1))
    assert no_pods_since() is None
    assert cache.update("Job", written(5, 3))
    assert no_pods_since() == time("2026-11-23T12:00:03Z")


def test_a_finished_job_with_a_ttl_is_evicted(cache: Cache) -> None:
    cache.update("Job", job(3, spec=TTL, **COMPLETE))
    assert jobs(cache) == []


def test_a_stale_list_does_not_restore_an_evicted_job(cache: Cache) -> None:
    cache.record_write(job(4, spec=TTL, **COMPLETE))
    assert not cache.update("Job", job(3, **COMPLETE), from_list=True)
    assert jobs(cache) == []
    assert cache.update("Job", job(9)), "another Job of the same name"


def test_an_idle_tweetmodel_is_reconciled_after_a_change_only(cache: Cache) -> None:
    cache.evict(KEY)
    assert not cache.update("TweetModel", tweetmodel(1))
    assert not cache.update("Job", job(3, spec=TTL, **COMPLETE))
    pod = objects.pod(job(3))
    pod["metadata"]["resourceVersion"] = "4"
    assert not cache.update("Pod", pod)
    assert cache.update("TweetModel", tweetmodel(5))


def test_an_unfinished_job_of_an_idle_tweetmodel_causes_a_live_read(cache: Cache) -> None:
    cache.evict(KEY)
    assert cache.update("Job", job(3, "another"))
    assert cache.get(KEY) is None


def test_a_live_read_replaces_the_cached_objects(cache: Cache) -> None:
    cache.invalidate(KEY)
    assert cache.get(KEY) is None
    cache.begin_live_read(KEY)
    cache.replace(KEY, live_read(7))
    assert jobs(cache) == []


def test_an_invalidation_during_a_live_read_requires_another_read(cache: Cache) -> None:
    cache.begin_live_read(KEY)
    cache.invalidate(KEY)
    cache.replace(KEY, live_read(7))
    assert cache.get(KEY) is None


def test_a_job_without_the_labels_of_the_operator_is_ignored(cache: Cache) -> None:
    for name in (names.STEP_LABEL, names.STEP_ID_LABEL, names.ATTEMPT_LABEL):
        raw = job(9, "foreign")
        del raw["metadata"]["labels"][name]
        assert not cache.update("Job", raw)
    raw["metadata"]["labels"] |= {names.STEP_LABEL: "bake", names.ATTEMPT_LABEL: "1"}
    assert not cache.update("Job", raw)
    assert "foreign" not in [job.name for job in jobs(cache)]


def test_a_job_created_after_a_live_read_stays(cache: Cache) -> None:
    cache.update("Job", job(9, "new"))
    cache.replace(KEY, live_read(7))
    assert [job.name for job in jobs(cache)] == ["new"]


def test_jobs_that_arrive_before_their_tweetmodel_wait_for_it() -> None:
    cache = Cache()
    assert not cache.update("Job", job(2))
    assert cache.update("TweetModel", tweetmodel(1))
    assert len(jobs(cache)) == 1


def test_a_tweetmodel_from_a_list_is_list_only_until_a_watch_event() -> None:
    cache = Cache()
    cache.update("TweetModel", tweetmodel(1), from_list=True)
    assert cache.freshness(KEY) is Freshness.LIST_ONLY
    cache.update("TweetModel", tweetmodel(2))
    assert cache.freshness(KEY) is Freshness.CACHED


def test_names_lists_the_cached_objects_of_a_kind(cache: Cache) -> None:
    assert cache.cached_names("TweetModel", "") == {(KEY, KEY.name)}
    assert cache.cached_names("Job", KEY.namespace) == {(KEY, NAME)}
    assert cache.cached_names("Job", "other") == set()


def test_objects_of_other_tweetmodels_stay_after_a_deletion(cache: Cache) -> None:
    other = objects.tweetmodel(name="bob", resourceVersion="3")
    cache.update("TweetModel", other)
    assert cache.remove("TweetModel", other)
    assert cache.cached_names("TweetModel", "") == {(KEY, KEY.name)}
    assert not cache.is_empty


def test_foreign_objects_are_ignored(cache: Cache) -> None:
    foreign = job(9)
    foreign["metadata"]["labels"] = {}
    assert not cache.update("Job", foreign)
    assert not cache.remove("Job", foreign)
