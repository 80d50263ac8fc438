"""A cluster in which nothing runs: what the Job controller and the kubelet would write is written from here.

API server and etcd are real; controller manager and scheduler are stopped, so that their work is neither in the
operator's figures nor in the bare client's.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from api_client import Client
from tweetmodels import tweetmodel

from makers import dataset, model, success
from tweetmodel_api import API_VERSION, PLURAL
from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report, encode
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, JsonObject, tweetmodel_path
from tweetmodel_operator.children import JOB, POD

AT_ONCE = 8
"""Requests of a client at a time; the operator has as many workers."""


def tweetmodels_path(namespace: str) -> str:
    return tweetmodel_path(namespace, "").rstrip("/")


async def in_parallel(work: Callable[[Any], Awaitable[object]], items: Iterable[Any]) -> None:
    """Works through the items, as many at a time as the operator does."""
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())


@dataclass
class Namespace:
    """A namespace of TweetModels, and who writes there."""

    api: Client
    name: str
    working: set[str] = field(default_factory=set)
    """TweetModels that have a status and a Job."""
    ready: set[str] = field(default_factory=set)
    """TweetModels that are Ready."""
    stalled: dict[str, float] = field(default_factory=dict)
    """When a TweetModel was first seen to wait for a person."""
    jobs: dict[str, JsonObject] = field(default_factory=dict)
    """The newest Job of each TweetModel."""
    seen: dict[str, float] = field(default_factory=dict)
    """When a TweetModel's first Job was seen."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    finishing: asyncio.Queue[JsonObject] | None = None
    """Jobs to be finished, while lives are played to their end."""
    _statuses: set[str] = field(default_factory=set)

    async def empty(self) -> None:
        """Deletes what is in it: no garbage collector runs."""
        events_path = f"/apis/events.k8s.io/v1/namespaces/{self.name}/events"
        for path in (tweetmodels_path(self.name), JOB.path(self.name), POD.path(self.name), events_path):
            await self.api.delete_collection(path)

    async def watch_tweetmodels(self) -> None:
        async for event in self.tweetmodel_events():
            item = event["object"]
            if event["type"] not in ("ADDED", "MODIFIED"):
                continue
            name, status = item["metadata"]["name"], item.get("status", {})
            conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
            if conditions:
                self._statuses.add(name)
                if name in self.jobs:
                    self.working.add(name)
            if conditions.get("Ready") == "True":
                self.ready.add(name)
            if conditions.get("Stalled") == "True":
                self.stalled.setdefault(name, time.perf_counter())
            self.changed.set()

    async def watch_jobs(self) -> None:
        async for event in self.api.watch(JOB.path(self.name)):
            if event["type"] != "ADDED":
                continue
            job = event["object"]
            name = job["metadata"]["labels"][names.NAME_LABEL]
            self.jobs[name] = job
            self.seen.setdefault(name, time.perf_counter())
            if name in self._statuses:
                self.working.add(name)
            if self.finishing:
                self.finishing.put_nowait(job)
            self.changed.set()

    async def until(self, true: Callable[[], object], seconds: float = 1800) -> None:
        """Waits until something that the watches show is true."""
        async with asyncio.timeout(seconds):
            while not true():
                self.changed.clear()
                await self.changed.wait()

    async def apply(self, name: str) -> None:
        """As a user does."""
        await self.api.create(tweetmodels_path(self.name), tweetmodel(name))

    def tweetmodel_events(self) -> AsyncIterator[JsonObject]:
        return self.api.watch(tweetmodels_path(self.name))

    async def start_pod(self, job: JsonObject) -> JsonObject:
        """A pod of the Job, which is never scheduled."""
        metadata, template = job["metadata"], job["spec"]["template"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        pod = {
            "metadata": {
                "name": f"{metadata['name']}-0",
                "labels": template["metadata"]["labels"],
                "annotations": template["metadata"].get("annotations", {}),
                "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
            },
            "spec": template["spec"],
        }
        return await self.api.create(POD.path(self.name), pod)

    async def run_pod(self, job: JsonObject) -> JsonObject:
        """A pod of the Job, which runs."""
        pod = await self.start_pod(job)
        await self._say(pod, "Running", {"running": {"startedAt": _now()}})
        return pod

    async def _say(self, pod: JsonObject, phase: str, state: JsonObject) -> None:
        container = {"name": names.CONTAINER, "image": "none", "imageID": "", "ready": False, "restartCount": 0}
        status = {"phase": phase, "containerStatuses": [container | {"state": state}]}
        await self.api.merge(f"{POD.path(self.name, pod['metadata']['name'])}/status", {"status": status})

    async def end_pod(self, job: JsonObject, report: Report, code: int = 0) -> None:
        """A pod of the Job has run and ended, as the kubelet would say it; then the Job has, as its controller does."""
        metadata = job["metadata"]
        now = _now()
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": encode(report)}
        state = {"terminated": ended | {"startedAt": now, "finishedAt": now, "containerID": ""}}
        await self._say(await self.start_pod(job), "Failed" if code else "Succeeded", state)
        when = {"lastTransitionTime": now, "lastProbeTime": now, "message": "played", "status": "True"}
        kinds = ("FailureTarget", "Failed") if code else ("SuccessCriteriaMet", "Complete")
        reason = "PodFailurePolicy" if code else "CompletionsReached"
        status: JsonObject = {
            "startTime": now,
            "conditions": [when | {"type": kind, "reason": reason} for kind in kinds],
            "failed" if code else "succeeded": 1,
        }
        if not code:
            status["completionTime"] = now
        await self.api.merge(f"{JOB.path(self.name, metadata['name'])}/status", {"status": status})

    async def finish(self, job: JsonObject) -> None:
        """The stage succeeds, with a report as long as a trainer's."""
        plan = Plan.model_validate_json(job["spec"]["template"]["metadata"]["annotations"][names.PLAN_ANNOTATION])
        if plan.step == "collect":
            await self.end_pod(job, success(dataset=dataset()))
            return
        assert plan.run
        samples = [f"{number} " + "a tweet as people write them, " * 5 for number in range(10)]
        await self.end_pod(job, success(model=model(plan.run, plan.spec), samples=samples))

    async def finish_some(self, chosen: set[str]) -> None:
        """Finishes each Job of these TweetModels that is there and each that comes, until cancelled."""
        self.finishing = asyncio.Queue()
        for job in self.jobs.values():
            self.finishing.put_nowait(job)

        async def player() -> None:
            assert self.finishing
            while True:
                job = await self.finishing.get()
                if job["metadata"]["labels"][names.NAME_LABEL] in chosen:
                    await self.finish(job)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(player())


@dataclass(frozen=True)
class Written:
    """What the operator writes at first for a TweetModel, to be written again by a client without an operator."""

    job: JsonObject
    status: JsonObject

    @classmethod
    async def read(cls, namespace: Namespace, name: str) -> "Written":
        api = namespace.api
        return cls(
            await api.get(JOB.path(namespace.name, namespace.jobs[name]["metadata"]["name"])),
            (await api.get(tweetmodel_path(namespace.name, name)))["status"],
        )

    async def write(self, namespace: Namespace, name: str) -> None:
        """TweetModel, Job and status of one name."""
        api = namespace.api
        made = await api.create(tweetmodels_path(namespace.name), tweetmodel(name))
        own = {"name": name, "namespace": namespace.name, "uid": made["metadata"]["uid"]}
        old = self.job["metadata"]
        metadata = {
            "name": f"{name}-collect-00000000",
            "labels": old["labels"] | {names.NAME_LABEL: name},
            "annotations": old["annotations"],
            "ownerReferences": [old["ownerReferences"][0] | {"name": name, "uid": own["uid"]}],
        }
        template = self.job["spec"]["template"]
        labels = {k: v for k, v in template["metadata"]["labels"].items() if "job" not in k and "controller" not in k}
        pod = {"metadata": template["metadata"] | {"labels": labels}, "spec": template["spec"]}
        spec = {k: v for k, v in self.job["spec"].items() if k != "selector"} | {"template": pod}
        await api.create(JOB.path(namespace.name), {"metadata": metadata, "spec": spec})
        body = {"apiVersion": API_VERSION, "kind": "TweetModel", "metadata": own, "status": self.status}
        await api.apply(tweetmodel_path(namespace.name, name) + "/status", body, names.FIELD_MANAGER)


async def accepting(code: int, request: Awaitable[JsonObject]) -> None:
    try:
        await request
    except ApiError as error:
        if error.code != code:
            raise


async def writes_seen(api: Client) -> float:
    """Writes to TweetModels, Jobs and events that the API server has counted, whoever made them."""
    kinds = tuple(f'resource="{kind}"' for kind in (PLURAL, "jobs", "events"))
    reads = tuple(f'verb="{verb}"' for verb in ("GET", "LIST", "WATCH"))
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in (await api.text("/metrics")).splitlines()
        if line.startswith("apiserver_request_total{")
        and any(kind in line for kind in kinds)
        and not any(verb in line for verb in reads)
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
