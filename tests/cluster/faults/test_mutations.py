"""Whatever a spec says: it is refused at apply, or ends in work or in a stated reason; a good one after it is good."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_client import Client
from faults.fake_kubelet import training_on
from faults.harness import World, world
from faults.mutations import Mutation, Schema, mutations
from kubectl import tweetmodel

from tweetmodel_api import API_VERSION, DEFAULTS_KIND, DEFAULTS_PLURAL, PLURAL
from tweetmodel_api.defaults import FIELDS, NAME
from tweetmodel_operator.api_server import ApiError, JsonObject, defaults_path, tweetmodel_path, tweetmodels_path

CRDS = Path(__file__).parents[3] / "crds"
GOOD: Schema = tweetmodel("good")["spec"]
STATED_SECONDS, AT_REST_SECONDS = 10.0, 80.0
"""How soon it must say how it stands; and be where it stays, which waits for the cluster to have deleted older Jobs."""
AT_ONCE = 12
BACK_AND_FORTH = 4
"""Of all that are accepted, one in so many becomes good, strange and good again, which takes four times as long."""
REFUSALS = (400, 422)
WAITING = ("Suspended", "Queued", "PodRefused")
BORROWS = "Collecting waits for the data set of TweetModel"


def every_mutation(plural: str, base: Schema) -> list[Mutation]:
    document = yaml.safe_load((CRDS / f"{plural}.tweetmodel.dev.yaml").read_text())
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return list(mutations(schema, base))


async def is_taken(api: Client, path: str, document: JsonObject) -> bool:
    """Makes an object, or puts another in its place; whether the API server takes it."""
    try:
        try:
            await api.create(path, document)
        except ApiError as error:
            if error.code != 409:
                raise
            await api.replace(f"{path}/{document['metadata']['name']}", document)
    except ApiError as error:
        if error.code not in REFUSALS:
            raise
        return False
    return True


class Subject:
    """One TweetModel among many of a world."""

    def __init__(self, world: World, name: str) -> None:
        self.api, self.kubelet, self.namespace, self.name = world.api, world.kubelet, world.namespace, name

    async def apply(self, spec: Schema) -> bool:
        """Makes it, or gives it another spec; whether the API server takes that."""
        return await is_taken(self.api, tweetmodels_path(self.namespace), tweetmodel(self.name) | {"spec": spec})

    async def status(self) -> JsonObject:
        """Of the present generation; empty while there is none."""
        found = await self.api.get(tweetmodel_path(self.namespace, self.name))
        status: JsonObject = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    async def stated(self) -> dict[str, Any]:
        """Waits until it says how it stands, and then until it has come as far as it does by itself."""
        began = time.monotonic()
        while not (conditions := {c["type"]: c for c in (await self.status()).get("conditions", [])}):
            assert time.monotonic() - began < STATED_SECONDS, f"{self.name} says nothing"
            await asyncio.sleep(0.2)
        while not self._is_there(conditions):
            assert time.monotonic() - began < AT_REST_SECONDS, f"{self.name} goes on: {conditions['Ready']}"
            await asyncio.sleep(0.2)
            conditions = {c["type"]: c for c in (await self.status()).get("conditions", [])} or conditions
        assert conditions["Ready"]["message"]
        return {kind: (c["status"], c["reason"]) for kind, c in conditions.items()}

    def _is_there(self, conditions: dict[str, Any]) -> bool:
        """Whether it trains, with a pod that the cluster takes, or waits for somebody."""
        ready = conditions["Ready"]
        if ready["reason"] == "Training":
            return self.kubelet.runs("train", self.name)
        waits = ready["reason"] in WAITING or ready["message"].startswith(BORROWS)
        return waits or conditions["Stalled"]["status"] == "True"

    async def outcome(self) -> dict[str, Any]:
        """The same without its stages: what is known of them once, stays known."""
        said = await self.stated()
        return {kind: said[kind] for kind in ("Ready", "Reconciling", "Stalled")}


async def comes_to(look: Callable[[], Awaitable[JsonObject]], expected: JsonObject) -> None:
    """Waits until it stands as it should: on the way there it says that a Job is being replaced."""
    began = time.monotonic()
    while (now := await look()) != expected:
        assert time.monotonic() - began < AT_REST_SECONDS, f"{now} and not {expected}"
        await asyncio.sleep(0.2)


async def stands(subject: Subject) -> JsonObject:
    """How a good spec stands, without how often it was tried."""
    said = await subject.stated()
    status = await subject.status()
    return {"conditions": said, "run": status.get("run"), "collection": status["collection"]}


@pytest.mark.parametrize("share", [pytest.param(0.1, id="some"), pytest.param(1.0, id="all", marks=pytest.mark.long)])
async def test_a_strange_spec_is_refused_or_stated_and_a_good_one_after_it_is_good(
    share: float, tmp_path: Path
) -> None:
    strange = every_mutation(PLURAL, GOOD)
    seed = int(os.environ.get("SEED", time.time()))
    chosen = random.Random(seed).sample(strange, round(share * len(strange)))
    every = max(1, round(BACK_AND_FORTH * share))
    counts: Counter[str] = Counter()
    many = asyncio.Semaphore(AT_ONCE)
    async with world(tmp_path) as this:
        this.kubelet.ending = training_on
        this.operator.goes_with_the_cluster()
        good = Subject(this, "good")
        assert await good.apply(GOOD)
        as_it_should_be = await stands(good)

        async def live(number: int, mutation: Mutation) -> None:
            subject = Subject(this, f"strange-{number}")
            if not await subject.apply(mutation.spec):
                counts["refused"] += 1
                return
            outcome = await subject.outcome()
            counts["stalled" if outcome["Stalled"][0] == "True" else "accepted"] += 1
            if number % every == 0 and await subject.apply(GOOD):
                await comes_to(partial(stands, subject), as_it_should_be)
                if await subject.apply(mutation.spec):
                    await comes_to(subject.outcome, outcome)
                    assert await subject.apply(GOOD)
                    await comes_to(partial(stands, subject), as_it_should_be)
            await this.api.delete(tweetmodel_path(this.namespace, subject.name))

        async def tried(number: int, mutation: Mutation) -> str:
            async with many:
                try:
                    await live(number, mutation)
                except (AssertionError, ApiError) as error:
                    return f"{mutation}: {error}"
            return ""

        told = await asyncio.gather(*(tried(number, mutation) for number, mutation in enumerate(chosen)))
        print(dict(counts), f"SEED={seed}", *filter(None, told), sep="\n")
        assert not any(told), f"SEED={seed}"
        assert min(counts["refused"], counts["accepted"]) > len(chosen) / 10
        assert "Traceback" not in this.operator.log.read_text()


@pytest.mark.parametrize("number", [pytest.param(15, id="some"), pytest.param(150, id="many", marks=pytest.mark.long)])
async def test_strange_defaults_are_refused_or_what_they_make_of_a_tweetmodel_is_stated(
    number: int, tmp_path: Path
) -> None:
    """One after the other: a namespace has one TweetModelDefaults."""
    decided, own = ({name: GOOD[name] for name in GOOD if (name in FIELDS) is given} for given in (True, False))
    seed = int(os.environ.get("SEED", time.time()))
    chosen = random.Random(seed).sample(every_mutation(DEFAULTS_PLURAL, decided), number)
    head = {"apiVersion": API_VERSION, "kind": DEFAULTS_KIND, "metadata": {"name": NAME}}
    async with world(tmp_path) as this:
        this.kubelet.ending = training_on
        this.operator.goes_with_the_cluster()
        path = defaults_path(this.namespace, "").rstrip("/")

        async def filled(name: str, defaults: Schema) -> JsonObject | None:
            """How a TweetModel stands that leaves out what there are defaults for; None where these are refused."""
            if not await is_taken(this.api, path, head | {"spec": defaults}):
                return None
            subject = Subject(this, name)
            assert await subject.apply(own)
            said = await subject.stated()
            await this.api.delete(tweetmodel_path(this.namespace, name))
            return said

        as_it_should_be = await filled("good", decided)
        assert as_it_should_be
        assert as_it_should_be["Stalled"][0] == "False"
        counts: Counter[str] = Counter()
        for count, mutation in enumerate(chosen):
            try:
                said = await filled(f"strange-{count}", mutation.spec)
            except (AssertionError, ApiError) as error:
                raise AssertionError(f"{mutation}: {error} (SEED={seed})") from error
            counts["stated" if said else "refused"] += 1
        assert min(counts["stated"], counts["refused"]) > 0, f"{dict(counts)} (SEED={seed})"
        assert await filled("good-again", decided) == as_it_should_be, "good after bad"
        assert "Traceback" not in this.operator.log.read_text()
