"""Fixtures of the trainer's unit and component tests, whose conftest.py define the fixtures `endpoint` and `bucket`."""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plans import collect_plan
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.sources.reader import ReadContext, SourceReader
from tweetmodel_trainer.sources.registry import reader_of
from tweetmodel_trainer.storage import Storage


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("KUBEFLOW_TRAINER_SERVER_URL", raising=False)


@pytest.fixture(autouse=True)
def sigterm_handler() -> Iterator[None]:
    """Restores the handler of SIGTERM, which a step in this process changes."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def make_plan(endpoint: str, bucket: str) -> Callable[..., Plan]:
    """Returns a plan of the collect step; keyword arguments replace fields of the spec."""
    return partial(collect_plan, bucket, endpoint)


@pytest.fixture
def storage(make_plan: Callable[..., Plan]) -> Storage:
    return Storage(make_plan().spec.storage)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def reader(make_plan: Callable[..., Plan]) -> Callable[..., SourceReader[Any]]:
    """Returns the reader of a source of @ada: `reader(s3={"uri": ...})`."""

    def make(upstream: DatasetReference | None = None, **kind: Any) -> SourceReader[Any]:
        plan = make_plan(sources=[{"handle": "ada", **kind}])
        if upstream:
            plan = plan.model_copy(update={"upstream_datasets": {"bob": upstream}})
        return reader_of(plan.spec.sources[0], plan)

    return make


@pytest.fixture
def context(storage: Storage, tmp_path: Path) -> ReadContext:
    return ReadContext(tmp_path, storage, Counts(), lambda **_: None)
