"""What the operator costs and how fast it is, with one, a thousand and ten thousand TweetModels.

    CLUSTER=… KUBECONFIG=… python tests/bench/operator_bench.py [TWEETMODELS]

The operator runs as a process of this machine against a kind cluster of its own, in which no pod runs
(`played_cluster.py`). ROUNDS, FEW and IDLE in the environment make it shorter. Beside it, in the same run, a bare
asyncio client writes the same objects: the floor that no operator can go below.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from api_client import Client
from kubernetes import client, config
from operator_process import WRITES, Operator, operator
from played_cluster import Namespace, Written, accepting, in_parallel, writes_seen
from played_trainers import PORT as TLS_PORT
from played_trainers import Trainers, certificate

from makers import failure
from tweetmodel_api.reasons import Reason
from tweetmodel_operator.api_server import JsonObject, tweetmodel_path
from tweetmodel_operator.children import JOB

RESULTS = Path(__file__).parent / "results" / "operator.json"
LOG = Path("build/bench-operator.log")
NODE = f"{os.environ['CLUSTER']}-control-plane"
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
ROUNDS = int(os.environ.get("ROUNDS", 200))
TURNS = 2
"""Bare client and operator take turns, because the machine does not do the same all the time, before the bare client's
ten thousand and after, because an API server that has held so many is slower than a fresh one; medians count."""
TRAINERS = 200
PROGRESS_SECONDS = 60
FEW = int(os.environ.get("FEW", 1000))
IDLE_SECONDS = int(os.environ.get("IDLE", 330))
"""The longest from one look at everything to the next."""
A_LOOK = 0.3
"""Processor seconds in two seconds of an idle operator that looks everything over; else it does next to nothing."""


def percentile(values: list[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    return sorted(values)[max(0, round(share * len(values) + 0.5) - 1)]


def stop_controllers() -> None:
    """The kubelet ends a static pod whose manifest has gone; for good, as the cluster is the benchmark's own."""
    for name in CONTROLLERS:
        move = f"mv -f /etc/kubernetes/manifests/{name}.yaml /etc/kubernetes/ 2>/dev/null"
        gone = f"while pgrep -x {name[:15]}; do sleep 1; done"  # as long as the kernel keeps a name
        subprocess.run(["docker", "exec", NODE, "sh", "-c", f"{move}; {gone}"], check=False, stdout=subprocess.DEVNULL)


@asynccontextmanager
async def watching(api: Client, name: str) -> AsyncIterator[Namespace]:
    """An empty namespace, watched while the block runs."""
    namespace = Namespace(api, name)
    await accepting(409, api.create("/api/v1/namespaces", {"metadata": {"name": name}}))
    account = {"metadata": {"name": "default"}}  # no controller makes it
    await accepting(409, api.create(f"/api/v1/namespaces/{name}/serviceaccounts", account))
    await namespace.empty()
    watches = [asyncio.create_task(namespace.watch_tweetmodels()), asyncio.create_task(namespace.watch_jobs())]
    try:
        yield namespace
    finally:
        for watch in watches:
            watch.cancel()


@dataclass
class Foreigner:
    """Somebody else's reads, ten a second, from a thread and connection of its own."""

    seconds: list[float] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Foreigner":
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _read(self) -> None:
        config.load_kube_config()
        api = client.CoreV1Api()
        while not self._done.wait(0.1):
            started = time.perf_counter()
            api.read_namespace("default")
            self.seconds.append(time.perf_counter() - started)


async def latency(namespace: Namespace) -> dict[str, float]:
    """One TweetModel at a time; some of them fail."""
    to_job, to_status = [], []
    for number in range(ROUNDS):
        name = f"latency-{number}"
        started = time.perf_counter()
        await namespace.apply(name)
        await namespace.until(lambda name=name: name in namespace.working)
        to_job.append(namespace.seen[name] - started)
    for number in range(ROUNDS):
        name = f"latency-{number}"
        started = time.perf_counter()
        await namespace.end_pod(namespace.jobs[name], failure(Reason.NOT_ENOUGH_TWEETS), code=65)
        await namespace.until(lambda name=name: name in namespace.stalled)
        to_status.append(namespace.stalled[name] - started)
    return {
        "apply_to_job_p50": statistics.median(to_job),
        "apply_to_job_p99": percentile(to_job, 0.99),
        "failure_to_status_p50": statistics.median(to_status),
        "failure_to_status_p99": percentile(to_status, 0.99),
    }


async def bare_latency(namespace: Namespace, written: Written) -> dict[str, float]:
    """The bare client's, one TweetModel at a time, until the watch shows its Job."""
    seconds = []
    for number in range(ROUNDS):
        name = f"latency-{number}"
        started = time.perf_counter()
        await written.write(namespace, name)
        await namespace.until(lambda name=name: name in namespace.seen)
        seconds.append(namespace.seen[name] - started)
    return {"bare_to_job_p50": statistics.median(seconds), "bare_to_job_p99": percentile(seconds, 0.99)}


async def seconds_of(namespace: Namespace, count: int, written: Written | None) -> float:
    """Seconds until that many TweetModels have Job and status, by the operator or, with `written`, without one."""
    started = time.perf_counter()

    async def one(number: int) -> None:
        name = f"model-{number}"
        await (written.write(namespace, name) if written else namespace.apply(name))

    await in_parallel(one, range(count))
    await namespace.until(lambda: len(namespace.working) >= count)
    return time.perf_counter() - started


async def lives(namespace: Namespace, running: Operator) -> dict[str, float]:
    """A few succeed, each step of them played; writes are told beside those that make Jobs (two each)."""
    before = await running.metrics()
    playing = asyncio.create_task(namespace.finish_some({f"model-{number}" for number in range(FEW)}))
    started = time.perf_counter()
    await namespace.until(lambda: len(namespace.ready) >= FEW)
    seconds = time.perf_counter() - started
    await running.until_quiet(FEW)
    playing.cancel()
    after = await running.metrics()

    def grown(start: str) -> float:
        return sum(value - before.get(name, 0) for name, value in after.items() if name.startswith(start)) / FEW

    requests = "tweetmodel_api_requests_total{"
    return {
        "finish_1000_seconds": seconds,
        "finish_reads_per_model": grown(requests + 'code="200",verb="GET"'),
        "finish_reconciles_per_model": grown("tweetmodel_reconciles_total{"),
    }


async def progress(namespace: Namespace, running: Operator, trainers: Trainers) -> dict[str, float]:
    """Two hundred trainers report at once."""
    await in_parallel(namespace.apply, [f"trainer-{number}" for number in range(TRAINERS)])
    await namespace.until(lambda: len(namespace.working) >= TRAINERS)
    writes, cpu = await running.requests(("PATCH",)), running.cpu_seconds()
    await trainers.run(TRAINERS, PROGRESS_SECONDS)
    return {
        "progress_age_p50": statistics.median(trainers.ages),
        "progress_age_max": max(trainers.ages),
        "progress_writes_per_post": (await running.requests(("PATCH",)) - writes)
        / sum(len(times) for times in trainers.posted.values()),
        "progress_cpu_percent": 100 * (running.cpu_seconds() - cpu) / PROGRESS_SECONDS,
    }


async def settle(namespace: Namespace, status: JsonObject, many: int) -> None:
    """All are given the end that one has come to, as if their TTLs were over."""

    async def one(number: int) -> None:
        path = tweetmodel_path(namespace.name, f"model-{number}")
        await namespace.api.merge(f"{path}/status", {"status": status})

    await in_parallel(one, range(many))
    await namespace.until(lambda: len(namespace.ready) >= many)
    await namespace.api.delete_collection(JOB.path(namespace.name))


async def looked_over(running: Operator) -> None:
    """Waits until it has looked everything over once more."""
    until, seen = time.monotonic() + IDLE_SECONDS, False
    while time.monotonic() < until:
        before = running.cpu_seconds()
        await asyncio.sleep(2)
        looks = running.cpu_seconds() - before > A_LOOK
        if seen and not looks:
            return
        seen |= looks


async def idle(namespace: Namespace, running: Operator) -> dict[str, float]:
    """Nothing happens from one look at everything to the next, which alone costs something then."""
    await looked_over(running)
    reads, writes = await running.requests(("GET",)), await running.requests(WRITES)
    counted, cpu = await writes_seen(namespace.api), running.cpu_seconds()
    began = time.monotonic()
    await looked_over(running)
    seconds = time.monotonic() - began
    hours = seconds / 3600
    writes = max(await running.requests(WRITES) - writes, await writes_seen(namespace.api) - counted)
    return {
        "idle_writes_per_hour": writes / hours,
        "idle_reads_per_hour": (await running.requests(("GET",)) - reads) / hours,
        "idle_cpu_percent": 100 * (running.cpu_seconds() - cpu) / seconds,
        "rss_idle_mib": running.memory_mib("VmRSS"),
        "rss_peak_mib": running.memory_mib("VmHWM"),
    }


async def restart(namespace: Namespace, count: int) -> dict[str, float]:
    """A new operator over finished TweetModels."""
    counted, started = await writes_seen(namespace.api), time.perf_counter()
    async with operator(namespace.name, LOG) as running:
        await running.until_quiet(count)
        seconds = time.perf_counter() - started
        await asyncio.sleep(10)
        writes = max(await running.requests(WRITES), await writes_seen(namespace.api) - counted)
        return {
            "restart_seconds": seconds,
            "restart_writes": writes,
            "restart_cpu_seconds": running.cpu_seconds(),
            "rss_restarted_mib": running.memory_mib("VmRSS"),
            "rss_restart_peak_mib": running.memory_mib("VmHWM"),
        }


@dataclass
class Benchmark:
    """All figures, in the order in which they are taken."""

    api: Client
    many: int
    figures: dict[str, float]
    bare_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def told(self, **found: float) -> None:
        """Takes figures, and prints them."""
        for name, value in found.items():
            print(f"{name:>28}  {round(value, 3):g}", flush=True)
        self.figures |= found

    async def one(self) -> Written:
        """One TweetModel at a time; what the operator writes for it."""
        async with watching(self.api, "bench") as namespace, operator("bench", LOG):
            await namespace.apply("first")
            await namespace.until(lambda: "first" in namespace.working)
            written = await Written.read(namespace, "first")
            self.told(**await latency(namespace))
        async with watching(self.api, "bare") as bare:
            self.told(**await bare_latency(bare, written))
        return written

    async def trainers(self) -> None:
        """Two hundred that report progress."""
        tls = certificate(LOG.parent / "bench-tls")
        url = f"https://127.0.0.1:{TLS_PORT}"
        live = {"tls_directory": str(tls), "progress_url": url, "progress_port": str(TLS_PORT)}
        async with watching(self.api, "bench") as namespace, operator("bench", LOG, **live) as running:
            self.told(**await progress(namespace, running, Trainers(namespace, tls)))

    async def turns(self, written: Written) -> None:
        """A thousand each by the bare client and the operator."""
        for _ in range(TURNS):
            async with watching(self.api, "bare") as bare:
                self.bare_seconds.append(await seconds_of(bare, FEW, written))
            async with watching(self.api, "bench") as namespace, operator("bench", LOG) as running:
                began = running.cpu_seconds()
                self.seconds.append(await seconds_of(namespace, FEW, None))
                self.cpu_seconds.append(running.cpu_seconds() - began)

    async def whole_lives(self) -> JsonObject:
        """A thousand, from their beginning to their end; the status that they end with."""
        async with watching(self.api, "bench") as namespace, operator("bench", LOG) as running:
            await seconds_of(namespace, FEW, None)
            self.told(apply_reads_per_model=await running.requests(("GET",)) / FEW)
            self.told(**await lives(namespace, running))
            self.told(writes_per_model=await running.requests(WRITES) / FEW - 2)
            status: JsonObject = (await self.api.get(tweetmodel_path("bench", "model-0")))["status"]
            return status

    async def most(self, written: Written, status: JsonObject) -> None:
        """Ten thousand, beside the bare client: applied, finished, left alone, and seen by a new operator."""
        await self.turns(written)
        async with watching(self.api, "bare") as bare:
            with Foreigner():
                floor = await seconds_of(bare, self.many, written)
        await self.turns(written)
        few, few_bare = statistics.median(self.seconds), statistics.median(self.bare_seconds)
        self.told(bare_1000_seconds=few_bare, apply_1000_seconds=few, apply_1000_ratio=few / few_bare)
        self.told(bare_10000_seconds=floor, bare_10000_over_1000=floor / few_bare)
        async with watching(self.api, "bench") as namespace:
            async with operator("bench", LOG) as running:
                began = running.cpu_seconds()
                with Foreigner() as foreigner:
                    seconds = await seconds_of(namespace, self.many, None)
                cpu_seconds = running.cpu_seconds() - began
                self.told(apply_10000_seconds=seconds, apply_10000_over_1000=seconds / few)
                self.told(apply_10000_ratio=seconds / floor)
                self.told(apply_1000_cpu_ms_per_model=1000 * statistics.median(self.cpu_seconds) / FEW)
                self.told(apply_10000_cpu_ms_per_model=1000 * cpu_seconds / self.many)
                self.told(foreign_get_p99=percentile(foreigner.seconds, 0.99))
                await settle(namespace, status, self.many)
                await running.until_quiet(self.many)
                self.told(**await idle(namespace, running))
            self.told(**await restart(namespace, self.many))


async def measure(many: int) -> dict[str, float]:
    """Takes all figures."""
    benchmark = Benchmark(await Client.connect(), many, {"rounds": ROUNDS, "few": FEW, "many": many})
    written = await benchmark.one()
    await benchmark.trainers()
    await benchmark.most(written, await benchmark.whole_lives())
    await benchmark.api.close()
    return benchmark.figures


def main() -> None:
    """Measures, prints a line for each figure and writes them as JSON."""
    LOG.parent.mkdir(exist_ok=True)
    stop_controllers()
    figures = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
    RESULTS.write_text(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
