"""The operator may die at any moment: what it began is finished once, by the next one."""

from pathlib import Path

import pytest
from faults.harness import world
from faults.proxy import AtWrite
from faults.scenarios import LIVES


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("life", LIVES)
async def test_an_operator_that_is_killed_at_any_write_ends_as_one_that_is_not(
    life: str, after: bool, tmp_path: Path
) -> None:
    async with world(tmp_path / "calm") as calm:
        await LIVES[life](calm)
        as_it_should_be, writes = await calm.essence(), calm.proxy.writes
    assert writes
    for number in range(1, len(writes) + 1):
        async with world(tmp_path / str(number)) as other:
            other.proxy.fault = AtWrite(number, after, other.operator.kill)
            await LIVES[life](other)
            assert other.operator.starts == 2, f"no write {number} was made of {writes}"
            assert await other.essence() == as_it_should_be, f"killed at {writes[number - 1]}"
