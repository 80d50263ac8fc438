"""Defaults of the namespace and of the cluster for a new TweetModel."""

import copy

import pytest

from fakes import objects
from fakes.cluster import FakeCluster, fake_cluster, new_reconciler, reconcile_until_idle, run_lifecycle
from makers import dataset, observed, spec, success
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError
from tweetmodel_operator.defaulting import apply_defaults
from tweetmodel_operator.settings import Settings

SPEC = spec().to_json_object()
STORAGE = SPEC["storage"]


def minimal_cluster() -> FakeCluster:
    """Return a cluster whose TweetModel omits all fields that can have a default."""
    return fake_cluster(objects.tweetmodel() | {"spec": {"sources": SPEC["sources"]}})


@pytest.mark.parametrize("omitted", [(), ("queueName",)], ids=["complete", "no-default-set"])
async def test_nothing_is_written_without_an_applicable_default(omitted: tuple[str, ...]) -> None:
    cluster = fake_cluster()
    assert await apply_defaults(cluster, observed(omitted_fields=omitted), Settings(defaults={"gpus": 1})) is False
    assert cluster.writes == 0


async def test_defaults_of_the_namespace_precede_those_of_the_cluster() -> None:
    cluster = minimal_cluster()
    cluster.add_defaults(storage=STORAGE, gpus=0)
    defaults = {"gpus": 1, "baseModel": {"scratch": {"preset": "Small"}}}
    await reconcile_until_idle(cluster, new_reconciler(cluster, defaults=defaults))
    written = cluster.tweetmodel["spec"]
    assert written["storage"]["uri"] == "s3://bucket/models"
    assert written["gpus"] == 0
    assert written["baseModel"] == {"scratch": {"preset": "Small"}}
    assert len(cluster.created_jobs) == 1


async def test_a_later_default_keeps_the_earlier_ones() -> None:
    cluster = minimal_cluster()
    cluster.edit(suspend=True)
    cluster.add_defaults(storage=STORAGE)
    await reconcile_until_idle(cluster)
    cluster.add_defaults(storage=STORAGE, gpus=0)
    await reconcile_until_idle(cluster)
    written = [request for request in cluster.requests if request.manager == names.DEFAULTS_MANAGER]
    assert [sorted(request.body["spec"]) for request in written] == [["storage"], ["gpus"]]
    assert cluster.tweetmodel["spec"]["storage"]["uri"] == "s3://bucket/models"
    assert cluster.tweetmodel["spec"]["gpus"] == 0


async def test_defaults_that_the_crd_rejects_are_reported_and_retried() -> None:
    cluster = minimal_cluster()
    cluster.add_defaults(storage=STORAGE)
    error = ApiError(422, "Invalid", "podTemplate.labels can't set kueue.x-k8s.io/queue-name")
    cluster.reject(error, manager=names.DEFAULTS_MANAGER)
    assert await reconcile_until_idle(cluster) is not None
    assert cluster.conditions["Stalled"] == ("True", "InvalidSpec")
    prefix = "The administrator's defaults make the spec invalid ("
    assert f"{prefix}podTemplate.labels can't set" in cluster.message
    cluster.accept_all()
    await reconcile_until_idle(cluster)
    assert len(cluster.created_jobs) == 1


async def test_a_later_default_does_not_change_a_tweetmodel_that_has_started() -> None:
    cluster = await run_lifecycle(fake_cluster())
    before = copy.deepcopy(cluster.tweetmodel)
    cluster.add_defaults(gpus=0, queueName="slow")
    await reconcile_until_idle(cluster)
    assert cluster.tweetmodel == before


async def test_a_default_after_a_collection_without_new_posts_trains_nothing() -> None:
    without_base_model = {name: value for name, value in SPEC.items() if name != "baseModel"}
    raw = objects.tweetmodel() | {"spec": without_base_model | {"schedule": {"cron": "0 18 * * *"}}}
    cluster = await run_lifecycle(fake_cluster(raw))
    cluster.now = "2026-11-23T18:00:00Z"
    await reconcile_until_idle(cluster)
    cluster.finish("collect", success(dataset=dataset(new_posts=0)))
    await reconcile_until_idle(cluster)
    assert len(cluster.created_jobs) == 3
    cluster.add_defaults(baseModel={"scratch": {"preset": "Small"}})
    await reconcile_until_idle(cluster)
    assert "baseModel" not in cluster.tweetmodel["spec"]
    assert len(cluster.created_jobs) == 3


async def test_a_tweetmodel_without_storage_starts_once_a_default_exists() -> None:
    cluster = minimal_cluster()
    assert await reconcile_until_idle(cluster) is not None
    assert cluster.conditions["Stalled"] == ("True", "InvalidSpec")
    assert "spec.storage is missing" in cluster.message
    cluster.add_defaults(storage=STORAGE)
    await reconcile_until_idle(cluster)
    assert len(cluster.created_jobs) == 1


async def test_defaults_are_not_written_over_a_concurrent_change() -> None:
    cluster = minimal_cluster()
    stale = observed(resource_version="0", omitted_fields=("gpus",))
    with pytest.raises(ApiError, match="resourceVersion"):
        await apply_defaults(cluster, stale, Settings(defaults={"gpus": 0}))
    assert "gpus" not in cluster.tweetmodel["spec"]
