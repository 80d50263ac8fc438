"""What TweetModels go through: each life brings a new world to an end that is the same however often it is lived."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from faults.fake_kubelet import Ending, succeeded, training_on
from faults.harness import NAME, World

from makers import failure
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_operator.api_server import tweetmodel_path

Life = Callable[[World], Awaitable[None]]

HOURLY = {"cron": "0 * * * *", "minNewPosts": 10}


def too_few(plan: Plan) -> Ending | None:
    """Collecting finds that there is too little."""
    return 65, failure(Reason.NOT_ENOUGH_TWEETS)


async def success(world: World) -> None:
    """Both stages succeed."""
    await world.apply()
    await world.until_ready()
    await world.until_quiet()


async def failing(world: World) -> None:
    """There are too few posts."""
    world.kubelet.ending = too_few
    await world.apply()
    await world.until_reason("NotEnoughTweets")
    await world.until_quiet()


async def change_of_mind(world: World) -> None:
    """The spec changes while its model is trained."""
    world.kubelet.ending = training_on
    await world.apply()
    await world.until_running("train")
    await world.until_reason("Training")
    await world.apply(training={"epochs": 3})
    world.kubelet.ending = succeeded  # the pod of the older run is not looked at again
    await world.until_ready()
    await world.until_quiet()


async def pause(world: World) -> None:
    """Somebody suspends it in the middle, and lets it go on."""
    world.kubelet.ending = training_on
    await world.apply()
    await world.until_running("train")
    await world.until_reason("Training")
    await world.apply(suspend=True)
    await world.until_reason("Suspended")

    async def has_no_pod() -> bool:
        return not world.kubelet.pods

    await world.until(has_no_pod)
    world.kubelet.ending = succeeded
    await world.apply(suspend=False)
    await world.until_ready()
    await world.until_quiet()


async def farewell(world: World) -> None:
    """It is deleted with its folder in the bucket."""
    await world.apply(deletionPolicy="Delete")
    await world.until_ready()
    await world.until_quiet()
    async with await world.api.open("DELETE", tweetmodel_path(world.namespace, NAME)):
        pass

    async def is_gone() -> bool:
        return await world.tweetmodel() is None

    async def took_its_jobs_along() -> bool:
        return all(job["metadata"]["labels"]["tweetmodel.dev/step"] == "purge" for job in await world.jobs())

    await world.until(is_gone)
    await world.until(took_its_jobs_along)
    await world.until_quiet()


async def another_hour(world: World) -> None:
    """Its schedule finds new posts an hour later."""
    await world.apply(schedule=HOURLY)
    await world.until_ready()
    await world.until_quiet()
    world.operator.pass_time(timedelta(hours=1))
    await world.touch()  # an operator that sleeps does not know that its clock was put forward

    async def has_a_second_run() -> bool:
        found = await world.tweetmodel()
        runs = found["status"].get("runs", []) if found else []
        return len(runs) == 2 and all("completionTime" in run for run in runs)

    await world.until(has_a_second_run)
    await world.until_ready()
    await world.until_quiet()


LIVES: dict[str, Life] = {
    "success": success,
    "failure": failing,
    "spec change mid-run": change_of_mind,
    "suspend and resume": pause,
    "delete": farewell,
    "schedule": another_hour,
}
