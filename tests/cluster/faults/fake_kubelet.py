"""Plays scheduler and kubelet for the pods of one namespace; the Job controller that makes and counts them is real.

A pod runs as soon as it is there, and ends as `ending` says of its plan. No pod is bound to a node, so a pod that is
deleted is gone at once.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from api_client import Client

from makers import dataset, model, success
from tweetmodel_api.identities import publish_hash
from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report, encode
from tweetmodel_api.status import Publication
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, JsonObject
from tweetmodel_operator.children import POD

Ending = tuple[int, Report]
"""Exit code and what is in the termination message."""


def succeeded(plan: Plan) -> Ending | None:
    """Every stage does its work; a later look finds new posts, and a model that must be better is."""
    if plan.step == "collect":
        return 0, success(dataset=dataset(digest="f" * 64, new_posts=100) if plan.baseline_dataset else dataset())
    if plan.run is None:
        return 0, success()
    made = model(plan.run, plan.spec)
    if plan.publish:
        publication = Publication(spec_hash=publish_hash(plan.spec) or "", url="https://hub/ada")
        made = made.model_copy(update={"publication": publication})
    if plan.baseline_loss:
        made = made.model_copy(update={"evaluation": made.evaluation.model_copy(update={"loss": "2.4"})})
    return 0, success(model=made, samples=["a tweet"])


def training_on(plan: Plan) -> Ending | None:
    """Training goes on for ever, everything else does its work."""
    return None if plan.step == "train" else succeeded(plan)


@dataclass
class Kubelet:
    """Runs the pods of a namespace."""

    api: Client
    namespace: str
    ending: Callable[[Plan], Ending | None] = succeeded
    """How the pod of a plan ends; None while it runs."""
    pods: dict[str, JsonObject] = field(default_factory=dict)
    """The pods that run."""

    async def work(self) -> None:
        """Runs pods until cancelled."""
        async for event in self.api.watch(POD.path(self.namespace)):
            pod = event["object"]
            name = pod["metadata"]["name"]
            if event["type"] == "DELETED" or "deletionTimestamp" in pod["metadata"]:
                self.pods.pop(name, None)
            elif event["type"] == "ADDED" and pod["status"]["phase"] == "Pending":
                self.pods[name] = pod
                await self._say(name, "Running", {"running": {"startedAt": _now()}})
                await self._end(name)

    async def look_again(self) -> None:
        """Ends the pods that `ending` has changed its mind about."""
        await asyncio.gather(*map(self._end, list(self.pods)))

    def runs(self, stage: str, name: str = "") -> bool:
        """Whether a pod of this stage runs, of one TweetModel or of any."""
        labels = (pod["metadata"]["labels"] for pod in self.pods.values())
        return any(of[names.STEP_LABEL] == stage and name in ("", of[names.NAME_LABEL]) for of in labels)

    async def _end(self, name: str) -> None:
        plan = Plan.model_validate_json(self.pods[name]["metadata"]["annotations"][names.PLAN_ANNOTATION])
        if ending := self.ending(plan):
            self.pods.pop(name)
            code, report = ending
            told = {"exitCode": code, "reason": "Error" if code else "Completed", "message": encode(report)}
            times = {"startedAt": _now(), "finishedAt": _now(), "containerID": ""}
            await self._say(name, "Failed" if code else "Succeeded", {"terminated": told | times})

    async def _say(self, name: str, phase: str, state: JsonObject) -> None:
        container = {"name": names.CONTAINER, "image": "none", "imageID": "", "ready": False, "restartCount": 0}
        status = {"phase": phase, "containerStatuses": [container | {"state": state}]}
        with suppress(ApiError):  # it is gone
            await self.api.merge(f"{POD.path(self.namespace, name)}/status", {"status": status})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
