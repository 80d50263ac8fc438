"""Looks at the sources: what has not changed is not read again, and what has always is."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tweetmodel_api.layout import Manifest
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset
from tweetmodel_trainer import pipeline
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.sources import registry as gather
from tweetmodel_trainer.sources.fingerprint import look
from tweetmodel_trainer.storage import Storage

MakePlan = Callable[..., Plan]


def posts(first: int = 0) -> bytes:
    return "\n".join(f"gull number {n} has taken another sandwich" for n in range(first, first + 400)).encode()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Handles of the sources that were read."""
    handles: list[str] = []
    real = gather.gather

    def noted(source: Any, *arguments: Any) -> Iterator[Any]:
        handles.append(source.handle)
        return real(source, *arguments)

    monkeypatch.setattr(pipeline, "gather", noted)
    return handles


@pytest.fixture
def collect(tmp_path: Any, storage: Storage) -> Callable[[Plan], Dataset]:
    def run(plan: Plan) -> Dataset:
        workdir = tmp_path / f"work-{len(list(tmp_path.iterdir()))}"
        workdir.mkdir()
        made = pipeline.collect(plan, workdir, storage, Progress({}))
        assert made.dataset
        return made.dataset

    return run


@pytest.fixture
def plan(make_plan: MakePlan, put: Any, bucket: str) -> Plan:
    """Of two sources in the bucket."""
    for name in ("ada", "bob"):
        put(f"{name}.txt", posts())
    sources = [{"handle": name, "s3": {"uri": f"s3://{bucket}/{name}.txt"}} for name in ("ada", "bob")]
    return make_plan(sources=sources)


def with_spec(plan: Plan, **changes: Any) -> Plan:
    return plan.model_copy(update={"spec": TweetModelSpec.model_validate(plan.spec.to_json_object() | changes)})


def test_sources_that_have_not_changed_are_not_read_again(plan: Plan, read: list[str], collect: Any) -> None:
    first = collect(plan)
    assert read == ["ada", "bob"]
    assert collect(plan) == first
    assert (
        collect(with_spec(plan, training={"epochs": 9}, sources=plan.to_json_object()["spec"]["sources"][::-1]))
        == first
    )
    assert read == ["ada", "bob"]


def test_once_one_has_changed_all_are_read(plan: Plan, read: list[str], collect: Any, put: Any) -> None:
    first = collect(plan)
    put("bob.txt", posts(1))
    assert collect(plan).digest != first.digest
    assert read == ["ada", "bob"] * 2
    put("bob.txt", posts())
    assert collect(plan) == first


@pytest.mark.parametrize(
    "change",
    [{"cleaning": {"drop": ["NearDuplicates"]}}, {"cleaning": {"erase": ["7"]}}, {"training": {"seed": 7}}],
)
def test_they_are_read_again_for_another_data_set(plan: Plan, read: list[str], collect: Any, change: Any) -> None:
    collect(plan)
    collect(with_spec(plan, **change))
    assert read == ["ada", "bob"] * 2


def test_they_are_read_again_by_another_version_of_the_trainer(
    plan: Plan, read: list[str], collect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(plan)
    monkeypatch.setattr("tweetmodel_trainer.sources.fingerprint.metadata.version", lambda _: "9.9")
    collect(plan)
    assert read == ["ada", "bob"] * 2


def test_they_are_read_again_where_the_administrator_bars_another_account(
    plan: Plan, read: list[str], collect: Any
) -> None:
    collect(plan)
    collect(plan.model_copy(update={"excluded_accounts": ("eve",)}))
    assert read == ["ada", "bob"] * 2


def test_they_are_read_again_where_a_person_asks_for_it(plan: Plan, read: list[str], collect: Any) -> None:
    collect(plan)
    asked = plan.model_copy(update={"retry": "1"})
    collect(asked)
    collect(asked)
    assert read == ["ada", "bob"] * 2


def test_they_are_read_again_where_the_data_set_is_gone_or_not_whole(
    plan: Plan, read: list[str], collect: Any, storage: Storage, s3: Any, bucket: str
) -> None:
    first = collect(plan)
    storage.delete(first.uri)
    assert collect(plan) == first
    file = {"Bucket": bucket, "Key": first.uri.removeprefix(f"s3://{bucket}/") + "/train.jsonl"}
    whole = s3.get_object(**file)["Body"].read()
    for spoilt in (b"", whole.replace(b"gull", b"bull")):
        s3.put_object(Body=spoilt, **file)
        assert collect(plan) == first
        assert s3.get_object(**file)["Body"].read() == whole
    assert read == ["ada", "bob"] * 4


def test_what_was_noted_of_a_look_and_is_damaged_does_not_count(
    plan: Plan, read: list[str], collect: Any, storage: Storage
) -> None:
    first = collect(plan)
    storage.write(f"{plan.layout.fingerprint}/look.json", b"{}")
    assert collect(plan) == first
    assert read == ["ada", "bob"] * 2


def test_none_of_the_posts_that_a_model_has_learnt_is_new(
    plan: Plan, read: list[str], collect: Any, put: Any, storage: Storage
) -> None:
    first = collect(plan)
    learnt = plan.model_copy(update={"baseline_dataset": first.digest})
    assert collect(learnt).new_posts == 0
    assert read == ["ada", "bob"]
    for name in ("ada", "bob"):
        put(f"{name}.txt", posts(3))
    assert collect(learnt).new_posts == 3
    assert collect(learnt).new_posts == 3, "they are still new at the next look"
    storage.delete(first.uri)
    assert collect(learnt).new_posts is None, "nobody can say any more"
    assert read == ["ada", "bob"] * 2


def test_counts_are_those_of_the_last_reading(plan: Plan, read: list[str], collect: Any, put: Any) -> None:
    """The data set, which is the same, says those of the first."""
    first = collect(plan)
    put("bob.txt", posts() + b"\nRT @eve: a retweet")
    second = collect(plan)
    assert (second.digest, second.retweets_dropped) == (first.digest, 1)
    assert collect(plan) == second
    assert read == ["ada", "bob"] * 2


def test_a_note_that_can_t_be_written_costs_the_next_look_a_reading(
    plan: Plan, read: list[str], collect: Any, monkeypatch: pytest.MonkeyPatch, put: Any
) -> None:
    collect(plan)
    put("bob.txt", posts(1))
    real = BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "DeleteObject":
            raise ClientError({"Error": {"Code": "AccessDenied"}}, operation)
        return real(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    second = collect(plan)
    assert collect(plan) == second
    assert read == ["ada", "bob"] * 3


def test_sources_have_versions_but_x_and_https_addresses(
    make_plan: MakePlan, put: Any, storage: Storage, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version_of(**source: Any) -> str | None:
        plan = make_plan(sources=[{"handle": "ada", **source}]).model_copy(update={"upstream_datasets": {"bob": lent}})
        seen = look(plan, storage)
        return seen.sources["ada"] if seen else None

    lent = DatasetReference(uri=f"s3://{bucket}/bob", digest="b" * 64)
    put("bob/MANIFEST.json", Manifest.of(()).model_dump_json().encode())
    monkeypatch.setattr("tweetmodel_trainer.sources.hub_dataset.version", lambda *_: "commit")
    assert version_of(https={"uri": "https://example.org/posts.csv"}) is None
    assert version_of(archive={"uri": "https://example.org/tweets.zip"}) is None
    assert version_of(huggingFace={"dataset": "ada/tweets"}) == "commit"
    assert version_of(tweetModel={"name": "bob"}) == lent.digest
    storage.delete(lent.uri)
    assert version_of(tweetModel={"name": "bob"}) is None
    assert version_of(xAPI={"secretRef": {"name": "x"}, "budgetUSD": "2"}) is None
    assert version_of(s3={"uri": f"s3://{bucket}/missing.txt"}) is None
    folder = {"uri": f"s3://{bucket}/export/"}
    put("export/data/tweets.js", b"one")
    first = version_of(archive=folder)
    assert first == version_of(archive=folder)
    put("export/data/like.js", b"none of ours")
    assert first == version_of(archive=folder)
    put("export/data/tweets-part1.js", b"two")
    assert first != version_of(archive=folder)
    monkeypatch.setattr(Storage, "etags", lambda *_: {"data/tweets.js": ""})
    assert version_of(archive=folder) is None, "a service may tell none"
    put("ada.txt", b"one")
    assert version_of(s3={"uri": f"s3://{bucket}/ada.txt"})
    monkeypatch.setattr(Storage, "etag", lambda *_: "")
    assert version_of(s3={"uri": f"s3://{bucket}/ada.txt"}) is None
