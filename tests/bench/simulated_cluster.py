"""A cluster without running pods: the benchmark writes in place of the Job controller and the kubelet.

API server and etcd are real; controller manager and scheduler are stopped, so that the figures of operator and bare
client do not contain their work.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from api_client import Client
from tweetmodels import tweetmodel

from fakes import objects
from fakes.trainer import successful_report
from tweetmodel_api import API_VERSION, PLURAL
from tweetmodel_api.report import Report
from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, JsonObject, tweetmodel_path, tweetmodels_path
from tweetmodel_operator.children import JOB, POD

CONCURRENT_REQUESTS = 8
"""Concurrent requests of a client; the operator has as many workers."""
SAMPLES = tuple(f"{number} " + "a tweet as people write them, " * 5 for number in range(10))
"""Samples of the usual length."""


async def in_parallel(work: Callable[[Any], Awaitable[object]], items: Iterable[Any]) -> None:
    """Process items with as many concurrent requests as the operator."""
    remaining = iter(items)

    async def worker() -> None:
        for item in remaining:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENT_REQUESTS):
            group.create_task(worker())


@dataclass
class Namespace:
    """A namespace of TweetModels, with the state reported by the watches."""

    api: Client
    name: str
    working: set[str] = field(default_factory=set)
    """TweetModels with a status and a Job."""
    ready: set[str] = field(default_factory=set)
    """Ready TweetModels."""
    stalled: dict[str, float] = field(default_factory=dict)
    """Time at which a TweetModel was first seen to be stalled."""
    jobs: dict[str, JsonObject] = field(default_factory=dict)
    """The newest Job of each TweetModel."""
    seen: dict[str, float] = field(default_factory=dict)
    """Time at which the first Job of a TweetModel was seen."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    finishing: asyncio.Queue[JsonObject] | None = None
    """Jobs to finish; None unless `finish_jobs` runs."""
    _with_status: set[str] = field(default_factory=set)

    async def empty(self) -> None:
        """Delete all objects of the benchmark: no garbage collector runs."""
        events_path = f"/apis/events.k8s.io/v1/namespaces/{self.name}/events"
        for path in (tweetmodels_path(self.name), JOB.path(self.name), POD.path(self.name), events_path):
            await self.api.delete_collection(path)

    async def watch_tweetmodels(self) -> None:
        """Follow the TweetModels until canceled."""
        async for event in self.tweetmodel_events():
            item = event["object"]
            if event["type"] not in ("ADDED", "MODIFIED"):
                continue
            name, status = item["metadata"]["name"], item.get("status", {})
            conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
            if conditions:
                self._with_status.add(name)
                if name in self.jobs:
                    self.working.add(name)
            if conditions.get("Ready") == "True":
                self.ready.add(name)
            if conditions.get("Stalled") == "True":
                self.stalled.setdefault(name, time.perf_counter())
            self.changed.set()

    async def watch_jobs(self) -> None:
        """Follow the Jobs until canceled."""
        async for event in self.api.watch(JOB.path(self.name)):
            if event["type"] != "ADDED":
                continue
            job = event["object"]
            name = job["metadata"]["labels"][names.NAME_LABEL]
            self.jobs[name] = job
            self.seen.setdefault(name, time.perf_counter())
            if name in self._with_status:
                self.working.add(name)
            if self.finishing:
                self.finishing.put_nowait(job)
            self.changed.set()

    async def until(self, is_true: Callable[[], object], seconds: float = 1800) -> None:
        """Wait until the watches have reported a state."""
        async with asyncio.timeout(seconds):
            while not is_true():
                self.changed.clear()
                await self.changed.wait()

    async def apply(self, name: str) -> None:
        """Create a TweetModel as a user."""
        await self.api.create(tweetmodels_path(self.name), tweetmodel(name))

    def tweetmodel_events(self) -> AsyncIterator[JsonObject]:
        """Return the watch events of the TweetModels."""
        return self.api.watch(tweetmodels_path(self.name))

    async def create_pod(self, job: JsonObject) -> JsonObject:
        """Create a pod of a Job as the Job controller; no scheduler assigns the pod to a node."""
        return await self.api.create(POD.path(self.name), objects.pod(job, created_at=_now()))

    async def run_pod(self, job: JsonObject) -> JsonObject:
        """Create a pod of a Job and report its start as the kubelet."""
        pod = await self.create_pod(job)
        await self._set_status(POD.path(self.name, pod["metadata"]["name"]), objects.running(_now()))
        return pod

    async def end_pod(self, job: JsonObject, report: Report, code: int = 0) -> None:
        """End a pod with a report as the kubelet, then the Job as the Job controller."""
        pod, now = await self.create_pod(job), _now()
        ended = objects.terminated(code, report, started_at=now, at=now)
        await self._set_status(POD.path(self.name, pod["metadata"]["name"]), ended)
        end = objects.job_failed if code else objects.job_complete
        await self._set_status(JOB.path(self.name, job["metadata"]["name"]), end(at=now, started_at=now))

    async def _set_status(self, path: str, status: JsonObject) -> None:
        await self.api.merge(f"{path}/status", {"status": status})

    async def finish(self, job: JsonObject) -> None:
        """Let a Job succeed, with a report of the usual length."""
        await self.end_pod(job, successful_report(objects.plan_of(job), samples=SAMPLES))

    async def finish_jobs(self, tweetmodels: set[str]) -> None:
        """Finish all present and future Jobs of these TweetModels, until canceled."""
        self.finishing = asyncio.Queue()
        for job in self.jobs.values():
            self.finishing.put_nowait(job)

        async def worker() -> None:
            assert self.finishing
            while True:
                job = await self.finishing.get()
                if job["metadata"]["labels"][names.NAME_LABEL] in tweetmodels:
                    await self.finish(job)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENT_REQUESTS):
                group.create_task(worker())


@dataclass(frozen=True)
class FirstWrites:
    """The operator's first objects for a TweetModel, for writes by a bare client."""

    job: JsonObject
    status: JsonObject

    @classmethod
    async def read(cls, namespace: Namespace, name: str) -> "FirstWrites":
        """Read the Job and the status of a TweetModel."""
        api = namespace.api
        return cls(
            await api.get(JOB.path(namespace.name, namespace.jobs[name]["metadata"]["name"])),
            (await api.get(tweetmodel_path(namespace.name, name)))["status"],
        )

    async def write(self, namespace: Namespace, name: str) -> None:
        """Write a TweetModel with its Job and its status."""
        api = namespace.api
        created = await api.create(tweetmodels_path(namespace.name), tweetmodel(name))
        own = {"name": name, "namespace": namespace.name, "uid": created["metadata"]["uid"]}
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
    """Await a request, and ignore a rejection with this code."""
    try:
        await request
    except ApiError as error:
        if error.code != code:
            raise


async def count_writes(api: Client) -> float:
    """Return the writes of all clients to TweetModels, Jobs and events, as the API server counts them."""
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
