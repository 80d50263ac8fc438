from typing import Any

import pytest

from tweetmodel_operator import names, release
from tweetmodel_operator.api_server import ApiError

DEPLOYMENT = "/apis/apps/v1/namespaces/system/deployments/operator"


class Cluster:
    """An API server whose operator takes `seconds` to end."""

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
        assert self.seconds < 0, "the operator would set its finalizers again"
        for tweetmodel in self.tweetmodels:
            yield tweetmodel

    async def merge(self, path: str, body: dict[str, Any]) -> None:
        self.patched[path] = body["metadata"]["finalizers"]


def held(name: str, *finalizers: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": "u", "resourceVersion": "7"}
    return {"metadata": metadata | ({"finalizers": list(finalizers)} if finalizers else {})}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: float) -> None:
        return

    monkeypatch.setattr("asyncio.sleep", at_once)


async def test_the_operator_ends_before_its_finalizers_are_taken_off() -> None:
    cluster = Cluster(3, held("free"), held("ours", names.FINALIZER), held("both", names.FINALIZER, "other/one"))
    await release.release(cluster, DEPLOYMENT, ())
    assert cluster.patched == {
        "/apis/tweetmodel.dev/v1alpha1/namespaces/default/tweetmodels/ours": [],
        "/apis/tweetmodel.dev/v1alpha1/namespaces/default/tweetmodels/both": ["other/one"],
    }


async def test_without_a_crd_there_is_nothing_to_let_go_of() -> None:
    class Bare(Cluster):
        async def items(self, path: str) -> Any:
            raise ApiError(404, "NotFound", "404 page not found")
            yield

    await release.release(Bare(1), DEPLOYMENT, ())


async def test_an_operator_that_does_not_end_is_told() -> None:
    with pytest.raises(TimeoutError, match="does not end"):
        await release.release(Cluster(10_000), DEPLOYMENT, ())
