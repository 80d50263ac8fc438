"""Trainers that report progress as pods do: over TLS, with tokens bound to their pods, every five seconds."""

import asyncio
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from played_cluster import Namespace, in_parallel

from tweetmodel_operator import names

PORT = 18443
EVERY_SECONDS = 5.0


def certificate(directory: Path) -> Path:
    """A folder with a certificate for this machine, as the chart mounts one."""
    directory.mkdir(parents=True, exist_ok=True)
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(directory / "tls.key"), "-out", str(directory / "tls.crt")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    (directory / "ca.crt").write_bytes((directory / "tls.crt").read_bytes())
    return directory


@dataclass
class Trainers:
    """Posts of the Jobs in a namespace, and how old what a status shows gets."""

    namespace: Namespace
    directory: Path
    tokens: dict[str, str] = field(default_factory=dict)
    posted: dict[str, list[float]] = field(default_factory=dict)
    """When each TweetModel's first, second … post went off."""
    ages: list[float] = field(default_factory=list)
    """How old a post that a status showed was when the next one took its place."""

    async def start(self, name: str) -> None:
        """The pod of a TweetModel's Job runs and has its token."""
        pod = await self.namespace.run_pod(self.namespace.jobs[name])
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        path = f"/api/v1/namespaces/{self.namespace.name}/serviceaccounts/default/token"
        wish = {"audiences": [names.AUDIENCE], "boundObjectRef": bound}
        self.tokens[name] = (await self.namespace.api.create(path, {"spec": wish}))["status"]["token"]
        self.posted[name] = []

    async def post(self, session: aiohttp.ClientSession, name: str) -> None:
        """Reports every five seconds, until cancelled."""
        url = f"https://127.0.0.1:{PORT}/namespaces/{self.namespace.name}/tweetmodels/{name}/status"
        headers = {"Authorization": f"Bearer {self.tokens[name]}"}
        times = self.posted[name]
        await asyncio.sleep(hash(name) % 100 / 100 * EVERY_SECONDS)
        while True:
            metrics = [{"name": "step", "value": str(len(times))}, {"name": "loss", "value": "2.5"}]
            times.append(time.perf_counter())
            status = {"progressPercentage": len(times), "estimatedRemainingSeconds": 600, "metrics": metrics}
            async with session.post(url, json={"trainerStatus": status}, headers=headers) as answer:
                answer.raise_for_status()
            await asyncio.sleep(EVERY_SECONDS)

    async def watch(self) -> None:
        """Follows what the statuses show."""
        shown: dict[str, int] = {}
        async for event in self.namespace.tweetmodel_events():
            name, progress = event["object"]["metadata"]["name"], event["object"].get("status", {}).get("progress")
            if not progress or name not in self.posted:
                continue
            step = int(next(m["value"] for m in progress["metrics"] if m["name"] == "step"))
            if step != shown.get(name):
                if name in shown:
                    self.ages.append(time.perf_counter() - self.posted[name][shown[name]])
                shown[name] = step

    async def run(self, count: int, seconds: float) -> None:
        """That many trainers report for a while."""
        chosen = sorted(self.namespace.jobs)[:count]
        await in_parallel(self.start, chosen)
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=0)) as session:
            tasks = [asyncio.create_task(self.watch())]
            tasks += [asyncio.create_task(self.post(session, name)) for name in chosen]
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                task.cancel()
            for task in done:
                task.result()
