"""Events are lost, and the API server fails or repeats old data: afterwards the operator converges by itself.

Only the kubelet helps: it restarts an operator that has ended or fails its liveness probe.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.fake_kubelet import succeed
from faults.harness import Harness, start_harness
from faults.proxy import DropEvents, Fault, HalfOpen, RejectAll, RequireToken, StaleLists, WatchError
from faults.scenarios import start_training, too_few_posts

from tweetmodel_operator.children import JOB

MAX_CONVERGENCE_SECONDS = 240.0
"""The operator converges within 80 seconds, by its resync each 60 seconds; a busy machine takes longer."""

FAULTS: dict[str, tuple[Callable[[], Fault], float]] = {
    "events of Jobs and pods are lost": (lambda: DropEvents(("/jobs", "/pods")), 20),
    "events of TweetModels are lost": (lambda: DropEvents(("/tweetmodels",)), 20),
    "the API server returns 500": (lambda: RejectAll(500), 90),
    "the API server returns 429": (lambda: RejectAll(429, {"Retry-After": "5"}), 90),
    "the token has expired": (lambda: RejectAll(401), 90),
    "connections are half open": (HalfOpen, 180),
    "watches are too old": (lambda: WatchError(410), 20),
    "watches end in an error": (lambda: WatchError(500), 20),
}


async def finish_training(harness: Harness) -> None:
    """End the running pods with success."""
    harness.kubelet.ending = succeed
    await harness.kubelet.end_pods()


async def delete_train_job(harness: Harness) -> None:
    """Delete the Job of the training."""
    [job] = [job for job in await harness.jobs() if job["metadata"]["labels"]["tweetmodel.dev/step"] == "train"]
    await harness.api.delete(JOB.path(harness.namespace, job["metadata"]["name"]))


@pytest.mark.parametrize("fault", FAULTS)
async def test_training_that_ends_during_a_fault_is_completed(fault: str, tmp_path: Path) -> None:
    create_fault, seconds = FAULTS[fault]
    async with start_harness(tmp_path) as harness:
        await start_training(harness)
        harness.proxy.fault = create_fault()
        await finish_training(harness)
        await asyncio.sleep(seconds)
        harness.proxy.fault = Fault()
        await harness.wait_ready(MAX_CONVERGENCE_SECONDS)
        await harness.wait_idle()
        assert [step for step, *_ in harness.created_jobs] == ["collect", "train"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_spec_that_changes_during_a_fault_is_observed(fault: str, tmp_path: Path) -> None:
    create_fault, seconds = FAULTS[fault]
    async with start_harness(tmp_path) as harness:
        await harness.apply()
        await harness.wait_ready()
        await harness.wait_idle()
        harness.proxy.fault = create_fault()
        await harness.apply(training={"epochs": 3})
        await asyncio.sleep(seconds)
        harness.proxy.fault = Fault()
        await harness.wait_ready(MAX_CONVERGENCE_SECONDS)
        await harness.wait_idle()
        assert sorted(step for step, *_ in harness.created_jobs) == ["collect", "train", "train"]


async def test_renewed_token_is_used_without_a_restart(tmp_path: Path) -> None:
    """The kubelet renews the token in the file each hour; then the last token is rejected."""
    async with start_harness(tmp_path, fault=RequireToken("one"), token="one") as harness:
        await start_training(harness)
        (tmp_path / "token").write_text("two")
        harness.proxy.fault = RequireToken("two")
        await finish_training(harness)
        await harness.wait_ready(MAX_CONVERGENCE_SECONDS)
        await harness.wait_idle()
        await harness.apply(training={"epochs": 3})
        await harness.wait_ready(MAX_CONVERGENCE_SECONDS)
        assert sorted(step for step, *_ in harness.created_jobs) == ["collect", "train", "train"]
        assert harness.operator.starts == 1


async def test_job_deleted_while_the_operator_is_stopped_is_recreated(tmp_path: Path) -> None:
    async with start_harness(tmp_path) as harness:
        await start_training(harness)
        harness.stop_operator()
        await delete_train_job(harness)
        harness.kubelet.ending = succeed
        harness.start_operator()
        await harness.wait_ready(MAX_CONVERGENCE_SECONDS)
        await harness.wait_idle()
        attempts = [(step, attempt) for step, _, attempt in harness.created_jobs]
        assert attempts == [("collect", "1"), ("train", "1"), ("train", "2")]


async def test_job_deleted_while_events_are_lost_is_recreated(tmp_path: Path) -> None:
    async with start_harness(tmp_path) as harness:
        await start_training(harness)
        harness.proxy.fault = DropEvents(("/jobs", "/pods"))
        await delete_train_job(harness)
        harness.kubelet.ending = succeed
        await asyncio.sleep(3)
        harness.proxy.fault = Fault()
        await harness.wait_ready(MAX_CONVERGENCE_SECONDS)
        attempts = [(step, attempt) for step, _, attempt in harness.created_jobs]
        assert attempts == [("collect", "1"), ("train", "1"), ("train", "2")]


@pytest.mark.parametrize("ending", [succeed, too_few_posts], ids=["success", "failure"])
async def test_finished_job_that_is_deleted_is_not_recreated(ending: Callable[..., object], tmp_path: Path) -> None:
    async with start_harness(tmp_path, ttl_seconds="1") as harness:
        harness.kubelet.ending = ending
        await harness.apply()
        steps = ["collect"] if ending is too_few_posts else ["collect", "train"]

        async def all_jobs_are_gone() -> bool:
            return len(harness.created_jobs) >= len(steps) and not await harness.jobs()

        await harness.wait_until(all_jobs_are_gone, "deletion of the Jobs by the TTL controller")
        before = await harness.normalized_state()
        await harness.touch()
        await harness.wait_idle()
        harness.operator.kill()
        await harness.wait_idle()
        await asyncio.sleep(2)
        assert await harness.normalized_state() == before
        assert [step for step, *_ in harness.created_jobs] == steps


async def test_stale_lists_do_not_repeat_a_step(tmp_path: Path) -> None:
    stale = StaleLists()
    async with start_harness(tmp_path, fault=stale, ttl_seconds="1") as harness:
        harness.stop_operator()
        await harness.apply()
        harness.start_operator()  # its first lists contain the TweetModel and no Job
        await harness.wait_ready()

        async def jobs_are_gone() -> bool:
            return not await harness.jobs()

        await harness.wait_until(jobs_are_gone, "deletion of the Jobs by the TTL controller")
        before = await harness.normalized_state()
        harness.operator.kill()
        killed = time.monotonic()
        await asyncio.sleep(1)
        await harness.wait_idle()
        harness.proxy.fault = Fault()
        await harness.apply(training={"epochs": 3})
        await harness.wait_ready(MAX_CONVERGENCE_SECONDS)
        assert stale.first
        assert time.monotonic() - killed < MAX_CONVERGENCE_SECONDS
        assert [step for step, *_ in harness.created_jobs] == ["collect", "train", "train"]
        assert before["tweetmodel"]["status"]["run"] in [
            run["id"] for run in (await harness.tweetmodel())["status"]["runs"]
        ]


async def test_failed_watch_restarts_the_operator(tmp_path: Path) -> None:
    async with start_harness(tmp_path) as harness:
        await harness.apply()
        await harness.wait_ready()
        harness.proxy.fault = WatchError(500)
        await harness.touch()

        async def was_restarted() -> bool:
            return harness.operator.starts > 1

        await harness.wait_until(was_restarted, "restart of the operator", MAX_CONVERGENCE_SECONDS)
