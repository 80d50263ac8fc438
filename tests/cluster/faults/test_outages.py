"""What the operator hears may be late, wrong or nothing at all: once the fault is over, all is well within 80 seconds.

Nobody helps it but the kubelet, which starts it again when it ends or its liveness probe fails.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.fake_kubelet import succeeded, training_on
from faults.harness import World, world
from faults.proxy import Answering, Expecting, Fault, HalfOpen, InStream, Past, Swallowing
from faults.scenarios import too_few

from tweetmodel_operator.children import JOB

CONVERGES_SECONDS = 80.0

FAULTS: dict[str, tuple[Callable[[], Fault], float]] = {
    "events of Jobs and pods are swallowed": (lambda: Swallowing(("/jobs", "/pods")), 20),
    "events of TweetModels are swallowed": (lambda: Swallowing(("/tweetmodels",)), 20),
    "the API server answers 500": (lambda: Answering(500), 90),
    "the API server answers 429": (lambda: Answering(429, {"Retry-After": "5"}), 90),
    "the token has expired": (lambda: Answering(401), 90),
    "connections are half open": (HalfOpen, 180),
    "watches are too old": (lambda: InStream(410), 20),
    "watches end in an error": (lambda: InStream(500), 20),
}


async def at_work(world: World) -> None:
    """A model is being trained."""
    world.kubelet.ending = training_on
    await world.apply()
    await world.until_running("train")
    await world.until_reason("Training")


async def finish(world: World) -> None:
    """The pods at work end well."""
    world.kubelet.ending = succeeded
    await world.kubelet.look_again()


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_run_that_ends_during_a_fault_is_seen_to_have_ended(fault: str, tmp_path: Path) -> None:
    make, seconds = FAULTS[fault]
    async with world(tmp_path) as this:
        await at_work(this)
        this.proxy.fault = make()
        await finish(this)
        await asyncio.sleep(seconds)
        this.proxy.fault = Fault()
        await this.until_ready(CONVERGES_SECONDS)
        await this.until_quiet()
        assert [stage for stage, *_ in this.made] == ["collect", "train"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_spec_that_changes_during_a_fault_is_followed(fault: str, tmp_path: Path) -> None:
    make, seconds = FAULTS[fault]
    async with world(tmp_path) as this:
        await this.apply()
        await this.until_ready()
        await this.until_quiet()
        this.proxy.fault = make()
        await this.apply(training={"epochs": 3})
        await asyncio.sleep(seconds)
        this.proxy.fault = Fault()
        await this.until_ready(CONVERGES_SECONDS)
        await this.until_quiet()
        assert sorted(stage for stage, *_ in this.made) == ["collect", "train", "train"]


async def test_a_token_that_is_renewed_is_followed_by_an_operator_that_goes_on(tmp_path: Path) -> None:
    """The kubelet puts another one into the file every hour; the one before is refused from some moment on."""
    async with world(tmp_path, fault=Expecting("one"), token="one") as this:
        await at_work(this)
        (tmp_path / "token").write_text("two")
        this.proxy.fault = Expecting("two")
        await finish(this)
        await this.until_ready(CONVERGES_SECONDS)
        await this.until_quiet()
        await this.apply(training={"epochs": 3})
        await this.until_ready(CONVERGES_SECONDS)
        assert sorted(stage for stage, *_ in this.made) == ["collect", "train", "train"]
        assert this.operator.starts == 1


async def test_a_job_that_is_deleted_while_nobody_watches_is_made_again(tmp_path: Path) -> None:
    async with world(tmp_path) as this:
        await at_work(this)
        this.rest()
        [job] = [job for job in await this.jobs() if job["metadata"]["labels"]["tweetmodel.dev/step"] == "train"]
        await this.api.delete(JOB.path(this.namespace, job["metadata"]["name"]))
        this.kubelet.ending = succeeded
        this.wake()
        await this.until_ready(CONVERGES_SECONDS)
        await this.until_quiet()
        assert [(stage, attempt) for stage, _, attempt in this.made] == [
            ("collect", "1"),
            ("train", "1"),
            ("train", "2"),
        ]


async def test_a_job_that_is_deleted_while_its_events_are_swallowed_is_made_again(tmp_path: Path) -> None:
    async with world(tmp_path) as this:
        await at_work(this)
        this.proxy.fault = Swallowing(("/jobs", "/pods"))
        [job] = [job for job in await this.jobs() if job["metadata"]["labels"]["tweetmodel.dev/step"] == "train"]
        await this.api.delete(JOB.path(this.namespace, job["metadata"]["name"]))
        this.kubelet.ending = succeeded
        await asyncio.sleep(3)
        this.proxy.fault = Fault()
        await this.until_ready(CONVERGES_SECONDS)
        assert [(stage, attempt) for stage, _, attempt in this.made] == [
            ("collect", "1"),
            ("train", "1"),
            ("train", "2"),
        ]


@pytest.mark.parametrize("ending", [succeeded, too_few], ids=["success", "failure"])
async def test_finished_jobs_that_are_deleted_at_any_moment_are_not_run_again(
    ending: Callable[..., object], tmp_path: Path
) -> None:
    async with world(tmp_path, ttl_seconds="1") as this:
        this.kubelet.ending = ending
        await this.apply()
        stages = ["collect"] if ending is too_few else ["collect", "train"]

        async def all_are_gone() -> bool:
            return len(this.made) >= len(stages) and not await this.jobs()

        await this.until(all_are_gone)  # by the TTL controller, while the life goes on
        before = await this.essence()
        await this.touch()
        await this.until_quiet()
        this.operator.kill()
        await this.until_quiet()
        await asyncio.sleep(2)
        assert await this.essence() == before
        assert [stage for stage, *_ in this.made] == stages


async def test_lists_from_the_past_bring_nothing_back(tmp_path: Path) -> None:
    past = Past()
    async with world(tmp_path, fault=past, ttl_seconds="1") as this:
        this.rest()
        await this.apply()
        this.wake()  # its first lists have the TweetModel, and no Job
        await this.until_ready()

        async def jobs_are_gone() -> bool:
            return not await this.jobs()

        await this.until(jobs_are_gone)
        before = await this.essence()
        this.operator.kill()
        began = time.monotonic()
        await asyncio.sleep(1)
        await this.until_quiet()
        this.proxy.fault = Fault()
        await this.apply(training={"epochs": 3})
        await this.until_ready(CONVERGES_SECONDS)
        assert past.first
        assert time.monotonic() - began < CONVERGES_SECONDS
        assert [stage for stage, *_ in this.made] == ["collect", "train", "train"]
        assert before["tweetmodel"]["status"]["run"] in [
            run["id"] for run in (await this.tweetmodel())["status"]["runs"]
        ]


async def test_a_watch_that_dies_ends_in_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as this:
        await this.apply()
        await this.until_ready()
        this.proxy.fault = InStream(500)
        await this.touch()

        async def was_restarted() -> bool:
            return this.operator.starts > 1

        await this.until(was_restarted, CONVERGES_SECONDS)
