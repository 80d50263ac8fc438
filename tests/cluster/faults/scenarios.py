"""Scenarios in the life of a TweetModel; each has the same final state however often and wherever it is interrupted."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from faults.fake_kubelet import Ending, succeed, train_forever
from faults.harness import NAME, Harness

from makers import failure
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_operator.api_server import tweetmodel_path

Scenario = Callable[[Harness], Awaitable[None]]

HOURLY = {"cron": "0 * * * *", "minNewPosts": 10}


def too_few_posts(plan: Plan) -> Ending | None:
    """Return the failure of a collection with too few posts."""
    return 65, failure(Reason.NOT_ENOUGH_TWEETS)


async def succeed_at_once(harness: Harness) -> None:
    """All steps succeed."""
    await harness.apply()
    await harness.wait_ready()
    await harness.wait_idle()


async def fail(harness: Harness) -> None:
    """The collection has too few posts."""
    harness.kubelet.ending = too_few_posts
    await harness.apply()
    await harness.wait_reason("NotEnoughTweets")
    await harness.wait_idle()


async def start_training(harness: Harness) -> None:
    """A training begins that does not end by itself."""
    harness.kubelet.ending = train_forever
    await harness.apply()
    await harness.wait_running("train")
    await harness.wait_reason("Training")


async def change_spec_during_training(harness: Harness) -> None:
    """The spec changes during the training."""
    await start_training(harness)
    await harness.apply(training={"epochs": 3})
    harness.kubelet.ending = succeed  # without end_pods(): the pod of the first run never ends
    await harness.wait_ready()
    await harness.wait_idle()


async def suspend_and_resume(harness: Harness) -> None:
    """The user suspends the training and resumes it."""
    await start_training(harness)
    await harness.apply(suspend=True)
    await harness.wait_reason("Suspended")

    async def has_no_pod() -> bool:
        return not harness.kubelet.pods

    await harness.wait_until(has_no_pod, "end of the pods")
    harness.kubelet.ending = succeed
    await harness.apply(suspend=False)
    await harness.wait_ready()
    await harness.wait_idle()


async def delete(harness: Harness) -> None:
    """The user deletes the TweetModel, with its folder in the bucket."""
    await harness.apply(deletionPolicy="Delete")
    await harness.wait_ready()
    await harness.wait_idle()
    async with await harness.api.open("DELETE", tweetmodel_path(harness.namespace, NAME)):
        pass

    async def is_gone() -> bool:
        return await harness.tweetmodel() is None

    async def has_only_purge_jobs() -> bool:
        return all(job["metadata"]["labels"]["tweetmodel.dev/step"] == "purge" for job in await harness.jobs())

    await harness.wait_until(is_gone, "deletion of the TweetModel")
    await harness.wait_until(has_only_purge_jobs, "deletion of the Jobs")
    await harness.wait_idle()


async def run_scheduled(harness: Harness) -> None:
    """The schedule finds new posts an hour later."""
    await harness.apply(schedule=HOURLY)
    await harness.wait_ready()
    await harness.wait_idle()
    harness.operator.advance_clock(timedelta(hours=1))
    await harness.touch()  # the operator sleeps until the next event

    async def has_second_run() -> bool:
        found = await harness.tweetmodel()
        runs = found["status"].get("runs", []) if found else []
        return len(runs) == 2 and all("completionTime" in run for run in runs)

    await harness.wait_until(has_second_run, "second run")
    await harness.wait_ready()
    await harness.wait_idle()


SCENARIOS: dict[str, Scenario] = {
    "success": succeed_at_once,
    "failure": fail,
    "spec change during training": change_spec_during_training,
    "suspend and resume": suspend_and_resume,
    "deletion": delete,
    "schedule": run_scheduled,
}
