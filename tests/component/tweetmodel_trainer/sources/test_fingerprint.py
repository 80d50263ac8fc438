from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tweetmodel_api.plan import Plan
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset
from tweetmodel_trainer import pipeline
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.sources.fingerprint import take_fingerprint
from tweetmodel_trainer.sources.reader import SourceReader
from tweetmodel_trainer.sources.registry import reader_of
from tweetmodel_trainer.step_context import StepContext
from tweetmodel_trainer.storage import Storage

MakePlan = Callable[..., Plan]


def posts(first: int = 0) -> bytes:
    return "\n".join(f"gull number {n} has taken another sandwich" for n in range(first, first + 400)).encode()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Handles of the sources that were read."""
    handles: list[str] = []

    def reader(source: Any, plan: Plan) -> SourceReader[Any]:
        handles.append(source.handle)
        return reader_of(source, plan)

    monkeypatch.setattr(pipeline, "reader_of", reader)
    return handles


@pytest.fixture
def collect(tmp_path: Any, storage: Storage) -> Callable[[Plan], Dataset]:
    def run(plan: Plan) -> Dataset:
        workdir = tmp_path / f"work-{len(list(tmp_path.iterdir()))}"
        workdir.mkdir()
        made = pipeline.collect(StepContext(plan, workdir, storage, Progress({})))
        assert made.dataset
        return made.dataset

    return run


@pytest.fixture
def plan(make_plan: MakePlan, put: Any, bucket: str) -> Plan:
    """A plan of two sources in the bucket."""
    for name in ("ada", "bob"):
        put(f"{name}.txt", posts())
    sources = [{"handle": name, "s3": {"uri": f"s3://{bucket}/{name}.txt"}} for name in ("ada", "bob")]
    return make_plan(sources=sources)


def with_spec(plan: Plan, **changes: Any) -> Plan:
    return plan.model_copy(update={"spec": TweetModelSpec.model_validate(plan.spec.to_json_object() | changes)})


def test_unchanged_sources_are_not_read_again(plan: Plan, read: list[str], collect: Any) -> None:
    first = collect(plan)
    assert read == ["ada", "bob"]
    assert collect(plan) == first
    assert (
        collect(with_spec(plan, training={"epochs": 9}, sources=plan.to_json_object()["spec"]["sources"][::-1]))
        == first
    )
    assert read == ["ada", "bob"]


def test_all_sources_are_read_after_one_changed(plan: Plan, read: list[str], collect: Any, put: Any) -> None:
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
def test_changed_cleaning_or_seed_reads_again(plan: Plan, read: list[str], collect: Any, change: Any) -> None:
    collect(plan)
    collect(with_spec(plan, **change))
    assert read == ["ada", "bob"] * 2


def test_new_trainer_version_reads_again(
    plan: Plan, read: list[str], collect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(plan)
    monkeypatch.setattr("tweetmodel_trainer.sources.fingerprint.metadata.version", lambda _: "9.9")
    collect(plan)
    assert read == ["ada", "bob"] * 2


def test_new_excluded_account_reads_again(plan: Plan, read: list[str], collect: Any) -> None:
    collect(plan)
    collect(plan.model_copy(update={"excluded_accounts": ("eve",)}))
    assert read == ["ada", "bob"] * 2


def test_requested_retry_reads_again(plan: Plan, read: list[str], collect: Any) -> None:
    collect(plan)
    requested = plan.model_copy(update={"retry": "1"})
    collect(requested)
    collect(requested)
    assert read == ["ada", "bob"] * 2


def test_missing_or_corrupt_data_set_reads_again(
    plan: Plan, read: list[str], collect: Any, storage: Storage, s3: Any, bucket: str
) -> None:
    first = collect(plan)
    storage.delete(first.uri)
    assert collect(plan) == first
    file = {"Bucket": bucket, "Key": first.uri.removeprefix(f"s3://{bucket}/") + "/train.jsonl"}
    whole = s3.get_object(**file)["Body"].read()
    for damaged in (b"", whole.replace(b"gull", b"bull")):
        s3.put_object(Body=damaged, **file)
        assert collect(plan) == first
        assert s3.get_object(**file)["Body"].read() == whole
    assert read == ["ada", "bob"] * 4


def test_damaged_fingerprint_reads_again(plan: Plan, read: list[str], collect: Any, storage: Storage) -> None:
    first = collect(plan)
    storage.write_object(f"{plan.layout.fingerprint}/fingerprint.json", b"{}")
    assert collect(plan) == first
    assert read == ["ada", "bob"] * 2


def test_new_posts_are_counted_against_the_baseline(
    plan: Plan, read: list[str], collect: Any, put: Any, storage: Storage
) -> None:
    first = collect(plan)
    with_baseline = plan.model_copy(update={"baseline_dataset": first.digest})
    assert collect(with_baseline).new_posts == 0
    assert read == ["ada", "bob"]
    for name in ("ada", "bob"):
        put(f"{name}.txt", posts(3))
    assert collect(with_baseline).new_posts == 3
    assert collect(with_baseline).new_posts == 3, "the posts stay new until the next training"
    storage.delete(first.uri)
    assert collect(with_baseline).new_posts is None, "the baseline was deleted"
    assert read == ["ada", "bob"] * 2


def test_counts_are_those_of_the_last_collection(plan: Plan, read: list[str], collect: Any, put: Any) -> None:
    """dataset.json of the unchanged data set contains those of the first."""
    first = collect(plan)
    put("bob.txt", posts() + b"\nRT @eve: a retweet")
    second = collect(plan)
    assert (second.digest, second.retweets_dropped) == (first.digest, 1)
    assert collect(plan) == second
    assert read == ["ada", "bob"] * 2


def test_fingerprint_that_was_not_stored_reads_again(
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


def test_failing_source_has_no_fingerprint(make_plan: MakePlan, storage: Storage, bucket: str) -> None:
    sources = [{"handle": "ada", "s3": {"uri": f"s3://{bucket}/missing.txt"}}]
    assert take_fingerprint(make_plan(sources=sources), storage) is None


def test_source_without_a_version_has_no_fingerprint(make_plan: MakePlan, storage: Storage) -> None:
    sources = [{"handle": "ada", "https": {"uri": "https://example.org/posts.csv"}}]
    assert take_fingerprint(make_plan(sources=sources), storage) is None
