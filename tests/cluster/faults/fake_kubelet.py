"""Fakes scheduler and kubelet for the pods of one namespace; the Job controller is real.

A pod runs as soon as it exists, and ends as `ending` determines from its plan. Pods are not bound to a node, so a
deleted pod is gone at once.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from api_client import Client

from fakes.trainer import successful_report
from makers import dataset
from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report, encode
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, JsonObject
from tweetmodel_operator.children import POD

Ending = tuple[int, Report]
"""Exit code, and the report in the termination message."""


def succeed(plan: Plan) -> Ending | None:
    """Return a success: a repeated collection finds new posts, and a model that must be better is better."""
    posts = dataset(digest="f" * 64, new_posts=100) if plan.baseline_dataset else dataset()
    losses = {"loss": "2.4"} if plan.baseline_loss else {}
    return 0, successful_report(plan, posts=posts, samples=("a tweet",), **losses)


def train_forever(plan: Plan) -> Ending | None:
    """Return no ending for a training, and success for other steps."""
    return None if plan.step == "train" else succeed(plan)


@dataclass
class FakeKubelet:
    """Runs the pods of a namespace."""

    api: Client
    namespace: str
    ending: Callable[[Plan], Ending | None] = succeed
    """Returns how the pod of a plan ends; None while the pod runs."""
    pods: dict[str, JsonObject] = field(default_factory=dict)
    """Running pods by name."""

    async def run(self) -> None:
        """Run pods until canceled."""
        async for event in self.api.watch(POD.path(self.namespace)):
            pod = event["object"]
            name = pod["metadata"]["name"]
            if event["type"] == "DELETED" or "deletionTimestamp" in pod["metadata"]:
                self.pods.pop(name, None)
            elif event["type"] == "ADDED" and pod["status"]["phase"] == "Pending":
                self.pods[name] = pod
                await self._set_status(name, "Running", {"running": {"startedAt": _now()}})
                await self._end(name)

    async def end_pods(self) -> None:
        """End the running pods for which `ending`, which may have changed, returns an ending."""
        await asyncio.gather(*map(self._end, list(self.pods)))

    def runs(self, step: str, name: str = "") -> bool:
        """Return whether a pod for a step runs, of one TweetModel or of any."""
        all_labels = (pod["metadata"]["labels"] for pod in self.pods.values())
        return any(labels[names.STEP_LABEL] == step and name in ("", labels[names.NAME_LABEL]) for labels in all_labels)

    async def _end(self, name: str) -> None:
        plan = Plan.model_validate_json(self.pods[name]["metadata"]["annotations"][names.PLAN_ANNOTATION])
        if ending := self.ending(plan):
            self.pods.pop(name)
            code, report = ending
            result = {"exitCode": code, "reason": "Error" if code else "Completed", "message": encode(report)}
            times = {"startedAt": _now(), "finishedAt": _now(), "containerID": ""}
            await self._set_status(name, "Failed" if code else "Succeeded", {"terminated": result | times})

    async def _set_status(self, name: str, phase: str, state: JsonObject) -> None:
        container = {"name": names.CONTAINER, "image": "none", "imageID": "", "ready": False, "restartCount": 0}
        status = {"phase": phase, "containerStatuses": [container | {"state": state}]}
        with suppress(ApiError):  # the pod may be gone
            await self.api.merge(f"{POD.path(self.namespace, name)}/status", {"status": status})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
