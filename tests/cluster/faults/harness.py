"""A namespace with its own operator behind a fault proxy, a fake kubelet, and a record of all Jobs and events."""

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
from debug_info import debug_info
from faults.fake_kubelet import FakeKubelet
from faults.operator_process import OperatorProcess
from faults.proxy import Fault, Proxy, create_tls, start_proxy
from kubectl import TEST_LABEL
from tweetmodels import tweetmodel
from waiting import MAX_WAIT_SECONDS, ProgressDeadline

from tweetmodel_operator import names
from tweetmodel_operator.api_server import ApiError, JsonObject, tweetmodel_path, tweetmodels_path
from tweetmodel_operator.children import JOB

NAME = "ada"
NO_SCHEDULER = '{"schedulerName": "nobody"}'
"""Placement with a scheduler that does not exist, so that no node runs the pod."""
IDLE_SECONDS = 1.5
"""Seconds without a write after which the operator is idle: the Job controller syncs the end of a pod each second."""

PROBE_SECONDS, PROBE_FAILURES = 10, 3
MUTABLE_JOB_FIELDS = ("suspend", "ttlSecondsAfterFinished")
"""Fields of a Job's spec that the operator changes."""

_numbers = itertools.count()


@dataclass
class Harness:
    """A TweetModel, its operator and its cluster, as a test controls and observes them."""

    api: Client
    namespace: str
    proxy: Proxy
    operator: OperatorProcess
    kubelet: FakeKubelet
    created_jobs: list[tuple[str, str, str]] = field(default_factory=list)
    """Step, step ID and attempt of each Job that was ever created."""
    events: list[tuple[str, str]] = field(default_factory=list)
    """Reason and note of each event about the TweetModel."""
    stopped: bool = False
    """True while the operator must not be restarted."""

    async def apply(self, **changes: Any) -> None:
        """Create the TweetModel, or change fields of its spec."""
        document = tweetmodel(NAME)
        document["spec"] |= {"resources": {}} | changes
        try:
            await self.api.create(tweetmodels_path(self.namespace), document)
        except ApiError as error:
            if error.code != 409:
                raise
            await self.patch({"spec": changes})

    async def patch(self, body: JsonObject) -> None:
        """Apply a merge patch to the TweetModel."""
        await self.api.merge(tweetmodel_path(self.namespace, NAME), body)

    async def touch(self) -> None:
        """Change an annotation without meaning, so that watches get an event."""
        await self.patch({"metadata": {"annotations": {"somebody": str(next(_numbers))}}})

    async def tweetmodel(self) -> JsonObject | None:
        """Return the TweetModel; None if it is gone."""
        try:
            return await self.api.get(tweetmodel_path(self.namespace, NAME))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def conditions(self) -> dict[str, tuple[str, str]]:
        """Return status and reason of each condition, if the status describes the current generation."""
        found = await self.tweetmodel() or {"metadata": {}}
        status = found.get("status", {})
        if status.get("observedGeneration") != found["metadata"].get("generation"):
            return {}
        return {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", [])}

    async def jobs(self) -> list[JsonObject]:
        """Return the existing Jobs."""
        items: list[JsonObject] = (await self.api.get(JOB.path(self.namespace)))["items"]
        return items

    async def wait_until(
        self, condition: Callable[[], Awaitable[object]], description: str, max_seconds: float = MAX_WAIT_SECONDS
    ) -> None:
        """Wait until a condition is true, as long as the namespace changes.

        Raises:
            WaitTimeout: nothing has changed for too long, or the wait has taken too long.
        """
        deadline = ProgressDeadline(description, max_seconds=max_seconds)
        while not await condition():
            deadline.observe(self._snapshot())
            await asyncio.sleep(0.1)

    def _snapshot(self) -> object:
        """Return a value that changes with each write, Job, event, pod, log line and start of the operator."""
        log_bytes = self.operator.log.stat().st_size
        counts = (len(self.proxy.writes), len(self.created_jobs), len(self.events), self.operator.starts)
        return counts, log_bytes, sorted(self.kubelet.pods)

    async def wait_ready(self, max_seconds: float = MAX_WAIT_SECONDS) -> None:
        """Wait until the TweetModel is ready."""

        async def is_ready() -> bool:
            return (await self.conditions()).get("Ready", ("", ""))[0] == "True"

        await self.wait_until(is_ready, "ready TweetModel", max_seconds)

    async def wait_reason(self, reason: str) -> None:
        """Wait until the condition Ready has a reason."""

        async def has_reason() -> bool:
            return (await self.conditions()).get("Ready", ("", ""))[1] == reason

        await self.wait_until(has_reason, f"reason {reason}")

    async def wait_running(self, step: str) -> None:
        """Wait until a pod for a step runs."""

        async def runs() -> bool:
            return self.kubelet.runs(step)

        await self.wait_until(runs, f"running {step} pod")

    async def wait_idle(self) -> None:
        """Wait until finished Jobs have a TTL, deleted Jobs are gone, and the operator writes nothing more."""
        await self.wait_until(self._is_idle, "idle operator")

    async def _is_idle(self) -> bool:
        jobs = await self.jobs()
        if any("deletionTimestamp" in job["metadata"] for job in jobs):
            return False
        if not all("ttlSecondsAfterFinished" in job["spec"] for job in jobs if _end(job)):
            return False
        return self.operator.alive and time.monotonic() - self.proxy.last_write > IDLE_SECONDS

    async def normalized_state(self) -> JsonObject:
        """Return the state without times, UIDs and names derived from UIDs, to compare different harnesses."""
        found = await self.tweetmodel()
        kept = {"spec": found["spec"], "status": found.get("status")} if found else {}
        jobs = [
            (*_labels(job), *(job["spec"].get(name) for name in MUTABLE_JOB_FIELDS), _end(job))
            for job in await self.jobs()
        ]
        return {
            "tweetmodel": _normalize(kept, self.namespace),
            "finalizers": found["metadata"].get("finalizers", []) if found else None,
            "jobs": sorted(jobs),
            "created_jobs": sorted(self.created_jobs),
        }

    def stop_operator(self) -> None:
        """Kill the operator, and do not restart it until `start_operator`."""
        self.stopped = True
        self.operator.kill()

    def start_operator(self) -> None:
        """Let the operator run again."""
        self.stopped = False

    async def watch_jobs(self) -> None:
        """Record created Jobs until canceled."""
        async for event in self.api.watch(JOB.path(self.namespace)):
            if event["type"] == "ADDED":
                self.created_jobs.append(_labels(event["object"]))

    async def watch_events(self) -> None:
        """Record events until canceled."""
        async for change in self.api.watch(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"):
            event = change["object"]
            if change["type"] == "ADDED" and event["regarding"]["kind"] == "TweetModel":
                self.events.append((event["reason"], event["note"]))

    async def restart_operator(self) -> None:
        """Restart the operator whenever it has ended, unless it is stopped."""
        while True:
            if not (self.operator.alive or self.stopped):
                self.operator.start()
            await asyncio.sleep(0.05)

    async def probe(self) -> None:
        """Kill the operator when its liveness probe fails, like the kubelet with the defaults of a probe."""
        failures, url = 0, f"http://127.0.0.1:{self.operator.settings['metrics_port']}/healthz"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                await asyncio.sleep(PROBE_SECONDS)
                try:
                    async with session.get(url) as response:
                        failures = 0 if response.status < 400 else failures + 1
                except (aiohttp.ClientError, TimeoutError):
                    failures += 1
                if failures >= PROBE_FAILURES:
                    failures = 0
                    self.operator.kill()

    def debug_info(self) -> str:
        """Return the state of the namespace, and the writes of the operator."""
        own = (f"  {len(self.proxy.writes)} writes of {self.operator.starts} operators:", *self.proxy.writes[-40:])
        return "\n  ".join(own) + "\n" + debug_info(self.namespace, self.operator.log)


@asynccontextmanager
async def start_harness(
    folder: Path, fault: Fault | None = None, token: str = "", **settings: str
) -> AsyncIterator[Harness]:
    """Yield a harness in a new namespace, with a running operator; print the state if the test fails.

    Args:
        folder: folder for the kubeconfig and the operator's log.
        fault: initial fault.
        token: token of the pod's ServiceAccount, in the file `token` of the folder; empty to use the kubeconfig.
        settings: settings of the operator.
    """
    folder.mkdir(parents=True, exist_ok=True)
    api = await Client.connect()
    namespace = f"faults-{os.getpid()}-{time.time_ns() // 10**6 % 10**7}-{next(_numbers)}"
    await api.create("/api/v1/namespaces", {"metadata": {"name": namespace, "labels": {TEST_LABEL: ""}}})
    (folder / "token").write_text(token)
    async with start_proxy(create_tls(folder) if token else None) as proxy:
        proxy.fault = fault or Fault()
        operator = await _create_operator(folder, namespace, proxy, token, settings)
        operator.start()  # the first start in a test process waits for the imports
        harness = Harness(api, namespace, proxy, operator, FakeKubelet(api, namespace))
        coroutines = (
            harness.kubelet.run(),
            harness.watch_jobs(),
            harness.watch_events(),
            harness.restart_operator(),
            harness.probe(),
        )
        tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
        try:
            yield harness
        except BaseException:
            print(f"State of namespace {namespace}:\n{harness.debug_info()}")  # pytest adds the output to its report
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            operator.kill()
            await api.delete(f"/api/v1/namespaces/{namespace}")
            await api.close()


async def _create_operator(
    folder: Path, namespace: str, proxy: Proxy, token: str, settings: dict[str, str]
) -> OperatorProcess:
    pod = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(proxy.port)} if token else {}
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(proxy.kubeconfig())
    own = {
        "watch_namespaces": namespace,
        "metrics_port": str(await _free_port()),
        "collect_placement": NO_SCHEDULER,
        "train_placement": NO_SCHEDULER,
    }
    operator = OperatorProcess(kubeconfig, folder / "operator.log", own | settings, pod)
    operator.log.touch()
    return operator


async def _free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
    return port


def _labels(job: JsonObject) -> tuple[str, str, str]:
    labels = job["metadata"]["labels"]
    step_id = "of its uid" if labels[names.STEP_LABEL] == "purge" else labels[names.STEP_ID_LABEL]
    return labels[names.STEP_LABEL], step_id, labels[names.ATTEMPT_LABEL]


def _end(job: JsonObject) -> str:
    """Return the condition that ended a Job; empty if the Job has not ended."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((c["type"] for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"), "")


def _normalize(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return {k: _normalize(v, namespace) for k, v in value.items() if not k.endswith("Time") and k != "job"}
    if isinstance(value, list):
        return [_normalize(v, namespace) for v in value]
    if isinstance(value, str):
        value = re.sub(rf"{NAME}-(collect|train|sample|publish|purge)-[0-9a-f]{{10}}", r"\1", value)
        return value.replace(namespace, "NAMESPACE")
    return value
