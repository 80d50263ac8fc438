"""Invalid and unusual specs are rejected at apply, or lead to a run or a stated reason; a valid spec then works."""

import os
import random
import time
from asyncio import Semaphore, gather
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_client import Client
from faults.fake_kubelet import train_forever
from faults.harness import Harness, start_harness
from faults.mutations import Mutation, Schema, mutations
from tweetmodels import tweetmodel

from tweetmodel_api import API_VERSION, DEFAULTS_KIND, DEFAULTS_PLURAL, PLURAL
from tweetmodel_api.defaults import DEFAULTABLE_FIELDS, OBJECT_NAME
from tweetmodel_operator.api_server import ApiError, JsonObject, defaults_path, tweetmodel_path, tweetmodels_path

CRDS = Path(__file__).parents[3] / "crds"
VALID: Schema = tweetmodel("valid")["spec"]
CONCURRENCY = 12
REVERTED_SHARE = 4
"""One in so many accepted mutations is reverted and applied again, which takes four times as long."""
REJECTION_CODES = (400, 422)
WAITING_REASONS = ("Suspended", "Queued", "PodRefused")
WAITING_MESSAGE = "(waiting for the data set of TweetModel"


def mutations_of_crd(plural: str, base: Schema) -> list[Mutation]:
    document = yaml.safe_load((CRDS / f"{plural}.tweetmodel.dev.yaml").read_text())
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return list(mutations(schema, base))


async def apply(api: Client, path: str, document: JsonObject) -> bool:
    """Create or replace an object, and return whether the API server accepts it."""
    try:
        try:
            await api.create(path, document)
        except ApiError as error:
            if error.code != 409:
                raise
            await api.replace(f"{path}/{document['metadata']['name']}", document)
    except ApiError as error:
        if error.code not in REJECTION_CODES:
            raise
        return False
    return True


class Subject:
    """One of many TweetModels in a harness."""

    def __init__(self, harness: Harness, name: str) -> None:
        self.harness, self.name = harness, name
        self.path = tweetmodel_path(harness.namespace, name)

    async def apply(self, spec: Schema) -> bool:
        """Create the TweetModel or replace its spec, and return whether the API server accepts the spec."""
        document = tweetmodel(self.name) | {"spec": spec}
        return await apply(self.harness.api, tweetmodels_path(self.harness.namespace), document)

    async def delete(self) -> None:
        await self.harness.api.delete(self.path)

    async def status(self) -> JsonObject:
        """Return the status of the current generation; empty until the operator has observed the generation."""
        found = await self.harness.api.get(self.path)
        status: JsonObject = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    async def final_conditions(self) -> dict[str, Any]:
        """Wait until the TweetModel changes no more by itself, and return status and reason of each condition."""
        conditions: dict[str, JsonObject] = {}

        async def is_final() -> bool:
            nonlocal conditions
            conditions = {c["type"]: c for c in (await self.status()).get("conditions", [])}
            return bool(conditions) and self._is_final(conditions)

        try:
            await self.harness.wait_until(is_final, f"final state of {self.name}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {conditions.get('Ready')}") from None
        assert conditions["Ready"]["message"]
        return {kind: (c["status"], c["reason"]) for kind, c in conditions.items()}

    def _is_final(self, conditions: dict[str, JsonObject]) -> bool:
        """Return whether the TweetModel trains with a pod that the cluster accepts, or waits for somebody."""
        ready = conditions["Ready"]
        if ready["reason"] == "Training":
            return self.harness.kubelet.runs("train", self.name)
        waits = ready["reason"] in WAITING_REASONS or WAITING_MESSAGE in ready["message"]
        return waits or conditions["Stalled"]["status"] == "True"

    async def outcome(self) -> dict[str, Any]:
        """Return the final conditions, without those that keep results of earlier specs."""
        conditions = await self.final_conditions()
        return {kind: conditions[kind] for kind in ("Ready", "Reconciling", "Stalled")}


async def wait_state(harness: Harness, read: Callable[[], Awaitable[JsonObject]], expected: JsonObject) -> None:
    """Wait for an expected state, after intermediate states such as the replacement of a Job."""
    found: JsonObject = {}

    async def is_expected() -> bool:
        nonlocal found
        found = await read()
        return found == expected

    try:
        await harness.wait_until(is_expected, "expected state")
    except AssertionError as error:
        raise AssertionError(f"{error}: {found} is not {expected}") from None


async def state_of_valid(subject: Subject) -> JsonObject:
    """Return the state of a TweetModel with a valid spec, without the number of attempts."""
    conditions = await subject.final_conditions()
    status = await subject.status()
    return {"conditions": conditions, "run": status.get("run"), "collection": status["collection"]}


@pytest.mark.parametrize("share", [pytest.param(0.1, id="some"), pytest.param(1.0, id="all", marks=pytest.mark.long)])
async def test_mutated_spec_is_rejected_or_has_a_reason_and_can_be_reverted(share: float, tmp_path: Path) -> None:
    all_mutations = mutations_of_crd(PLURAL, VALID)
    seed = int(os.environ.get("SEED", time.time()))
    chosen = random.Random(seed).sample(all_mutations, round(share * len(all_mutations)))
    reverted_share = max(1, round(REVERTED_SHARE * share))
    counts: Counter[str] = Counter()
    limit = Semaphore(CONCURRENCY)
    async with start_harness(tmp_path) as harness:
        harness.kubelet.ending = train_forever
        harness.operator.use_cluster_time()
        valid = Subject(harness, "valid")
        assert await valid.apply(VALID)
        expected = await state_of_valid(valid)

        async def check(number: int, mutation: Mutation) -> None:
            subject = Subject(harness, f"mutated-{number}")
            if not await subject.apply(mutation.spec):
                counts["rejected"] += 1
                return
            outcome = await subject.outcome()
            counts["stalled" if outcome["Stalled"][0] == "True" else "accepted"] += 1
            if number % reverted_share == 0 and await subject.apply(VALID):
                await wait_state(harness, partial(state_of_valid, subject), expected)
                if await subject.apply(mutation.spec):
                    await wait_state(harness, subject.outcome, outcome)
                    assert await subject.apply(VALID)
                    await wait_state(harness, partial(state_of_valid, subject), expected)
            await subject.delete()

        async def error_of(number: int, mutation: Mutation) -> str:
            async with limit:
                try:
                    await check(number, mutation)
                except (AssertionError, ApiError) as error:
                    return f"{mutation}: {error}"
            return ""

        errors = list(filter(None, await gather(*(error_of(n, mutation) for n, mutation in enumerate(chosen)))))
        print(dict(counts), f"SEED={seed}", *errors, sep="\n")
        assert not errors, f"SEED={seed}"
        assert min(counts["rejected"], counts["accepted"]) > len(chosen) / 10
        assert "Traceback" not in harness.operator.log.read_text()


@pytest.mark.parametrize("number", [pytest.param(15, id="some"), pytest.param(150, id="many", marks=pytest.mark.long)])
async def test_mutated_defaults_are_rejected_or_a_tweetmodel_with_them_has_a_reason(
    number: int, tmp_path: Path
) -> None:
    """Mutate the defaults one after the other: a namespace has one TweetModelDefaults."""
    defaults = {name: value for name, value in VALID.items() if name in DEFAULTABLE_FIELDS}
    own = {name: value for name, value in VALID.items() if name not in DEFAULTABLE_FIELDS}
    seed = int(os.environ.get("SEED", time.time()))
    chosen = random.Random(seed).sample(mutations_of_crd(DEFAULTS_PLURAL, defaults), number)
    head = {"apiVersion": API_VERSION, "kind": DEFAULTS_KIND, "metadata": {"name": OBJECT_NAME}}
    async with start_harness(tmp_path) as harness:
        harness.kubelet.ending = train_forever
        harness.operator.use_cluster_time()
        path = defaults_path(harness.namespace, "").rstrip("/")

        async def conditions_with(name: str, spec: Schema) -> JsonObject | None:
            """Return the final conditions of a TweetModel with these defaults; None if the defaults are rejected."""
            if not await apply(harness.api, path, head | {"spec": spec}):
                return None
            subject = Subject(harness, name)
            assert await subject.apply(own)
            conditions = await subject.final_conditions()
            await subject.delete()
            return conditions

        expected = await conditions_with("valid", defaults)
        assert expected
        assert expected["Stalled"][0] == "False"
        counts: Counter[str] = Counter()
        for count, mutation in enumerate(chosen):
            try:
                conditions = await conditions_with(f"mutated-{count}", mutation.spec)
            except (AssertionError, ApiError) as error:
                raise AssertionError(f"{mutation}: {error} (SEED={seed})") from error
            counts["accepted" if conditions else "rejected"] += 1
        assert min(counts["accepted"], counts["rejected"]) > 0, f"{dict(counts)} (SEED={seed})"
        assert await conditions_with("valid-again", defaults) == expected, "valid after mutated defaults"
        assert "Traceback" not in harness.operator.log.read_text()
