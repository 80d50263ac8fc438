"""Whatever a spec says: it is refused at apply, or ends in work or in a stated reason; a good one after it is good."""

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import kube
import pytest
import yaml
from faults.kubelet import training_on
from faults.mutations import Mutation, Schema, mutations
from faults.world import World, world

from tweetmodel_operator.api_server import ApiError, JsonObject, tweetmodel_path, tweetmodels_path

CRD = Path(__file__).parents[3] / "crds" / "tweetmodels.tweetmodel.dev.yaml"
GOOD: Schema = kube.tweetmodel("good")["spec"]
STATED_SECONDS = 10.0
AT_ONCE = 12
REFUSALS = (400, 422)
WAITING = ("Suspended", "Queued", "Pending")


def every_mutation() -> list[Mutation]:
    document = yaml.safe_load(CRD.read_text())
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return list(mutations(schema, GOOD))


class Subject:
    """One TweetModel among many of a world."""

    def __init__(self, world: World, name: str) -> None:
        self.api, self.namespace, self.name = world.api, world.namespace, name

    async def apply(self, spec: Schema) -> bool:
        """Makes it, or gives it another spec; whether the API server takes that."""
        document = kube.tweetmodel(self.name) | {"spec": spec}
        try:
            try:
                await self.api.create(tweetmodels_path(self.namespace), document)
            except ApiError as error:
                if error.code != 409:
                    raise
                await self.api.replace(tweetmodel_path(self.namespace, self.name), document)
        except ApiError as error:
            if error.code not in REFUSALS:
                raise
            return False
        return True

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
        while not _is_there(conditions):
            assert time.monotonic() - began < 3 * STATED_SECONDS, f"{self.name} goes on: {conditions['Ready']}"
            await asyncio.sleep(0.2)
            conditions = {c["type"]: c for c in (await self.status()).get("conditions", [])} or conditions
        assert conditions["Ready"]["message"]
        return {kind: (c["status"], c["reason"]) for kind, c in conditions.items()}


def _is_there(conditions: dict[str, Any]) -> bool:
    ready = conditions["Ready"]["reason"]
    return ready == "Training" or ready in WAITING or conditions["Stalled"]["status"] == "True"


async def stands(subject: Subject) -> JsonObject:
    """How a good spec stands, without how often it was tried."""
    said = await subject.stated()
    status = await subject.status()
    return {"conditions": said, "run": status.get("run"), "collection": status["collection"]}


@pytest.mark.parametrize("share", [pytest.param(0.1, id="some"), pytest.param(1.0, id="all", marks=pytest.mark.long)])
async def test_a_strange_spec_is_refused_or_stated_and_a_good_one_after_it_is_good(
    share: float, tmp_path: Path
) -> None:
    strange = every_mutation()
    seed = int(os.environ.get("SEED", time.time()))
    chosen = random.Random(seed).sample(strange, round(share * len(strange)))
    counts: Counter[str] = Counter()
    many = asyncio.Semaphore(AT_ONCE)
    async with world(tmp_path) as this:
        this.kubelet.ending = training_on
        good = Subject(this, "good")
        assert await good.apply(GOOD)
        as_it_should_be = await stands(good)

        async def live(number: int, mutation: Mutation) -> None:
            subject = Subject(this, f"strange-{number}")
            if not await subject.apply(mutation.spec):
                counts["refused"] += 1
                return
            conditions = await subject.stated()
            counts["stalled" if conditions["Stalled"][0] == "True" else "accepted"] += 1
            if await subject.apply(GOOD):
                assert await stands(subject) == as_it_should_be, "good after bad"
                if await subject.apply(mutation.spec):
                    assert await subject.stated() == conditions, "strange again"
                    assert await subject.apply(GOOD)
                    assert await stands(subject) == as_it_should_be, "good, strange, good"
            await this.api.delete(tweetmodel_path(this.namespace, subject.name))

        async def tried(number: int, mutation: Mutation) -> str:
            async with many:
                try:
                    await live(number, mutation)
                except (AssertionError, ApiError) as error:
                    return f"{mutation}: {error}"
            return ""

        told = await asyncio.gather(*(tried(number, mutation) for number, mutation in enumerate(chosen)))
        print(dict(counts), f"SEED={seed}")
        assert not [failure for failure in told if failure], f"SEED={seed}"
        assert min(counts["refused"], counts["accepted"]) > len(chosen) / 10
        assert "Traceback" not in this.operator.log.read_text()
