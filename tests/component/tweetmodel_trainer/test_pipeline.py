"""Tests of the steps as pods run them, against S3: reports, exit codes and folders in storage."""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import generate
import pytest
from botocore.client import BaseClient

from makers import zipped
from plans import ARCHIVE, PUBLISH, SHORT, collect_plan, step_runner, train_plan, tweets
from tweetmodel_api.identities import publish_hash
from tweetmodel_api.layout import MANIFEST
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.reasons import ExitCode, Reason
from tweetmodel_api.report import Report, decode
from tweetmodel_api.spec import Generation, Publish
from tweetmodel_api.status import Publication
from tweetmodel_api.steps import STEP_NAMES
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.pipeline import STEPS
from tweetmodel_trainer.sources import x_api
from tweetmodel_trainer.sources.reader import ReadContext
from tweetmodel_trainer.storage import Storage

MakePlan = Callable[..., Plan]


BOB = b"".join(json.dumps({"body": f"bob likes the number {n} a lot"}).encode() + b"\n" for n in range(400))


def test_every_step_has_a_function() -> None:
    assert tuple(STEPS) == STEP_NAMES


def test_the_sample_archive_becomes_a_data_set(
    make_plan: MakePlan, run: Any, put: Any, keys: Callable[[], list[str]]
) -> None:
    put("archive.zip", generate.archive(1))
    code, report = run(make_plan())
    assert (code, report.outcome) == (ExitCode.DONE, "Succeeded")
    made = report.dataset
    assert (made.downloaded, made.retweets_dropped, made.short_dropped, made.kept) == (3249, 610, 6, 2633)
    assert any(key.endswith(f"{made.digest[:16]}/{MANIFEST}") for key in keys())


def test_a_repeated_collection_writes_nothing(make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str) -> None:
    put("archive.zip", ARCHIVE)
    _, first = run(make_plan())
    before = s3.list_objects_v2(Bucket=bucket)["Contents"]
    _, second = run(make_plan())
    assert first == second
    assert s3.list_objects_v2(Bucket=bucket)["Contents"] == before


def test_new_posts_are_counted_by_their_texts(make_plan: MakePlan, run: Any, put: Any) -> None:
    def window(first: int) -> bytes:
        texts = (f"gull number {n} has taken my sandwich" for n in range(first, first + 400))
        return zipped({"data/tweets.js": tweets(*texts)})

    put("archive.zip", window(0))
    plan = make_plan()
    _, first = run(plan)
    assert first.dataset.new_posts is None
    put("archive.zip", window(30))
    later = plan.model_copy(update={"baseline_dataset": first.dataset.digest})
    _, second = run(later)
    assert (second.dataset.kept, second.dataset.new_posts) == (first.dataset.kept, 30)
    Storage(plan.spec.storage).delete(first.dataset.uri)
    assert run(later)[1].dataset.new_posts is None


def test_several_sources_become_one_data_set(make_plan: MakePlan, run: Any, put: Any, bucket: str) -> None:
    put("archive.zip", ARCHIVE)
    put("bob.jsonl", BOB)
    bob = {"handle": "bob", "s3": {"uri": f"s3://{bucket}/bob.jsonl", "textField": "body"}}
    ada = {"handle": "ada", "archive": {"uri": f"s3://{bucket}/archive.zip"}}
    _, report = run(make_plan(sources=[ada, bob]))
    assert report.dataset.kept == 800


def test_a_source_may_be_one_of_several_authors_of_a_file(make_plan: MakePlan, run: Any, put: Any, bucket: str) -> None:
    rows = (f"{'ada' if n % 2 else 'bob'},gull number {n} has taken another sandwich" for n in range(800))
    put("all.csv", "\n".join(["by,text", *rows]).encode())
    file = {"uri": f"s3://{bucket}/all.csv"}
    _, report = run(make_plan(sources=[{"handle": "ada", "s3": file | {"where": {"by": "ada"}}}]))
    assert (report.dataset.downloaded, report.dataset.kept) == (400, 400)
    code, report = run(make_plan(sources=[{"handle": "eve", "s3": file | {"where": {"by": "eve"}}}]))
    assert (code, report.reason) == (ExitCode.DATA, Reason.INVALID_POSTS)
    assert "no row of the source @eve has 'by' = 'eve': correct its where." in report.message


def test_posts_of_an_upstream_tweetmodel_are_a_source(make_plan: MakePlan, run: Any, put: Any) -> None:
    put("archive.zip", ARCHIVE)
    _, upstream = run(make_plan())
    plan = make_plan(sources=[{"handle": "bob", "tweetModel": {"name": "ada"}}])
    reference = DatasetReference(uri=upstream.dataset.uri, digest=upstream.dataset.digest)
    code, report = run(plan.model_copy(update={"name": "bob", "upstream_datasets": {"ada": reference}}))
    assert code == ExitCode.DONE
    assert (report.dataset.kept, report.dataset.held_out) == (upstream.dataset.kept, upstream.dataset.held_out)
    Storage(plan.spec.storage).delete(upstream.dataset.uri)
    code, report = run(plan.model_copy(update={"name": "bob", "upstream_datasets": {"ada": reference}}))
    assert (code, report.reason) == (ExitCode.SOURCE, Reason.SOURCE_MISSING)


def test_an_upstream_post_is_erased_by_its_id(make_plan: MakePlan, run: Any, put: Any) -> None:
    put("archive.zip", ARCHIVE)
    _, upstream = run(make_plan())
    plan = make_plan(sources=[{"handle": "bob", "tweetModel": {"name": "ada"}}], cleaning={"erase": ["17"]})
    reference = DatasetReference(uri=upstream.dataset.uri, digest=upstream.dataset.digest)
    _, report = run(plan.model_copy(update={"name": "bob", "upstream_datasets": {"ada": reference}}))
    assert report.dataset.kept == upstream.dataset.kept - 1


def test_the_order_of_sources_does_not_change_the_data_set(
    make_plan: MakePlan, run: Any, put: Any, bucket: str
) -> None:
    for name in ("ada", "bob"):
        put(f"{name}.txt", "\n".join(f"gull {n} of {name} has taken another sandwich" for n in range(300)).encode())
    sources = [{"handle": name, "s3": {"uri": f"s3://{bucket}/{name}.txt"}} for name in ("ada", "bob")]
    one, other = (run(make_plan(sources=order))[1].dataset.digest for order in (sources, sources[::-1]))
    assert one == other


def test_posts_with_equal_ids_stay_distinct(make_plan: MakePlan, run: Any, put: Any, bucket: str) -> None:
    """Rows of files without ids get equal numbers as ids, and have one handle in the data set of another TweetModel."""
    for name in ("ada", "bob"):
        put(f"{name}.txt", "\n".join(f"gull {n} of {name} has taken another sandwich" for n in range(300)).encode())
    sources = [{"handle": name, "s3": {"uri": f"s3://{bucket}/{name}.txt"}} for name in ("ada", "bob")]
    upstream = run(make_plan(sources=sources))[1]
    for name in ("eve", "zoe"):
        plan = make_plan(sources=[{"handle": name, "tweetModel": {"name": "before"}}])
        reference = DatasetReference(uri=upstream.dataset.uri, digest=upstream.dataset.digest)
        upstream = run(plan.model_copy(update={"name": name, "upstream_datasets": {"before": reference}}))[1]
        assert upstream.dataset.kept == 600


def erasing(plan: Plan, *trained: Report) -> Plan:
    """Return a plan in which runs were trained on these data sets, and on one that is not in storage any more."""
    return plan.model_copy(update={"trained_datasets": (*(report.dataset.digest for report in trained), "f" * 64)})


def test_an_erased_post_is_deleted_everywhere(make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str) -> None:
    put("archive.zip", ARCHIVE)
    plan = make_plan()
    _, before = run(plan)
    page = f"{plan.layout.raw_x('ada')}/500-0-2.jsonl"
    Storage(plan.spec.storage).write_object(page, b'{"id": "17", "text": "a"}\n{"id": "18", "text": "b"}\n')
    code, after = run(erasing(make_plan(cleaning={"erase": ["17"]}), before))
    assert code == ExitCode.DONE
    assert after.dataset.kept == before.dataset.kept - 1
    assert after.dataset.erased_from == (before.dataset.digest[:16],)
    assert "1 erased" in after.message
    left = s3.list_objects_v2(Bucket=bucket, Prefix="models")["Contents"]
    bodies = [s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in left]
    assert not any(b'"id": "17"' in body for body in bodies)
    assert any(body == b'{"id": "18", "text": "b"}\n' for body in bodies)

    written = {item["Key"]: item["LastModified"] for item in left}
    again = run(erasing(make_plan(cleaning={"erase": ["17"]}), before))[1]
    assert again == after, "a lost report is repeated"
    assert written == {
        item["Key"]: item["LastModified"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="models")["Contents"]
    }
    assert run(make_plan(cleaning={"erase": ["17"]}))[1].dataset.erased_from == ()


def test_posts_are_erased_even_if_the_sources_are_missing(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str, keys: Callable[[], list[str]]
) -> None:
    put("archive.zip", ARCHIVE)
    _, before = run(make_plan())
    s3.delete_object(Bucket=bucket, Key="archive.zip")
    plan = erasing(make_plan(cleaning={"erase": ["17"]}), before)
    assert run(plan)[1].reason is Reason.SOURCE_MISSING
    assert [key for key in keys() if key.endswith(".jsonl")] == []
    put("archive.zip", ARCHIVE)
    assert run(plan)[1].dataset.erased_from == (before.dataset.digest[:16],)


def test_a_damaged_page_is_reported_when_posts_are_erased(
    make_plan: MakePlan, run: Any, storage: Storage, tmp_path: Path
) -> None:
    plan = make_plan(cleaning={"erase": ["17"]})
    storage.write_object(f"{plan.layout.raw_x('ada')}/500-0-2.jsonl", b'{"id": "17", "te')
    whole = f"{plan.layout.raw_x('bob')}/500-0-2.jsonl"
    storage.write_object(whole, b'{"id": "17", "text": "a"}\n{"id": "18", "text": "b"}\n')
    code, report = run(plan)
    storage.download_object(whole, tmp_path / "left")
    assert '"17"' not in (tmp_path / "left").read_text(), "a damaged page does not protect the post in other pages"
    assert (code, report.reason) == (ExitCode.DATA, Reason.INVALID_POSTS)
    assert "500-0-2.jsonl is damaged: delete the object" in report.message


@pytest.mark.parametrize("deleted", range(7))
def test_a_pod_killed_while_erasing_leaves_no_data_set_unmarked(
    make_plan: MakePlan, run: Any, put: Any, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    put("archive.zip", ARCHIVE)
    _, before = run(make_plan())
    plan = erasing(make_plan(cleaning={"erase": ["17"]}), before)
    with monkeypatch.context() as killed:
        real, left = BaseClient._make_api_call, iter(range(deleted))

        def call(client: Any, operation: str, arguments: Any) -> Any:
            if operation == "DeleteObject" and next(left, None) is None:
                raise KeyboardInterrupt
            return real(client, operation, arguments)

        killed.setattr(BaseClient, "_make_api_call", call)
        with pytest.raises(KeyboardInterrupt) if deleted < 6 else nullcontext():
            run(plan)
    assert run(plan)[1].dataset.erased_from == (before.dataset.digest[:16],)


def test_a_data_set_that_is_written_again_is_not_marked_as_erased(make_plan: MakePlan, run: Any, put: Any) -> None:
    put("archive.zip", ARCHIVE)
    _, before = run(make_plan())
    run(make_plan(cleaning={"erase": ["17"]}))
    _, once_more = run(erasing(make_plan(), before))
    assert once_more.dataset == before.dataset
    assert run(erasing(make_plan(training={"seed": 7}), before))[1].dataset.erased_from == ()


def test_an_erased_account_is_deleted_everywhere(make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str) -> None:
    put("archive.zip", ARCHIVE)
    put("bob.jsonl", BOB)
    ada, bob = (
        {"handle": "ada", "archive": {"uri": f"s3://{bucket}/archive.zip"}},
        {"handle": "Bob", "s3": {"uri": f"s3://{bucket}/bob.jsonl", "textField": "body"}},
    )
    plan = make_plan(sources=[ada, bob])
    alone, both = run(make_plan(sources=[ada], training={"seed": 7}))[1], run(plan)[1]
    storage = Storage(plan.spec.storage)
    for handle in ("ada", "bob", "bobby"):
        storage.write_object(f"{plan.layout.raw_x(handle)}/500-0-2.jsonl", b'{"id": "17", "text": "a"}\n')
    code, after = run(erasing(make_plan(sources=[ada], cleaning={"erase": ["@BOB"]}), alone, both))
    assert code == ExitCode.DONE
    assert (after.dataset.kept, after.dataset.erased_from) == (400, (both.dataset.digest[:16],))
    left = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="models")["Contents"]]
    assert {key.split("/")[-2] for key in left if "/raw/x/" in key} == {"ada", "bobby"}
    assert any(alone.dataset.digest[:16] in key for key in left)
    assert not any(b"bob likes" in s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in left)
    assert run(make_plan(sources=[ada], cleaning={"erase": ["@bob"]}))[1].dataset.erased_from == ()


def test_posts_of_an_erased_account_are_dropped_from_upstreams(
    make_plan: MakePlan, run: Any, put: Any, bucket: str
) -> None:
    put("archive.zip", ARCHIVE)
    put("bob.jsonl", BOB)
    bob = {"handle": "Bob", "s3": {"uri": f"s3://{bucket}/bob.jsonl", "textField": "body"}}
    upstream = run(make_plan(sources=[{"handle": "ada", "archive": {"uri": f"s3://{bucket}/archive.zip"}}, bob]))[1]
    plan = make_plan(
        sources=[{"handle": "eve", "tweetModel": {"name": "ada"}}], cleaning={"erase": ["@bob", "@nobody"]}
    )
    reference = DatasetReference(uri=upstream.dataset.uri, digest=upstream.dataset.digest)
    _, report = run(plan.model_copy(update={"name": "eve", "upstream_datasets": {"ada": reference}}))
    assert (report.dataset.downloaded, report.dataset.kept) == (800, 400)
    assert "400 erased" in report.message


def test_excluded_accounts_are_dropped_from_upstreams(make_plan: MakePlan, run: Any, put: Any, bucket: str) -> None:
    put("archive.zip", ARCHIVE)
    put("bob.jsonl", BOB + b'{"body": "@EVE has taken another sandwich"}')
    bob = {"handle": "Bob", "s3": {"uri": f"s3://{bucket}/bob.jsonl", "textField": "body"}}
    upstream = run(make_plan(sources=[{"handle": "ada", "archive": {"uri": f"s3://{bucket}/archive.zip"}}, bob]))[1]
    plan = make_plan(sources=[{"handle": "mix", "tweetModel": {"name": "ada"}}], cleaning={"excludeAccounts": ["zoe"]})
    reference = DatasetReference(uri=upstream.dataset.uri, digest=upstream.dataset.digest)
    plan = plan.model_copy(update={"name": "mix", "upstream_datasets": {"ada": reference}})
    assert run(plan)[1].dataset.kept == 801
    assert run(plan.model_copy(update={"excluded_accounts": ("eve",)}))[1].dataset.kept == 800
    code, report = run(plan.model_copy(update={"excluded_accounts": ("bob", "eve")}))
    assert (code, report.dataset.kept) == (ExitCode.DONE, 400)
    assert "401 by or about excluded accounts" in report.message


def test_a_spent_budget_is_reported(make_plan: MakePlan, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: x_api.XApiReader, context: ReadContext) -> Iterator[Post]:
        context.counts.budget_spent = True
        return (Post("ada", str(n), f"gull number {n} has taken another sandwich from me") for n in range(400))

    monkeypatch.setattr(x_api.XApiReader, "read", read)
    source = {"handle": "ada", "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "2"}}
    assert "The budget of @ada is spent" in run(make_plan(sources=[source]))[1].message


def test_an_unpacked_archive_is_read_from_a_folder(make_plan: MakePlan, run: Any, put: Any, bucket: str) -> None:
    for number in (0, 1):
        texts = (f"gull number {number}/{n} has taken another sandwich from me" for n in range(200))
        put(f"export/data/tweets{f'-part{number}' if number else ''}.js", tweets(*texts, first=200 * number))
    put("export/data/like.js", b"not read")
    folder = {"handle": "ada", "archive": {"uri": f"s3://{bucket}/export/"}}
    assert run(make_plan(sources=[folder]))[1].dataset.kept == 400
    folder["archive"]["uri"] = f"s3://{bucket}/elsewhere/"
    assert run(make_plan(sources=[folder]))[1].reason is Reason.SOURCE_MISSING


@pytest.mark.parametrize(
    ("content", "reason", "code"),
    [
        (ARCHIVE[:-100], Reason.INVALID_ARCHIVE, ExitCode.DATA),
        (zipped({"data/account.js": b""}), Reason.INVALID_ARCHIVE, ExitCode.DATA),
        (
            zipped({"data/tweets.js": tweets("caf\xe9").replace(b"\\u00e9", b"\xe9")}),
            Reason.INVALID_ARCHIVE,
            ExitCode.DATA,
        ),
        (zipped({"data/tweets.js": tweets()}), Reason.NOT_ENOUGH_TWEETS, ExitCode.DATA),
        (zipped({"data/tweets.js": tweets("a gull took my sandwich")}), Reason.NOT_ENOUGH_TWEETS, ExitCode.DATA),
        (None, Reason.SOURCE_MISSING, ExitCode.SOURCE),
    ],
    ids=["truncated", "no-tweets", "encoding", "empty", "few", "absent"],
)
def test_bad_input_fails_with_a_reason_and_writes_nothing(
    make_plan: MakePlan,
    run: Any,
    put: Any,
    keys: Callable[[], list[str]],
    content: bytes | None,
    reason: Reason,
    code: int,
) -> None:
    if content is not None:
        put("archive.zip", content)
    before = keys()
    assert run(make_plan())[0] == code
    assert run(make_plan())[1].reason is reason
    assert keys() == before


def test_a_missing_bucket_fails_with_a_reason(make_plan: MakePlan, run: Any, endpoint: str) -> None:
    code, report = run(make_plan(storage={"uri": "s3://nobodys-bucket/x", "endpoint": endpoint}))
    assert (code, report.reason) == (ExitCode.SOURCE, Reason.BUCKET_MISSING)


def test_an_unreachable_endpoint_is_a_transient_failure(make_plan: MakePlan, run: Any) -> None:
    code, report = run(make_plan(storage={"uri": "s3://bucket/x", "endpoint": "http://127.0.0.1:9"}))
    assert (code, report.reason) == (ExitCode.TEMPORARY, Reason.STORAGE_UNREACHABLE)


def test_a_bug_is_reported_without_its_traceback(
    make_plan: MakePlan, run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Report:
        raise KeyError("surprise")

    monkeypatch.setitem(STEPS, "collect", fail)
    code, report = run(make_plan())
    assert (code, report.reason) == (ExitCode.BUG, Reason.INTERNAL_ERROR)
    assert "KeyError: 'surprise'" in report.message
    assert "Traceback" not in report.message
    assert "Traceback" in caplog.text


def test_steps_are_imported_without_torch() -> None:
    code = "import sys, tweetmodel_trainer.command; print('torch' in sys.modules, 'transformers' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


def test_a_data_set_does_not_change_with_dropped_posts(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str
) -> None:
    posts = b"".join(b'{"text": "the number %d is one that I like"}\n' % n for n in range(400))
    put("posts.jsonl", posts)
    plan = make_plan(sources=[{"handle": "ada", "s3": {"uri": f"s3://{bucket}/posts.jsonl"}}])
    _, first = run(plan)
    before = s3.list_objects_v2(Bucket=bucket, Prefix="models/default/ada/datasets")["Contents"]
    put("posts.jsonl", posts + b'{"text": "RT @bob: hello"}\n')
    _, second = run(plan)
    assert second.dataset.retweets_dropped == 1
    assert second.dataset.digest == first.dataset.digest
    assert s3.list_objects_v2(Bucket=bucket, Prefix="models/default/ada/datasets")["Contents"] == before


def test_a_purge_deletes_only_the_folder_of_the_tweetmodel(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str
) -> None:
    put("archive.zip", ARCHIVE)
    plan = make_plan()
    run(plan)
    neighbor = plan.layout.root.removeprefix(f"s3://{bucket}/") + "2/datasets/d/train.jsonl"
    s3.put_object(Bucket=bucket, Key=neighbor, Body=b"{}")
    purge = plan.model_copy(update={"step": "purge"})
    assert run(purge)[0] == ExitCode.DONE
    assert Storage(plan.spec.storage).names(plan.layout.root) == []
    assert s3.get_object(Bucket=bucket, Key=neighbor)
    assert run(purge)[0] == ExitCode.DONE


def test_a_purge_of_a_missing_bucket_succeeds(make_plan: MakePlan, run: Any, endpoint: str) -> None:
    plan = make_plan(storage={"uri": "s3://no-such-bucket/models", "endpoint": endpoint})
    assert run(plan.model_copy(update={"step": "purge"}))[0] == ExitCode.DONE


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, bytes]]:
    """Replaces the push to the Hub; contains the files of each push by name."""
    pushes: list[dict[str, bytes]] = []

    def push(folder: Path, *_: Any) -> str:
        pushes.append({path.name: path.read_bytes() for path in folder.iterdir()})
        return "https://huggingface.co/ada/huggingtweets-ada"

    monkeypatch.setattr("tweetmodel_trainer.publishing.hub_repository.push", push)
    return pushes


@dataclass(frozen=True)
class FinishedRun:
    """A finished run with spec.publish that has not been published."""

    plan: Plan
    report: Report
    bucket: str
    objects: dict[str, bytes]
    """Content of the bucket after the run, by key."""


@pytest.fixture(scope="module")
def trained(s3: Any, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """One training for all tests of finished runs."""
    bucket = f"finished-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="archive.zip", Body=ARCHIVE)
    run = step_runner(tmp_path_factory.mktemp("finished"))
    generation = {"samplesPerPrompt": 1, "maxNewTokens": 8}
    plan = collect_plan(bucket, endpoint, training=SHORT, generation=generation, publish=PUBLISH)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "key")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        plan = train_plan(plan, run(plan)[1])
        report = run(plan)[1]
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    objects = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    return FinishedRun(plan, report, bucket, objects)


@pytest.fixture
def finished(trained: FinishedRun, s3: Any) -> tuple[Plan, Report]:
    """The plan and the report of a finished run, whose bucket is restored for each test."""
    for item in s3.list_objects_v2(Bucket=trained.bucket).get("Contents", []):
        s3.delete_object(Bucket=trained.bucket, Key=item["Key"])
    for key, content in trained.objects.items():
        s3.put_object(Bucket=trained.bucket, Key=key, Body=content)
    return trained.plan, trained.report


@pytest.mark.parametrize("step", ["train", "sample", "publish"])
def test_a_finished_run_repeats_its_report(
    finished: tuple[Plan, Report], run: Any, pushed: list[Any], step: str
) -> None:
    plan, report = finished
    assert run(plan.model_copy(update={"step": step})) == (ExitCode.DONE, report)
    assert pushed == []


@pytest.mark.parametrize("step", ["sample", "publish"])
@pytest.mark.parametrize("folder", ["model", "results"])
def test_steps_of_a_finished_run_need_its_folders(
    finished: tuple[Plan, Report], run: Any, step: str, folder: str
) -> None:
    plan, _ = finished
    Storage(plan.spec.storage).delete(f"{plan.layout.root}/runs/{plan.run}/{folder}")
    code, report = run(plan.model_copy(update={"step": step}))
    assert (code, report.reason) == (ExitCode.SOURCE, Reason.RUN_MISSING)


def test_the_advice_about_a_missing_page_repeats_the_run(
    finished: tuple[Plan, Report], run: Any, pushed: list[Any]
) -> None:
    """The page alone is not written again, so the advice is to delete the results."""
    plan, _ = finished
    plan = plan.model_copy(update={"step": "publish", "publish": True})
    storage, folder = Storage(plan.spec.storage), f"{plan.layout.root}/runs/{plan.run}"
    storage.delete(f"{folder}/page")
    assert f"the page is incomplete or corrupt ({folder}/page has no manifest): delete {folder}/results, and run " in (
        run(plan)[1].message
    )
    storage.delete(f"{folder}/results")
    assert run(plan)[1].reason is Reason.RUN_MISSING
    assert run(plan.model_copy(update={"step": "train"}))[0] == ExitCode.DONE
    assert pushed


def test_publishing_pushes_model_and_card_without_torch(
    finished: tuple[Plan, Report], run: Any, pushed: list[dict[str, bytes]], tmp_path: Path
) -> None:
    plan, report = finished
    plan = plan.model_copy(update={"step": "publish", "publish": True, "dataset": None})
    code, published = run(plan)
    assert code == ExitCode.DONE
    url = "https://huggingface.co/ada/huggingtweets-ada"
    assert published.message == f"{report.message} The model is published at {url}."
    assert published.model.publication == Publication(spec_hash=publish_hash(plan.spec), url=url)
    assert published.model.model_copy(update={"publication": None}) == report.model
    [files] = pushed
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "predictions.png"} <= set(files)
    assert "index.html" not in files
    assert json.loads(files["generation_config.json"])["max_new_tokens"] == 8

    (tmp_path / "plan.json").write_text(plan.model_dump_json(by_alias=True))
    code = (
        "import sys; from tweetmodel_trainer.command import main; from tweetmodel_trainer.publishing import"
        " hub_repository; hub_repository.push = lambda *_: 'https://hub/ada'; main(); print('torch' in sys.modules)"
    )
    log = tmp_path / "log"
    arguments = ["publish", "--plan", str(tmp_path / "plan.json"), "--workdir", str(tmp_path / "other")]
    command = [sys.executable, "-c", code, *arguments, "--termination-log", str(log)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert decode(log.read_text()).model.publication.url == "https://hub/ada"
    assert result.stdout.split() == ["False"]


def test_a_publication_belongs_to_the_samples_that_it_shows(
    finished: tuple[Plan, Report], run: Any, pushed: list[Any]
) -> None:
    """If spec.generation has changed since the samples, the publication does not fulfill the spec."""
    plan, _ = finished
    spec = plan.spec.model_copy(update={"generation": Generation(samples_per_prompt=2)})
    changed = plan.model_copy(update={"step": "publish", "publish": True, "spec": spec})
    assert run(changed)[1].model.publication.spec_hash == publish_hash(plan.spec) != publish_hash(spec)


def test_a_model_that_the_hub_refused_is_not_trained_again(
    finished: tuple[Plan, Report], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, stored = finished
    plan = plan.model_copy(update={"publish": True})
    pushes: list[list[str]] = []

    def push(folder: Path, *_: Any) -> str:
        pushes.append(sorted(path.name for path in folder.iterdir()))
        if len(pushes) == 1:
            raise Failure(Reason.HUB_DENIED, "the Hub refuses.")
        return "https://huggingface.co/ada/huggingtweets-ada"

    monkeypatch.setattr("tweetmodel_trainer.publishing.hub_repository.push", push)
    monkeypatch.setattr("tweetmodel_trainer.model_steps.train_model", lambda *_: pytest.fail("the run is finished"))
    code, report = run(plan)
    assert (code, report.reason) == (ExitCode.DENIED, Reason.HUB_DENIED)
    assert report.model == stored.model, "the report contains the finished model"
    code, report = run(plan)
    assert code == ExitCode.DONE
    assert pushes[0] == pushes[1]

    criteria = {"criteria": {"maxPerplexity": "1"}}
    strict = plan.spec.model_copy(update={"publish": Publish.model_validate(PUBLISH | criteria)})
    code, report = run(plan.model_copy(update={"spec": strict}))
    assert code == ExitCode.DONE
    assert report.model.publication.url is None
    assert re.search(r"The model was not published: its perplexity [\d.]+ exceeds the maximum of 1\.$", report.message)
    assert len(pushes) == 2
