"""The operator as a process of this machine, with figures of the kernel and of its own metrics."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

PORT = 18080
TICKS = os.sysconf("SC_CLK_TCK")
WRITES = ("POST", "PATCH", "DELETE")


@dataclass
class Operator:
    """A running operator."""

    pid: int
    session: aiohttp.ClientSession

    async def metrics(self) -> dict[str, float]:
        """Return the operator's metrics by name with labels."""
        async with self.session.get(f"http://127.0.0.1:{PORT}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if not x.startswith("#"))}

    async def ready(self) -> bool:
        """Return whether the readiness probe succeeds."""
        try:
            async with self.session.get(f"http://127.0.0.1:{PORT}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def until_idle(self, models: int, seconds: float = 600) -> None:
        """Wait until the operator knows a number of TweetModels and its work queue is empty."""
        async with asyncio.timeout(seconds):
            while True:
                if await self.ready():
                    now = await self.metrics()
                    known = sum(v for name, v in now.items() if name.startswith("tweetmodel_models{"))
                    if known >= models and not now["tweetmodel_queue_depth"]:
                        return
                await asyncio.sleep(0.2)

    async def requests(self, verbs: tuple[str, ...]) -> float:
        """Return the number of requests with these verbs so far."""
        now = await self.metrics()
        return sum(
            value
            for name, value in now.items()
            if name.startswith("tweetmodel_api_requests_total{") and any(f'verb="{verb}"' in name for verb in verbs)
        )

    def cpu_seconds(self) -> float:
        """Return the processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mib(self, line: str) -> float:
        """Return a line of /proc/PID/status: VmRSS, the present memory, or VmHWM, its maximum."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(x for x in status.splitlines() if x.startswith(line)).split()[1]) / 1024


@asynccontextmanager
async def operator(namespace: str, log: Path, **settings: str) -> AsyncIterator[Operator]:
    """Run the operator for one namespace of the cluster in KUBECONFIG until the block ends."""
    environment = {f"TWEETMODEL_{name.upper()}": value for name, value in settings.items()} | {
        "TWEETMODEL_WATCH_NAMESPACES": namespace,
        "TWEETMODEL_METRICS_PORT": str(PORT),
    }
    async with aiohttp.ClientSession() as session:
        if await Operator(0, session).ready():
            raise RuntimeError(f"another operator uses port {PORT}: stop it first")
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tweetmodel_operator", env=os.environ | environment, stdout=output, stderr=output
        )
    async with aiohttp.ClientSession() as session:
        running = Operator(process.pid, session)
        try:
            end = time.monotonic() + 60
            while not await running.ready():
                if process.returncode is not None or time.monotonic() > end:
                    raise RuntimeError(f"the operator did not start: see {log}")
                await asyncio.sleep(0.1)
            yield running
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()
