"""Start-up of the operator as a program."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from makers import KEY
from tweetmodel_operator.main import Operator
from tweetmodel_operator.settings import Settings


def test_without_a_cluster_it_ends_with_a_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "missing"), "KUBERNETES_SERVICE_HOST": ""}

    ended = subprocess.run(
        [sys.executable, "-m", "tweetmodel_operator"], env=environment, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("tweetmodel-operator: there is no cluster to talk to: set KUBECON")


def tweetmodel(version: int, outcome: str) -> dict[str, Any]:
    metadata = {"name": KEY.name, "namespace": KEY.namespace, "resourceVersion": str(version)}
    return {"metadata": metadata, "status": {"attempt": {"outcome": outcome}}}


class Listing:
    """An API server whose list of TweetModels is this."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self._items = items

    async def items(self, path: str) -> AsyncIterator[dict[str, Any]]:
        for item in self._items:
            yield item


async def looked_over(seen: dict[str, Any], *listed: dict[str, Any]) -> Operator:
    """An operator that has seen a TweetModel and done with it, after the resync has listed these."""
    operator = Operator(Listing(*listed), Settings())
    operator.reconciler.view.put("TweetModel", seen)
    await operator.look_over("")
    return operator


async def test_what_is_at_work_is_read_afresh_now_and_then() -> None:
    operator = await looked_over(tweetmodel(1, "Active"), tweetmodel(1, "Active"))
    assert len(operator.queue) == 1
    assert operator.reconciler.view.read(KEY) is None


async def test_nothing_is_looked_at_again_that_is_as_it_was() -> None:
    assert len((await looked_over(tweetmodel(1, "Failed"), tweetmodel(1, "Failed"))).queue) == 0


async def test_a_change_that_no_watch_has_told_is_found() -> None:
    assert len((await looked_over(tweetmodel(1, "Failed"), tweetmodel(2, "Failed"))).queue) == 1


async def test_a_tweetmodel_whose_end_no_watch_has_told_is_read_afresh() -> None:
    operator = await looked_over(tweetmodel(1, "Failed"))
    assert len(operator.queue) == 1
    assert operator.reconciler.view.read(KEY) is None


async def test_what_a_watch_repeats_wakes_nothing() -> None:
    operator = Operator(Listing(), Settings())
    for event in (tweetmodel(1, "Active"), tweetmodel(1, "Active")):
        operator.saw(False, "TweetModel", event)
    assert len(operator.queue) == 1
    operator.saw(True, "Pod", {"metadata": {"name": "pod", "namespace": KEY.namespace, "labels": {}}})
    assert len(operator.queue) == 1
