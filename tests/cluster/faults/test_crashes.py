"""The operator is killed at any write: the next operator finishes the work, and nothing is done twice."""

from pathlib import Path

import pytest
from faults.harness import start_harness
from faults.proxy import AtWrite
from faults.scenarios import SCENARIOS


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_killed_operator_reaches_the_same_state(scenario: str, after: bool, tmp_path: Path) -> None:
    async with start_harness(tmp_path / "undisturbed") as undisturbed:
        await SCENARIOS[scenario](undisturbed)
        expected, writes = await undisturbed.normalized_state(), undisturbed.proxy.writes
    assert writes
    for number in range(1, len(writes) + 1):
        async with start_harness(tmp_path / str(number)) as killed:
            killed.proxy.fault = AtWrite(number, after, killed.operator.kill)
            await SCENARIOS[scenario](killed)
            assert killed.operator.starts == 2, f"write {number} of {writes} was not made"
            assert await killed.normalized_state() == expected, f"killed at {writes[number - 1]}"
