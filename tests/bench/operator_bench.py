"""Measures latency, throughput and cost of the operator with one, a thousand and ten thousand TweetModels.

    CLUSTER=… KUBECONFIG=… python tests/bench/operator_bench.py [TWEETMODELS]

The operator runs as a process of this machine against a kind cluster of its own, in which no pod runs
(`simulated_cluster.py`). ROUNDS, FEW and IDLE in the environment make the benchmark shorter. In the same run, a bare
asyncio client writes the same objects, as the lower bound for any operator.
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
from simulated_cluster import FirstWrites, Namespace, accepting, count_writes, in_parallel
from simulated_trainers import PORT as TLS_PORT
from simulated_trainers import Trainers, create_certificate

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
"""Bare client and operator take turns, since the speed of the machine varies. Turns before and after the bare client's
ten thousand account for the slower API server after so many objects; medians count."""
TRAINERS = 200
PROGRESS_SECONDS = 60
FEW = int(os.environ.get("FEW", 1000))
IDLE_SECONDS = int(os.environ.get("IDLE", 330))
"""Maximum time between two resyncs."""
RESYNC_CPU_SECONDS = 0.3
"""Minimum processor time in two seconds of a resync; otherwise an idle operator uses almost none."""


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that this share of the values does not exceed."""
    return sorted(values)[max(0, round(share * len(values) + 0.5) - 1)]


def stop_controllers() -> None:
    """Stop controller manager and scheduler for good: the kubelet ends a static pod whose manifest is removed."""
    for name in CONTROLLERS:
        move = f"mv -f /etc/kubernetes/manifests/{name}.yaml /etc/kubernetes/ 2>/dev/null"
        gone = f"while pgrep -x {name[:15]}; do sleep 1; done"  # as long as the kernel keeps a name
        subprocess.run(["docker", "exec", NODE, "sh", "-c", f"{move}; {gone}"], check=False, stdout=subprocess.DEVNULL)


@asynccontextmanager
async def watching(api: Client, name: str) -> AsyncIterator[Namespace]:
    """Empty a namespace, and watch the namespace until the block ends."""
    namespace = Namespace(api, name)
    await accepting(409, api.create("/api/v1/namespaces", {"metadata": {"name": name}}))
    account = {"metadata": {"name": "default"}}  # no controller creates the account
    await accepting(409, api.create(f"/api/v1/namespaces/{name}/serviceaccounts", account))
    await namespace.empty()
    watches = [asyncio.create_task(namespace.watch_tweetmodels()), asyncio.create_task(namespace.watch_jobs())]
    try:
        yield namespace
    finally:
        for watch in watches:
            watch.cancel()


@dataclass
class OtherClient:
    """Reads of another client, ten a second, by a thread with a connection of its own."""

    seconds: list[float] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "OtherClient":
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
    """Measure the latency of one TweetModel at a time: to its first Job, then to the status of its failure."""
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


async def bare_latency(namespace: Namespace, written: FirstWrites) -> dict[str, float]:
    """Measure the latency of the bare client, one TweetModel at a time, until the watch reports its Job."""
    seconds = []
    for number in range(ROUNDS):
        name = f"latency-{number}"
        started = time.perf_counter()
        await written.write(namespace, name)
        await namespace.until(lambda name=name: name in namespace.seen)
        seconds.append(namespace.seen[name] - started)
    return {"bare_to_job_p50": statistics.median(seconds), "bare_to_job_p99": percentile(seconds, 0.99)}


async def apply_many(namespace: Namespace, count: int, written: FirstWrites | None) -> float:
    """Return the seconds until TweetModels have Job and status, by the operator or, with `written`, the bare client."""
    started = time.perf_counter()

    async def one(number: int) -> None:
        name = f"model-{number}"
        await (written.write(namespace, name) if written else namespace.apply(name))

    await in_parallel(one, range(count))
    await namespace.until(lambda: len(namespace.working) >= count)
    return time.perf_counter() - started


async def finish(namespace: Namespace, running: Operator) -> dict[str, float]:
    """Measure the runs of a thousand TweetModels, all of whose Jobs succeed."""
    before = await running.metrics()
    finishing = asyncio.create_task(namespace.finish_jobs({f"model-{number}" for number in range(FEW)}))
    started = time.perf_counter()
    await namespace.until(lambda: len(namespace.ready) >= FEW)
    seconds = time.perf_counter() - started
    await running.until_idle(FEW)
    finishing.cancel()
    after = await running.metrics()

    def increase(start: str) -> float:
        return sum(value - before.get(name, 0) for name, value in after.items() if name.startswith(start)) / FEW

    requests = "tweetmodel_api_requests_total{"
    return {
        "finish_1000_seconds": seconds,
        "finish_reads_per_model": increase(requests + 'code="200",verb="GET"'),
        "finish_reconciles_per_model": increase("tweetmodel_reconciles_total{"),
    }


async def progress(namespace: Namespace, running: Operator, trainers: Trainers) -> dict[str, float]:
    """Measure the progress of two hundred concurrent trainers."""
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


async def finish_all(namespace: Namespace, status: JsonObject, many: int) -> None:
    """Write the final status of one TweetModel to all of them, and delete their Jobs as if their TTLs were over."""

    async def write(number: int) -> None:
        path = tweetmodel_path(namespace.name, f"model-{number}")
        await namespace.api.merge(f"{path}/status", {"status": status})

    await in_parallel(write, range(many))
    await namespace.until(lambda: len(namespace.ready) >= many)
    await namespace.api.delete_collection(JOB.path(namespace.name))


async def until_resynced(running: Operator) -> None:
    """Wait for the end of the next resync."""
    until, has_started = time.monotonic() + IDLE_SECONDS, False
    while time.monotonic() < until:
        before = running.cpu_seconds()
        await asyncio.sleep(2)
        is_active = running.cpu_seconds() - before > RESYNC_CPU_SECONDS
        if has_started and not is_active:
            return
        has_started |= is_active


async def idle(namespace: Namespace, running: Operator) -> dict[str, float]:
    """Measure an idle operator between two resyncs."""
    await until_resynced(running)
    reads, writes = await running.requests(("GET",)), await running.requests(WRITES)
    counted, cpu = await count_writes(namespace.api), running.cpu_seconds()
    started = time.monotonic()
    await until_resynced(running)
    seconds = time.monotonic() - started
    hours = seconds / 3600
    writes = max(await running.requests(WRITES) - writes, await count_writes(namespace.api) - counted)
    return {
        "idle_writes_per_hour": writes / hours,
        "idle_reads_per_hour": (await running.requests(("GET",)) - reads) / hours,
        "idle_cpu_percent": 100 * (running.cpu_seconds() - cpu) / seconds,
        "rss_idle_mib": running.memory_mib("VmRSS"),
        "rss_peak_mib": running.memory_mib("VmHWM"),
    }


async def restart(namespace: Namespace, count: int) -> dict[str, float]:
    """Measure the start of an operator with finished TweetModels."""
    counted, started = await count_writes(namespace.api), time.perf_counter()
    async with operator(namespace.name, LOG) as running:
        await running.until_idle(count)
        seconds = time.perf_counter() - started
        await asyncio.sleep(10)
        writes = max(await running.requests(WRITES), await count_writes(namespace.api) - counted)
        return {
            "restart_seconds": seconds,
            "restart_writes": writes,
            "restart_cpu_seconds": running.cpu_seconds(),
            "rss_restarted_mib": running.memory_mib("VmRSS"),
            "rss_restart_peak_mib": running.memory_mib("VmHWM"),
        }


@dataclass
class Benchmark:
    """All measurements, in their order."""

    api: Client
    many: int
    figures: dict[str, float]
    bare_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def record(self, **figures: float) -> None:
        """Record and print figures."""
        for name, value in figures.items():
            print(f"{name:>28}  {round(value, 3):g}", flush=True)
        self.figures |= figures

    async def measure_one(self) -> FirstWrites:
        """Measure one TweetModel at a time; return the first writes of the operator for a TweetModel."""
        async with watching(self.api, "bench") as namespace, operator("bench", LOG):
            await namespace.apply("first")
            await namespace.until(lambda: "first" in namespace.working)
            written = await FirstWrites.read(namespace, "first")
            self.record(**await latency(namespace))
        async with watching(self.api, "bare") as bare:
            self.record(**await bare_latency(bare, written))
        return written

    async def measure_progress(self) -> None:
        """Measure two hundred trainers."""
        tls = create_certificate(LOG.parent / "bench-tls")
        url = f"https://127.0.0.1:{TLS_PORT}"
        live = {"tls_directory": str(tls), "progress_url": url, "progress_port": str(TLS_PORT)}
        async with watching(self.api, "bench") as namespace, operator("bench", LOG, **live) as running:
            self.record(**await progress(namespace, running, Trainers(namespace, tls)))

    async def take_turns(self, written: FirstWrites) -> None:
        """Apply a thousand TweetModels by the bare client and by the operator in turn."""
        for _ in range(TURNS):
            async with watching(self.api, "bare") as bare:
                self.bare_seconds.append(await apply_many(bare, FEW, written))
            async with watching(self.api, "bench") as namespace, operator("bench", LOG) as running:
                cpu = running.cpu_seconds()
                self.seconds.append(await apply_many(namespace, FEW, None))
                self.cpu_seconds.append(running.cpu_seconds() - cpu)

    async def measure_runs(self) -> JsonObject:
        """Measure a thousand TweetModels from start to end; return their final status."""
        async with watching(self.api, "bench") as namespace, operator("bench", LOG) as running:
            await apply_many(namespace, FEW, None)
            self.record(apply_reads_per_model=await running.requests(("GET",)) / FEW)
            self.record(**await finish(namespace, running))
            # without the two that create Jobs
            self.record(writes_per_model=await running.requests(WRITES) / FEW - 2)
            status: JsonObject = (await self.api.get(tweetmodel_path("bench", "model-0")))["status"]
            return status

    async def measure_many(self, written: FirstWrites, status: JsonObject) -> None:
        """Measure ten thousand TweetModels: applied, idle, and after a restart of the operator."""
        await self.take_turns(written)
        async with watching(self.api, "bare") as bare:
            with OtherClient():
                floor = await apply_many(bare, self.many, written)
        await self.take_turns(written)
        few, few_bare = statistics.median(self.seconds), statistics.median(self.bare_seconds)
        self.record(bare_1000_seconds=few_bare, apply_1000_seconds=few, apply_1000_ratio=few / few_bare)
        self.record(bare_10000_seconds=floor, bare_10000_over_1000=floor / few_bare)
        async with watching(self.api, "bench") as namespace:
            async with operator("bench", LOG) as running:
                cpu = running.cpu_seconds()
                with OtherClient() as other:
                    seconds = await apply_many(namespace, self.many, None)
                cpu_seconds = running.cpu_seconds() - cpu
                self.record(apply_10000_seconds=seconds, apply_10000_over_1000=seconds / few)
                self.record(apply_10000_ratio=seconds / floor)
                self.record(apply_1000_cpu_ms_per_model=1000 * statistics.median(self.cpu_seconds) / FEW)
                self.record(apply_10000_cpu_ms_per_model=1000 * cpu_seconds / self.many)
                self.record(foreign_get_p99=percentile(other.seconds, 0.99))
                await finish_all(namespace, status, self.many)
                await running.until_idle(self.many)
                self.record(**await idle(namespace, running))
            self.record(**await restart(namespace, self.many))


async def measure(many: int) -> dict[str, float]:
    """Take all measurements and return their figures."""
    benchmark = Benchmark(await Client.connect(), many, {"rounds": ROUNDS, "few": FEW, "many": many})
    written = await benchmark.measure_one()
    await benchmark.measure_progress()
    await benchmark.measure_many(written, await benchmark.measure_runs())
    await benchmark.api.close()
    return benchmark.figures


def main() -> None:
    """Measure, print a line for each figure, and write the figures as JSON."""
    LOG.parent.mkdir(exist_ok=True)
    stop_controllers()
    figures = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
    RESULTS.write_text(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
