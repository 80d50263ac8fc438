"""A namespace with an operator of its own behind a proxy, a played kubelet, and a record of every Job that was made."""

import asyncio
import itertools
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from api_client import Client
from faults.fake_kubelet import Kubelet
from faults.operator_process import Process
from faults.proxy import Fault, Proxy, certified, proxy
from kubectl import TESTS, tweetmodel

from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, JsonObject, tweetmodel_path, tweetmodels_path
from tweetmodel_operator.children import JOB

NAME = "ada"
NOBODY = '{"schedulerName": "nobody"}'
"""Placement by which no real node takes a pod."""
QUIET_SECONDS = 1.5
"""The Job controller looks at a pod's end once a second."""

PATIENCE_SECONDS = 120.0
"""For each turn of a life: the machine may be busy."""

PROBE_SECONDS, PROBE_FAILURES = 10, 3
ASKED = ("suspend", "ttlSecondsAfterFinished")
"""Of a Job's spec, what the operator changes."""

_numbers = itertools.count()


@dataclass
class World:
    """What a test does to a TweetModel and its operator, and what it sees of them."""

    api: Client
    namespace: str
    proxy: Proxy
    operator: Process
    kubelet: Kubelet
    made: list[tuple[str, str, str]] = field(default_factory=list)
    """Stage, identity and attempt of each Job that was ever made."""
    events: list[tuple[str, str]] = field(default_factory=list)
    """Reason and note of each event that was told of the TweetModel."""
    at_rest: bool = False
    """Whether the operator is not to be started again."""

    async def apply(self, **changes: Any) -> None:
        """As a user does; `changes` replace whole fields of the spec."""
        document = tweetmodel(NAME)
        document["spec"] |= {"resources": {}} | changes
        try:
            await self.api.create(tweetmodels_path(self.namespace), document)
        except ApiError as error:
            if error.code != 409:
                raise
            await self.patch({"spec": changes})

    async def patch(self, body: JsonObject) -> None:
        """A merge patch of the TweetModel."""
        await self.api.merge(tweetmodel_path(self.namespace, NAME), body)

    async def touch(self) -> None:
        """Changes something that nobody minds: whoever watches hears of it."""
        await self.patch({"metadata": {"annotations": {"somebody": str(next(_numbers))}}})

    async def tweetmodel(self) -> JsonObject | None:
        """The TweetModel; None where it is gone."""
        try:
            return await self.api.get(tweetmodel_path(self.namespace, NAME))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason of each condition, where it speaks of the present spec."""
        found = await self.tweetmodel() or {"metadata": {}}
        status = found.get("status", {})
        if status.get("observedGeneration") != found["metadata"].get("generation"):
            return {}
        return {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", [])}

    async def jobs(self) -> list[JsonObject]:
        """The Jobs that are there."""
        items: list[JsonObject] = (await self.api.get(JOB.path(self.namespace)))["items"]
        return items

    async def until(self, true: Callable[[], Awaitable[object]], seconds: float = PATIENCE_SECONDS) -> float:
        """Waits until something is true; returns how long that took."""
        began = time.monotonic()
        while not await true():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not so after {seconds} s: {await self.story()}")
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    async def until_ready(self, seconds: float = PATIENCE_SECONDS) -> float:
        """Waits until the model of the present spec is there."""
        return await self.until(self._is_ready, seconds)

    async def _is_ready(self) -> bool:
        return (await self.conditions()).get("Ready", ("", ""))[0] == "True"

    async def until_reason(self, reason: str, seconds: float = PATIENCE_SECONDS) -> float:
        """Waits until Ready says why it is not."""

        async def said() -> bool:
            return (await self.conditions()).get("Ready", ("", ""))[1] == reason

        return await self.until(said, seconds)

    async def until_running(self, stage: str, seconds: float = PATIENCE_SECONDS) -> float:
        """Waits until a pod of a stage runs."""

        async def runs() -> bool:
            return self.kubelet.runs(stage)

        return await self.until(runs, seconds)

    async def until_quiet(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits until Jobs that have ended have their TTL, those that are deleted are gone, and nothing is written."""

        async def is_quiet() -> bool:
            jobs = await self.jobs()
            settled = all("ttlSecondsAfterFinished" in job["spec"] for job in jobs if _has_ended(job))
            settled = settled and not any("deletionTimestamp" in job["metadata"] for job in jobs)
            return settled and self.operator.alive and time.monotonic() - self.proxy.wrote > QUIET_SECONDS

        await self.until(is_quiet, seconds)

    async def story(self) -> JsonObject:
        """How it stands, for whoever reads why a test failed."""
        found = await self.tweetmodel()
        log = self.operator.log.read_text().splitlines()[-5:]
        return {"status": found and found.get("status"), "made": self.made, "writes": self.proxy.writes, "log": log}

    async def essence(self) -> JsonObject:
        """What is the same in every world that this was done to: without times, uids and what is named after them."""
        found = await self.tweetmodel()
        kept = {"spec": found["spec"], "status": found.get("status")} if found else {}
        jobs = [(*_labels(job), *(job["spec"].get(n) for n in ASKED), _has_ended(job)) for job in await self.jobs()]
        return {
            "tweetmodel": _timeless(kept, self.namespace),
            "held": found["metadata"].get("finalizers", []) if found else None,
            "jobs": sorted(jobs),
            "made": sorted(self.made),
        }

    async def watch_jobs(self) -> None:
        """Keeps the record of Jobs until cancelled."""
        async for event in self.api.watch(JOB.path(self.namespace)):
            if event["type"] == "ADDED":
                self.made.append(_labels(event["object"]))

    async def watch_events(self) -> None:
        """Keeps the record of events until cancelled."""
        async for event in self.api.watch(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"):
            told = event["object"]
            if event["type"] == "ADDED" and told["regarding"]["kind"] == "TweetModel":
                self.events.append((told["reason"], told["note"]))

    async def keep_running(self) -> None:
        """Starts the operator again whenever it has ended, unless it is told to rest."""
        while True:
            if not (self.operator.alive or self.at_rest):
                self.operator.start()
            await asyncio.sleep(0.05)

    async def probe(self) -> None:
        """Kills the operator when its liveness probe fails, as the kubelet does (the chart leaves its defaults)."""
        failures, url = 0, f"http://127.0.0.1:{self.operator.settings['metrics_port']}/healthz"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                await asyncio.sleep(PROBE_SECONDS)
                try:
                    async with session.get(url) as answer:
                        failures = 0 if answer.status < 400 else failures + 1
                except (aiohttp.ClientError, TimeoutError):
                    failures += 1
                if failures >= PROBE_FAILURES:
                    failures = 0
                    self.operator.kill()

    def rest(self) -> None:
        """Ends the operator until `wake`."""
        self.at_rest = True
        self.operator.kill()

    def wake(self) -> None:
        """Lets it run again."""
        self.at_rest = False


@asynccontextmanager
async def world(folder: Path, fault: Fault | None = None, token: str = "", **settings: str) -> AsyncIterator[World]:
    """A new world; its operator starts with it.

    Args:
        folder: for the kubeconfig and the operator's log.
        fault: that is there from the beginning.
        token: that a pod's service account has, in the file `token` of the folder; without, it comes by kubeconfig.
        settings: of the operator.
    """
    folder.mkdir(parents=True, exist_ok=True)
    api = await Client.connect()
    namespace = f"faults-{os.getpid()}-{time.time_ns() // 10**6 % 10**7}-{next(_numbers)}"
    await api.create("/api/v1/namespaces", {"metadata": {"name": namespace, "labels": {TESTS: ""}}})
    (folder / "token").write_text(token)
    async with proxy(certified(folder) if token else None) as made:
        made.fault = fault or Fault()
        in_pod = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(made.port)} if token else {}
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(made.kubeconfig())
        own = {"watch_namespaces": namespace, "metrics_port": str(await _free_port()), "collect_placement": NOBODY}
        operator = Process(kubeconfig, folder / "operator.log", own | {"train_placement": NOBODY} | settings, in_pod)
        operator.log.touch()
        operator.start()  # the first one of a process waits for all that it imports
        this = World(api, namespace, made, operator, Kubelet(api, namespace))
        tasks = [
            asyncio.create_task(work)
            for work in (
                this.kubelet.work(),
                this.watch_jobs(),
                this.watch_events(),
                this.keep_running(),
                this.probe(),
            )
        ]
        try:
            yield this
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            operator.kill()
            await api.delete(f"/api/v1/namespaces/{namespace}")
            await api.close()


async def _free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
    return port


def _labels(job: JsonObject) -> tuple[str, str, str]:
    labels = job["metadata"]["labels"]
    identity = "of its uid" if labels[names.STEP_LABEL] == "purge" else labels[names.STEP_ID_LABEL]
    return labels[names.STEP_LABEL], identity, labels[names.ATTEMPT_LABEL]


def _has_ended(job: JsonObject) -> str:
    conditions = job.get("status", {}).get("conditions", [])
    return next((c["type"] for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"), "")


def _timeless(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v, namespace) for k, v in value.items() if not k.endswith("Time") and k != "job"}
    if isinstance(value, list):
        return [_timeless(v, namespace) for v in value]
    if isinstance(value, str):
        return re.sub(rf"{NAME}-(collect|train|purge)-[0-9a-f]{{10}}", r"\1", value).replace(namespace, "NAMESPACE")
    return value
