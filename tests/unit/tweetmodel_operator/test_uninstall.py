from typing import Any

import pytest

from tweetmodel_operator import names, uninstall
from tweetmodel_operator.api_server import ApiError

DEPLOYMENT = "/apis/apps/v1/namespaces/system/deployments/operator"


class Cluster:
    """An API server whose operator takes `seconds` to stop."""

    def __init__(self, seconds: int, *tweetmodels: dict[str, Any]) -> None:
        self.seconds = seconds
        self.tweetmodels = list(tweetmodels)
        self.patched: dict[str, Any] = {}

    async def delete(self, path: str) -> None:
        assert path == DEPLOYMENT
        self.seconds -= 1
        if self.seconds < 0:
            raise ApiError(404, "NotFound", "gone")

    async def items(self, path: str) -> Any:
        assert self.seconds < 0, "the operator would add its finalizers again"
        for tweetmodel in self.tweetmodels:
            yield tweetmodel

    async def merge(self, path: str, body: dict[str, Any]) -> None:
        self.patched[path] = body["metadata"]["finalizers"]


def with_finalizers(name: str, *finalizers: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": "u", "resourceVersion": "7"}
    return {"metadata": metadata | ({"finalizers": list(finalizers)} if finalizers else {})}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: float) -> None:
        return

    monkeypatch.setattr("asyncio.sleep", at_once)


async def test_the_operator_stops_before_its_finalizers_are_removed() -> None:
    cluster = Cluster(
        3,
        with_finalizers("free"),
        with_finalizers("ours", names.FINALIZER),
        with_finalizers("both", names.FINALIZER, "other/one"),
    )
    await uninstall.prepare_uninstall(cluster, DEPLOYMENT, ())
    assert cluster.patched == {
        "/apis/tweetmodel.dev/v1alpha1/namespaces/default/tweetmodels/ours": [],
        "/apis/tweetmodel.dev/v1alpha1/namespaces/default/tweetmodels/both": ["other/one"],
    }


async def test_without_the_crd_there_are_no_finalizers_to_remove() -> None:
    class Bare(Cluster):
        async def items(self, path: str) -> Any:
            raise ApiError(404, "NotFound", "404 page not found")
            yield

    await uninstall.prepare_uninstall(Bare(1), DEPLOYMENT, ())


async def test_an_operator_that_does_not_stop_is_an_error() -> None:
    with pytest.raises(TimeoutError, match="does not stop"):
        await uninstall.prepare_uninstall(Cluster(10_000), DEPLOYMENT, ())
