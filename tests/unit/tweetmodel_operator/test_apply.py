"""Application of decisions: another kind of child is one entry and one builder."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from makers import KEY, UID, observed
from tweetmodel_operator import manifests
from tweetmodel_operator.api_server import ApiError
from tweetmodel_operator.apply import JobRejected, apply
from tweetmodel_operator.children import ChildKind
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.manifests import Builder
from tweetmodel_operator.settings import Settings


@dataclass
class Server:
    """An API server that records created objects, or rejects them."""

    error: ApiError | None = None

    def __post_init__(self) -> None:
        self.created: list[tuple[str, dict[str, Any]]] = []

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.error:
            raise self.error
        self.created.append((path, body))
        return body


@dataclass(frozen=True)
class ServiceRequest:
    name: str


SERVICE = ChildKind("Service", "", "v1", "services", frozenset({"get", "list", "watch", "create"}), lambda raw: raw)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Decision:
    """A decision that creates a Service."""

    def build(request: ServiceRequest, settings: Settings, _: str) -> dict[str, Any]:
        return {"metadata": {"name": request.name, "labels": {"by": settings.instance}}}

    monkeypatch.setitem(manifests.BUILDERS, ServiceRequest, Builder(SERVICE, build))
    return Decision(create=(ServiceRequest("ada"),))


async def test_a_new_kind_of_child_is_created_by_its_builder(service: Decision) -> None:
    server = Server()
    await apply(server, observed(), service, Settings(instance=UID), "")
    expected = {"metadata": {"name": "ada", "labels": {"by": UID}}}
    assert server.created == [(f"/api/v1/namespaces/{KEY.namespace}/services", expected)]


async def test_an_existing_child_counts_as_created(service: Decision) -> None:
    await apply(Server(ApiError(409, "AlreadyExists", "ada")), observed(), service, Settings(), "")


@pytest.mark.parametrize(("code", "message"), [(403, "exceeded quota"), (500, "failed calling webhook")])
async def test_a_rejected_child_raises_before_the_status_is_written(service: Decision, code: int, message: str) -> None:
    decision = replace(service, status=observed().status)
    with pytest.raises(JobRejected, match=message):
        await apply(Server(ApiError(code, "", message)), observed(), decision, Settings(), "")
