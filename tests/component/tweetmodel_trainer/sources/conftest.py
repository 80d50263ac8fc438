"""An X account, and a reader of its posts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tweetmodel_api.plan import Plan
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.sources import x_timeline
from tweetmodel_trainer.sources.reader import ReadContext
from tweetmodel_trainer.sources.registry import reader_of
from tweetmodel_trainer.storage import Storage
from x_server import TOKEN, Redirected, XServer


@pytest.fixture
def x(monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    real = x_timeline.connect

    def connect(token: str) -> Any:
        client = real(token)
        client.session.mount("https://", Redirected(server.url))
        return client

    monkeypatch.setattr(x_timeline, "connect", connect)
    with XServer() as server:
        yield server


@dataclass
class Read:
    """Reads the account @ada; `metrics` and `counts` are those of the last call."""

    make_plan: Callable[..., Plan]
    storage: Storage
    workdir: Path
    monkeypatch: pytest.MonkeyPatch
    metrics: list[dict[str, float]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    @property
    def folder(self) -> str:
        """Folder of the stored pages."""
        return self.make_plan().layout.raw_x("ada")

    def __call__(
        self, token: str = TOKEN, budget: str = "100", max_posts: int = 3200, erase: tuple[str, ...] = ()
    ) -> list[str]:
        """Return the texts of the account's posts."""
        self.monkeypatch.setenv("SOURCE_TOKEN_ada", token)
        self.metrics, self.counts = [], Counts()
        options = {"secretRef": {"name": "x"}, "budgetUSD": budget, "maxPosts": max_posts}
        plan = self.make_plan(sources=[{"handle": "ada", "xAPI": options}], cleaning={"erase": erase})
        report = lambda **metrics: self.metrics.append(metrics)  # noqa: E731
        context = ReadContext(self.workdir, self.storage, self.counts, report)
        return [post.text for post in reader_of(plan.spec.sources[0], plan).read(context)]


@pytest.fixture
def read(make_plan: Any, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    return Read(make_plan, storage, tmp_path, monkeypatch)
