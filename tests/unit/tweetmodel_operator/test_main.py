"""ModelReference-up of the operator as a program."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from makers import KEY
from tweetmodel_operator import names
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


def tweetmodel(version: int) -> dict[str, Any]:
    return {"metadata": {"name": KEY.name, "namespace": KEY.namespace, "resourceVersion": str(version)}}


def job(version: int, **status: Any) -> dict[str, Any]:
    metadata = {"name": "job", "namespace": KEY.namespace, "resourceVersion": str(version)}
    return {"metadata": metadata | {"labels": {names.NAME: KEY.name}}, "spec": {}, "status": status}


class Listing:
    """An API server that lists these."""

    def __init__(self, **items: list[dict[str, Any]]) -> None:
        self._items = items

    async def items(self, path: str, *_: str, **__: str) -> AsyncIterator[dict[str, Any]]:
        for item in self._items.get(path.rsplit("/", 1)[-1], []):
            yield item


async def looked_over(*, rest: bool = False, **listed: list[dict[str, Any]]) -> Operator:
    """An operator that has seen a TweetModel with a Job, after the resync has listed these."""
    operator = Operator(Listing(**listed), Settings())
    view = operator.reconciler.view
    view.put("TweetModel", tweetmodel(1))
    view.put("Job", job(2))
    if rest:
        view.rest(KEY)
    await operator.look_over("")
    return operator


async def test_nothing_is_looked_at_again_that_is_as_it_was() -> None:
    assert len((await looked_over(tweetmodels=[tweetmodel(1)], jobs=[job(2)])).queue) == 0


async def test_a_change_that_no_watch_has_told_is_found() -> None:
    assert len((await looked_over(tweetmodels=[tweetmodel(3)], jobs=[job(2)])).queue) == 1
    assert len((await looked_over(rest=True, tweetmodels=[tweetmodel(3)])).queue) == 1


async def test_a_job_whose_end_no_watch_has_told_is_found() -> None:
    ended = job(3, conditions=[{"type": "Complete", "status": "True"}])
    assert len((await looked_over(tweetmodels=[tweetmodel(1)], jobs=[ended])).queue) == 1


@pytest.mark.parametrize("listed", [{"jobs": [job(2)]}, {"tweetmodels": [tweetmodel(1)]}], ids=["tweetmodel", "job"])
async def test_what_has_vanished_unseen_is_read_afresh(listed: dict[str, Any]) -> None:
    operator = await looked_over(**listed)
    assert len(operator.queue) == 1
    assert operator.reconciler.view.read(KEY) is None


async def test_what_a_watch_repeats_wakes_nothing() -> None:
    operator = Operator(Listing(), Settings())
    for event in (tweetmodel(1), tweetmodel(1)):
        operator.saw("TweetModel", event, "MODIFIED")
    assert len(operator.queue) == 1
    operator.saw("Pod", {"metadata": {"name": "pod", "namespace": KEY.namespace, "labels": {}}}, "DELETED")
    assert len(operator.queue) == 1
