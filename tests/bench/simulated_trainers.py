"""Trainers with progress reports like those of pods: over TLS, with tokens bound to the pods, every five seconds."""

import asyncio
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from simulated_cluster import Namespace, in_parallel

from tweetmodel_operator import names

PORT = 18443
INTERVAL_SECONDS = 5.0


def create_certificate(directory: Path) -> Path:
    """Create a certificate for this machine in a folder, like the mounted folder of the chart; return the folder."""
    directory.mkdir(parents=True, exist_ok=True)
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(directory / "tls.key"), "-out", str(directory / "tls.crt")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    (directory / "ca.crt").write_bytes((directory / "tls.crt").read_bytes())
    return directory


@dataclass
class Trainers:
    """Progress reports of the Jobs in a namespace, and the age of the progress in the statuses."""

    namespace: Namespace
    directory: Path
    """Folder of the certificate."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Token of the pod of each TweetModel."""
    posted: dict[str, list[float]] = field(default_factory=dict)
    """Times of the reports of each TweetModel."""
    ages: list[float] = field(default_factory=list)
    """Age of each report in a status at its replacement by the next report."""

    async def start(self, name: str) -> None:
        """Start the pod of a TweetModel's Job and request its token."""
        pod = await self.namespace.run_pod(self.namespace.jobs[name])
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        path = f"/api/v1/namespaces/{self.namespace.name}/serviceaccounts/default/token"
        request = {"audiences": [names.AUDIENCE], "boundObjectRef": bound}
        self.tokens[name] = (await self.namespace.api.create(path, {"spec": request}))["status"]["token"]
        self.posted[name] = []

    async def report(self, session: aiohttp.ClientSession, name: str) -> None:
        """Report progress at the interval, until canceled."""
        url = f"https://127.0.0.1:{PORT}/namespaces/{self.namespace.name}/tweetmodels/{name}/status"
        headers = {"Authorization": f"Bearer {self.tokens[name]}"}
        times = self.posted[name]
        await asyncio.sleep(hash(name) % 100 / 100 * INTERVAL_SECONDS)
        while True:
            metrics = [{"name": "step", "value": str(len(times))}, {"name": "loss", "value": "2.5"}]
            times.append(time.perf_counter())
            status = {"progressPercentage": len(times), "estimatedRemainingSeconds": 600, "metrics": metrics}
            async with session.post(url, json={"trainerStatus": status}, headers=headers) as response:
                response.raise_for_status()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def watch(self) -> None:
        """Follow the progress in the statuses, until canceled."""
        shown: dict[str, int] = {}
        async for event in self.namespace.tweetmodel_events():
            name, progress = event["object"]["metadata"]["name"], event["object"].get("status", {}).get("progress")
            if not progress or name not in self.posted:
                continue
            step = int(next(metric["value"] for metric in progress["metrics"] if metric["name"] == "step"))
            if step != shown.get(name):
                if name in shown:
                    self.ages.append(time.perf_counter() - self.posted[name][shown[name]])
                shown[name] = step

    async def run(self, count: int, seconds: float) -> None:
        """Run a number of trainers for some seconds."""
        tweetmodels = sorted(self.namespace.jobs)[:count]
        await in_parallel(self.start, tweetmodels)
        context = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=0)) as session:
            tasks = [asyncio.create_task(self.watch())]
            tasks += [asyncio.create_task(self.report(session, name)) for name in tweetmodels]
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                task.cancel()
            for task in done:
                task.result()
