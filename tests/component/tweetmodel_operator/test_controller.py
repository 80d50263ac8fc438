"""The controller with its servers and workers, beside an API server in memory."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from fakes.cluster import FakeCluster, fake_cluster
from makers import KEY
from tweetmodel_api import KIND
from tweetmodel_operator.api_server import ApiError
from tweetmodel_operator.controller import Controller
from tweetmodel_operator.observed import Key
from tweetmodel_operator.settings import Settings


@asynccontextmanager
async def started(cluster: FakeCluster, **settings: object) -> AsyncIterator[Controller]:
    """Start a controller with ports of its own, which receives the changes of the cluster as watch events."""
    controller = Controller(cluster, Settings(metrics_port=0, progress_port=0, workers=2, **settings))
    cluster.watchers.append(controller.resync.update_cache)
    await controller.start()
    try:
        yield controller
    finally:
        await controller.stop()


async def until(is_true: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(10):
        while not is_true():
            await asyncio.sleep(0.01)


def urls(controller: Controller) -> list[str]:
    """Return the IPv4 addresses of the servers."""
    addresses = (next(found for found in runner.addresses if len(found) == 2) for runner in controller._runners)
    return [f"127.0.0.1:{port}" for _, port in addresses]


def is_ready(cluster: FakeCluster) -> bool:
    return "status" in cluster.tweetmodel and cluster.conditions["Ready"][0] == "True"


async def test_watch_events_lead_a_new_tweetmodel_to_ready() -> None:
    cluster = fake_cluster()
    async with started(cluster) as controller:
        controller.resync.update_cache(KIND, cluster.tweetmodel, "ADDED")
        for step in ("collect", "train"):
            await until(lambda step=step: cluster.created_jobs and f"-{step}-" in cluster.created_jobs[-1])
            cluster.finish(step)
        await until(lambda: is_ready(cluster))
        await until(lambda: not controller.reconciler.active_jobs)
    reads = [request.path for request in cluster.requests if request.is_read and KEY.name in request.path]
    assert len(reads) <= 2, "the cache is up to date"


async def test_the_resync_finds_a_tweetmodel_without_an_event() -> None:
    cluster = fake_cluster()
    async with started(cluster, resync_seconds=0):
        await until(lambda: cluster.created_jobs)


async def test_a_failed_resync_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    cluster = fake_cluster()
    cluster.reject(ApiError(503, "", "try later"), method="GET")
    async with started(cluster, resync_seconds=0) as controller:
        await until(lambda: "the resync of the cluster failed: try later" in caplog.text)
        assert "try later" in controller.resync.list_error
        cluster.accept_all()
        await until(lambda: cluster.created_jobs)


async def test_probes_and_metrics_are_served_until_the_stop() -> None:
    async with aiohttp.ClientSession() as session:
        async with started(fake_cluster()) as controller:
            (url,) = urls(controller)
            async with session.get(f"http://{url}/readyz") as response:
                assert response.status == 503, "no watch of kopf is running"
            async with session.get(f"http://{url}/metrics") as response:
                assert "tweetmodel_queue_depth" in await response.text()
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"http://{url}/readyz")
        assert all(task.done() for task in controller._tasks)


@pytest.fixture
def tls_directory(tmp_path: Path) -> Path:
    """A folder with a certificate for 127.0.0.1, as the chart mounts one."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.crt")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    (tmp_path / "ca.crt").write_bytes((tmp_path / "tls.crt").read_bytes())
    return tmp_path


async def test_the_progress_server_serves_tls_and_its_certificate_reaches_the_pods(tls_directory: Path) -> None:
    cluster = fake_cluster()
    progress_url = "https://operator.system.svc:8443"
    async with started(cluster, tls_directory=tls_directory, progress_url=progress_url) as controller:
        controller.queue.wake(KEY)
        await until(lambda: cluster.created_jobs)
        annotations = cluster.job()["spec"]["template"]["metadata"]["annotations"]
        assert (tls_directory / "ca.crt").read_text() in annotations.values()
        context = ssl.create_default_context(cafile=str(tls_directory / "ca.crt"))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            url = f"https://{urls(controller)[1]}/namespaces/default/tweetmodels/ada/status"
            async with session.post(url, json={}) as response:
                assert response.status == 401


async def test_a_progress_report_is_reconciled_soon() -> None:
    async with started(fake_cluster()) as controller:
        woken: list[tuple[Key, float]] = []
        controller.queue.wake_soon = lambda key, seconds, unless_within: woken.append((key, seconds))
        controller._on_progress(KEY)
        assert woken == [(KEY, 1.0)]


@pytest.mark.parametrize("present", [(), ("ca.crt",), ("tls.crt", "tls.key")], ids=["none", "ca", "certificate"])
def test_a_missing_certificate_is_an_error_before_any_task_starts(
    tls_directory: Path, tmp_path_factory: pytest.TempPathFactory, present: tuple[str, ...]
) -> None:
    folder = tmp_path_factory.mktemp("incomplete")
    for name in present:
        (folder / name).write_bytes((tls_directory / name).read_bytes())
    with pytest.raises(OSError, match="No such file"):
        Controller(fake_cluster(), Settings(tls_directory=folder))
