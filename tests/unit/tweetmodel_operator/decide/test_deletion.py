"""Deletion of a TweetModel with deletionPolicy Delete, reconciled in a cluster in memory."""

from typing import Any

import pytest

from fakes import objects
from fakes.cluster import FakeCluster, fake_cluster, new_reconciler, reconcile_until_idle, run_lifecycle
from makers import KEY, NOW, decided, failure, job, observed, spec, success, time
from tweetmodel_api.reasons import Reason
from tweetmodel_operator.api_server import ApiError
from tweetmodel_operator.decide.deletion import finalizer_change
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.limits import MAX_PURGE_SECONDS
from tweetmodel_operator.settings import Settings

BEFORE_LIMIT, AFTER_LIMIT = "2026-11-23T12:29:00Z", "2026-11-23T12:31:00Z"
"""Times before and after the end of the time limit of a purge that started at NOW."""
OUT_OF_QUOTA = ApiError(403, "Forbidden", "exceeded quota: jobs")
WEBHOOK_DOWN = ApiError(500, "InternalError", 'failed calling webhook "policy": context deadline exceeded')


async def finished_cluster() -> FakeCluster:
    """Return a cluster with a finished TweetModel whose folder is to be deleted with the TweetModel."""
    return await run_lifecycle(fake_cluster(deletionPolicy="Delete"))


async def purging_cluster() -> FakeCluster:
    """Return a cluster whose TweetModel is deleted and being purged."""
    cluster = await finished_cluster()
    assert cluster.has_finalizer
    cluster.delete_tweetmodel()
    await reconcile_until_idle(cluster)
    return cluster


def purge_job(cluster: FakeCluster) -> dict[str, Any]:
    return cluster.jobs[cluster.created_jobs[-1]]


async def test_a_deleted_tweetmodel_stays_until_its_folder_is_purged() -> None:
    cluster = await purging_cluster()
    assert cluster.conditions["Ready"] == ("Unknown", "Purging")
    purge = purge_job(cluster)
    assert "ownerReferences" not in purge["metadata"]
    assert purge["spec"]["activeDeadlineSeconds"] == MAX_PURGE_SECONDS == 1800
    assert purge["spec"]["ttlSecondsAfterFinished"]
    assert cluster.has_finalizer
    cluster.finish("purge")
    await reconcile_until_idle(cluster)
    assert cluster.is_gone
    assert len(cluster.created_jobs) == 3


async def test_a_failed_purge_removes_the_finalizer_and_names_the_remaining_folder() -> None:
    cluster = await purging_cluster()
    cluster.finish("purge", failure(Reason.ACCESS_DENIED, "AWS refuses: correct the keys."), code=77)
    await reconcile_until_idle(cluster)
    assert cluster.is_gone
    event = cluster.events[-1]
    assert (event["type"], event["reason"]) == ("Warning", "PurgeFailed")
    assert "s3://bucket/models/default/ada was not deleted (AWS refuses: correct the keys)." in event["note"]


async def test_a_purge_without_end_is_given_up_after_the_time_limit() -> None:
    cluster = await purging_cluster()
    cluster.now = BEFORE_LIMIT
    assert await reconcile_until_idle(cluster)
    assert cluster.has_finalizer
    cluster.now = AFTER_LIMIT
    await reconcile_until_idle(cluster)
    assert cluster.is_gone
    assert cluster.events[-1]["reason"] == "PurgeFailed"


async def test_the_purge_of_a_given_up_tweetmodel_is_deleted() -> None:
    """Otherwise the purge would delete the data of the next TweetModel of this name."""
    cluster = await purging_cluster()
    purge = cluster.created_jobs[-1]
    assert purge in cluster.jobs
    cluster.now = AFTER_LIMIT
    await new_reconciler(cluster).reconcile(KEY)
    assert purge not in cluster.jobs


async def test_an_operator_that_was_down_for_long_still_purges() -> None:
    cluster = await finished_cluster()
    cluster.delete_tweetmodel("2026-11-23T09:00:00Z")
    await reconcile_until_idle(cluster)
    assert cluster.has_finalizer
    assert cluster.conditions["Ready"] == ("Unknown", "Purging")
    cluster.finish("purge")
    await reconcile_until_idle(cluster)
    assert cluster.is_gone
    assert not any(event["reason"] == "PurgeFailed" for event in cluster.events)


async def test_the_time_limit_of_a_purge_starts_with_its_job() -> None:
    cluster = await purging_cluster()
    started_at = "2026-11-23T12:30:00Z"
    cluster.update_job("purge", metadata={"creationTimestamp": started_at}, status=objects.job_started(started_at))
    cluster.add_job_event("pods are forbidden: exceeded quota: small", "2026-11-23T12:30:01Z")
    cluster.now = AFTER_LIMIT
    await reconcile_until_idle(cluster)
    assert cluster.conditions["Ready"] == ("Unknown", "PodRefused")
    cluster.now = "2026-11-23T12:32:00Z"
    await reconcile_until_idle(cluster)
    assert cluster.has_finalizer


async def test_a_corrected_secret_replaces_the_purge() -> None:
    cluster = await purging_cluster()
    first = cluster.created_jobs[-1]
    cluster.edit(storage=cluster.tweetmodel["spec"]["storage"] | {"secretRef": {"name": "better"}})
    await reconcile_until_idle(cluster)
    assert first not in cluster.jobs
    assert len(cluster.created_jobs) == 4


async def test_a_change_to_retain_during_the_purge_stops_the_purge() -> None:
    cluster = await purging_cluster()
    purge = cluster.created_jobs[-1]
    cluster.edit(deletionPolicy="Retain")
    await reconcile_until_idle(cluster)
    assert cluster.is_gone
    assert purge not in cluster.jobs
    assert not any(event["reason"] == "PurgeFailed" for event in cluster.events)


async def test_a_change_to_retain_removes_the_finalizer() -> None:
    cluster = await finished_cluster()
    cluster.edit(deletionPolicy="Retain")
    await reconcile_until_idle(cluster)
    assert not cluster.has_finalizer
    assert not cluster.is_gone


async def test_a_purge_beyond_the_quota_is_retried() -> None:
    cluster = await finished_cluster()
    cluster.delete_tweetmodel()
    cluster.reject(OUT_OF_QUOTA, method="POST", plural="jobs")
    assert await reconcile_until_idle(cluster) == 60
    assert cluster.conditions["Ready"] == ("False", "PodRefused")
    assert cluster.conditions["Reconciling"] == ("True", "PodRefused")
    cluster.accept_all()
    await reconcile_until_idle(cluster)
    cluster.finish("purge")
    await reconcile_until_idle(cluster)
    assert cluster.is_gone
    assert all(event["type"] == "Normal" for event in cluster.events)


async def test_the_time_limit_of_a_rejected_purge_starts_with_the_rejection() -> None:
    cluster = fake_cluster(deletionPolicy="Delete")
    await reconcile_until_idle(cluster)
    cluster.delete_tweetmodel()
    for name in cluster.created_jobs:
        cluster.remove(objects.job_path(name))
    cluster.reject(WEBHOOK_DOWN, method="POST", plural="jobs")
    cluster.now = AFTER_LIMIT
    await reconcile_until_idle(cluster)
    cluster.now = "2026-11-23T12:32:00Z"
    await reconcile_until_idle(cluster)
    assert cluster.has_finalizer


async def test_a_quota_that_stays_exhausted_is_given_up_after_the_time_limit() -> None:
    cluster = await finished_cluster()
    cluster.delete_tweetmodel()
    cluster.reject(OUT_OF_QUOTA, method="POST", plural="jobs")
    await reconcile_until_idle(cluster)
    assert cluster.has_finalizer
    cluster.now = AFTER_LIMIT
    await reconcile_until_idle(cluster)
    assert cluster.is_gone
    assert cluster.events[-1]["reason"] == "PurgeFailed"


async def test_a_namespace_that_rejects_all_jobs_does_not_keep_the_tweetmodel() -> None:
    cluster = await finished_cluster()
    cluster.delete_tweetmodel()
    rejection = ApiError(403, "Forbidden", "namespace default is being terminated")
    cluster.reject(rejection, method="POST", plural="jobs")
    await reconcile_until_idle(cluster)
    assert cluster.is_gone
    assert "is being terminated" in cluster.events[-1]["note"]


async def test_a_forbidden_image_receives_no_keys_from_a_purge() -> None:
    cluster = await finished_cluster()
    cluster.edit(podTemplate={"image": "evil", "serviceAccountName": "admin"})
    cluster.delete_tweetmodel()
    await reconcile_until_idle(cluster)
    pod = purge_job(cluster)["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == Settings().trainer_image
    assert "serviceAccountName" not in pod


async def test_active_jobs_are_stopped_before_the_purge() -> None:
    cluster = fake_cluster(deletionPolicy="Delete")
    await reconcile_until_idle(cluster)
    cluster.delete_tweetmodel()
    (collect,) = cluster.jobs
    await new_reconciler(cluster).reconcile(KEY)
    assert not cluster.jobs
    assert cluster.created_jobs == [collect]
    await reconcile_until_idle(cluster)
    assert len(cluster.created_jobs) == 2


async def test_a_job_on_a_lost_node_does_not_keep_the_tweetmodel_forever() -> None:
    cluster = fake_cluster(deletionPolicy="Delete")
    await reconcile_until_idle(cluster)
    cluster.set_pod(objects.running())
    cluster.delete_tweetmodel()
    (collect,) = cluster.jobs
    assert await new_reconciler(cluster).reconcile(KEY) is not None
    assert cluster.job()["metadata"]["deletionTimestamp"] == NOW
    assert cluster.has_finalizer
    cluster.now = AFTER_LIMIT
    await new_reconciler(cluster).reconcile(KEY)
    assert cluster.is_gone
    assert f"Job {collect} does not end" in cluster.events[-1]["note"]


def test_a_deleted_tweetmodel_without_finalizer_is_left_alone() -> None:
    assert decided(observed(deleted_at=time(NOW))) == Decision()


def test_an_unreadable_spec_does_not_keep_a_deleted_tweetmodel() -> None:
    deleted = observed(spec=None, spec_error="spec.gpus: too many", has_finalizer=True, deleted_at=time(NOW))
    decision = decided(deleted)
    assert decision.set_finalizer is False
    assert decision.orphan_warning.startswith(
        "the TweetModel's folder in the bucket was not deleted (spec.gpus: too many)."
    )


@pytest.mark.parametrize(
    ("policy", "has_finalizer", "change"),
    [("Delete", False, True), ("Delete", True, None), ("Retain", True, False), ("Retain", False, None)],
    ids=["add", "keep", "remove", "none"],
)
def test_the_finalizer_follows_the_deletion_policy(policy: str, has_finalizer: bool, change: bool | None) -> None:
    of = spec(deletionPolicy=policy)
    assert finalizer_change(observed(of=of, has_finalizer=has_finalizer), of) is change


def test_a_lost_node_is_reported_during_the_deletion() -> None:
    lost = job("train").pod_deleted(deadline=NOW).deleting()
    of = spec(deletionPolicy="Delete")
    deleted = observed(lost, of=of, deleted_at=time(AFTER_LIMIT), has_finalizer=True)
    status = decided(deleted, AFTER_LIMIT).status
    assert status
    ready = status.condition("Ready")
    assert ready
    assert (ready.status, ready.reason) == ("False", "NodeLost")


def test_a_successful_purge_removes_the_finalizer_without_a_warning() -> None:
    of = spec(deletionPolicy="Delete")
    before = decided(observed(of=of, has_finalizer=True, deleted_at=time(NOW)))
    (request,) = before.create
    purge = job("purge", of).with_hash(request.pod_template_hash)
    assert purge.obj().step_id == request.step_id
    decision = decided(observed(purge.complete(success()), of=of, has_finalizer=True, deleted_at=time(NOW)))
    assert (decision.set_finalizer, decision.orphan_warning, decision.create) == (False, "", ())
