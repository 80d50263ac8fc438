"""Preparation of the uninstallation: the operator stops, then its finalizers are removed."""

from typing import Any

import pytest

from fakes.api_server import FakeApiServer
from makers import KEY
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, tweetmodel_path, tweetmodels_path
from tweetmodel_operator.uninstall import prepare_uninstall

DEPLOYMENTS = "/apis/apps/v1/namespaces/system/deployments"
DEPLOYMENT = f"{DEPLOYMENTS}/operator"


def server_with(*tweetmodels: dict[str, Any]) -> FakeApiServer:
    """Return an API server with these TweetModels and the operator's Deployment."""
    server = FakeApiServer()
    for tweetmodel in tweetmodels:
        server.add(tweetmodels_path(KEY.namespace), tweetmodel)
    server.add(DEPLOYMENTS, {"metadata": {"name": "operator", "finalizers": ["foregroundDeletion"]}})
    return server


def tweetmodel(name: str, *finalizers: str) -> dict[str, Any]:
    return {"metadata": {"name": name} | ({"finalizers": list(finalizers)} if finalizers else {})}


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the pods of the Deployment end after some seconds, and let seconds pass at once."""

    def start(server: FakeApiServer, seconds: int) -> None:
        passed = 0

        async def sleep(_: float) -> None:
            nonlocal passed
            passed += 1
            if passed == seconds:
                server.remove(DEPLOYMENT)

        monkeypatch.setattr("asyncio.sleep", sleep)

    return start


async def test_the_operator_stops_before_its_finalizers_are_removed(stop_after: Any) -> None:
    server = server_with(
        tweetmodel("free"),
        tweetmodel("ours", names.FINALIZER),
        tweetmodel("both", names.FINALIZER, "other/one"),
    )
    stop_after(server, 3)
    await prepare_uninstall(server, DEPLOYMENT, ())
    assert [request.method for request in server.requests] == [*["DELETE"] * 4, "GET", "PATCH", "PATCH"]
    finalizers = {request.path: request.body["metadata"]["finalizers"] for request in server.requests[-2:]}
    assert finalizers == {
        tweetmodel_path(KEY.namespace, "ours"): [],
        tweetmodel_path(KEY.namespace, "both"): ["other/one"],
    }
    assert server.find(tweetmodel_path(KEY.namespace, "both"))["metadata"]["finalizers"] == ["other/one"]


async def test_a_concurrent_change_is_kept_when_a_finalizer_is_removed(stop_after: Any) -> None:
    server = server_with(tweetmodel("ours", names.FINALIZER))
    stop_after(server, 1)
    path = tweetmodel_path(KEY.namespace, "ours")
    listed = server.collection(tweetmodels_path(KEY.namespace))
    server.collection = lambda _: listed  # type: ignore[method-assign]  # the list precedes the change
    server.update(path, metadata={"finalizers": [names.FINALIZER, "other/one"]})
    await prepare_uninstall(server, DEPLOYMENT, ())
    assert server.find(path)["metadata"]["finalizers"] == ["other/one"]


async def test_only_watched_namespaces_are_searched(stop_after: Any) -> None:
    server = server_with(tweetmodel("ours", names.FINALIZER))
    stop_after(server, 1)
    await prepare_uninstall(server, DEPLOYMENT, ("one", "two"))
    lists = [request.path for request in server.requests if request.is_read]
    assert lists == [tweetmodels_path("one"), tweetmodels_path("two")]


async def test_without_the_crd_no_finalizers_are_removed(stop_after: Any) -> None:
    server = server_with()
    stop_after(server, 1)
    server.reject(ApiError(404, "NotFound", "404 page not found"), method="GET")
    await prepare_uninstall(server, DEPLOYMENT, ())


async def test_an_operator_that_does_not_stop_is_an_error(stop_after: Any) -> None:
    server = server_with()
    stop_after(server, 10_000)
    with pytest.raises(TimeoutError, match="did not stop"):
        await prepare_uninstall(server, DEPLOYMENT, ())
