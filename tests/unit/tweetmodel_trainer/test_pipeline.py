"""Both stages as a pod runs them, against S3: what comes back, with which exit code, and what counts in storage."""

import io
import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import generate
import pytest
from botocore.client import BaseClient
from huggingface_hub import ModelCard

import hostile
from makers import zipped
from tweetmodel_api.identities import publish_hash, run_id
from tweetmodel_api.layout import MANIFEST
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.reasons import ExitCode, Reason
from tweetmodel_api.report import Report, decode
from tweetmodel_api.spec import Publish
from tweetmodel_api.status import ModelReference
from tweetmodel_trainer.command import main
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.evaluation.generate import printable
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources import x_api
from tweetmodel_trainer.sources.reader import ReadContext
from tweetmodel_trainer.storage import Storage

MakePlan = Callable[..., Plan]
OURS = "tweetmodel_trainer"
SHORT = {"epochs": 1, "blockSize": 64, "globalBatchSize": 64, "learningRate": "3e-3"}


def tweets(*texts: str, first: int = 0) -> bytes:
    items = [{"tweet": {"id_str": str(i), "full_text": text}} for i, text in enumerate(texts, first)]
    return f"window.YTD.tweets.part0 = {json.dumps(items)}".encode()


MANY = zipped({"data/tweets.js": tweets(*(f"gull number {n} has taken another sandwich from me" for n in range(400)))})
BOB = b"".join(json.dumps({"body": f"bob likes the number {n} a lot"}).encode() + b"\n" for n in range(400))


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Plan], tuple[int, Report]]:
    """Runs a stage as the pod does; returns exit code and report."""
    log = tmp_path / "termination-log"

    def run_stage(plan: Plan) -> tuple[int, Report]:
        file = tmp_path / "plan.json"
        file.write_text(plan.model_dump_json(by_alias=True))
        workdir = tmp_path / f"work-{len(list(tmp_path.iterdir()))}"
        code = main([plan.step, "--plan", str(file), "--workdir", str(workdir), "--termination-log", str(log)])
        report = decode(log.read_text())
        assert report
        return code, report

    return run_stage


def training(plan: Plan, collected: Report) -> Plan:
    assert collected.dataset
    reference = DatasetReference(uri=collected.dataset.uri, digest=collected.dataset.digest)
    run = run_id(plan.spec, collected.dataset.digest)
    return plan.model_copy(update={"step": "train", "run": run, "dataset": reference})


def test_the_sample_archive_becomes_the_data_set_of_the_table(
    make_plan: MakePlan, run: Any, put: Any, keys: Callable[[], list[str]]
) -> None:
    put("archive.zip", generate.archive(1))
    code, report = run(make_plan())
    assert (code, report.outcome) == (ExitCode.DONE, "Succeeded")
    made = report.dataset
    assert (made.downloaded, made.retweets_dropped, made.short_dropped, made.kept) == (3249, 610, 6, 2633)
    assert any(key.endswith(f"{made.digest[:16]}/{MANIFEST}") for key in keys())


def test_collecting_twice_gives_the_same_data_set_and_writes_nothing(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str
) -> None:
    put("archive.zip", MANY)
    _, first = run(make_plan())
    before = s3.list_objects_v2(Bucket=bucket)["Contents"]
    _, second = run(make_plan())
    assert first == second
    assert s3.list_objects_v2(Bucket=bucket)["Contents"] == before


def test_new_posts_are_counted_by_their_texts_so_a_window_that_moves_on_has_some(
    make_plan: MakePlan, run: Any, put: Any
) -> None:
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
    put("archive.zip", MANY)
    put("bob.jsonl", BOB)
    bob = {"handle": "bob", "s3": {"uri": f"s3://{bucket}/bob.jsonl", "textField": "body"}}
    ada = {"handle": "ada", "archive": {"uri": f"s3://{bucket}/archive.zip"}}
    _, report = run(make_plan(sources=[ada, bob]))
    assert report.dataset.kept == 800


def test_one_author_of_many_in_a_file_is_a_source(make_plan: MakePlan, run: Any, put: Any, bucket: str) -> None:
    rows = (f"{'ada' if n % 2 else 'bob'},gull number {n} has taken another sandwich" for n in range(800))
    put("all.csv", "\n".join(["by,text", *rows]).encode())
    file = {"uri": f"s3://{bucket}/all.csv"}
    _, report = run(make_plan(sources=[{"handle": "ada", "s3": file | {"where": {"by": "ada"}}}]))
    assert (report.dataset.downloaded, report.dataset.kept) == (400, 400)
    code, report = run(make_plan(sources=[{"handle": "eve", "s3": file | {"where": {"by": "eve"}}}]))
    assert (code, report.reason) == (ExitCode.DATA, Reason.INVALID_POSTS)
    assert "no row of the source @eve has 'by' = 'eve': correct its where." in report.message


def test_another_tweetmodels_posts_are_a_source(make_plan: MakePlan, run: Any, put: Any) -> None:
    put("archive.zip", MANY)
    _, lent = run(make_plan())
    plan = make_plan(sources=[{"handle": "bob", "tweetModel": {"name": "ada"}}])
    reference = DatasetReference(uri=lent.dataset.uri, digest=lent.dataset.digest)
    code, report = run(plan.model_copy(update={"name": "bob", "upstream_datasets": {"ada": reference}}))
    assert code == ExitCode.DONE
    assert (report.dataset.kept, report.dataset.held_out) == (lent.dataset.kept, lent.dataset.held_out)
    Storage(plan.spec.storage).delete(lent.dataset.uri)
    code, report = run(plan.model_copy(update={"name": "bob", "upstream_datasets": {"ada": reference}}))
    assert (code, report.reason) == (ExitCode.SOURCE, Reason.SOURCE_MISSING)


def test_a_post_that_is_lent_is_forgotten_by_its_id(make_plan: MakePlan, run: Any, put: Any) -> None:
    put("archive.zip", MANY)
    _, lent = run(make_plan())
    plan = make_plan(sources=[{"handle": "bob", "tweetModel": {"name": "ada"}}], cleaning={"erase": ["17"]})
    reference = DatasetReference(uri=lent.dataset.uri, digest=lent.dataset.digest)
    _, report = run(plan.model_copy(update={"name": "bob", "upstream_datasets": {"ada": reference}}))
    assert report.dataset.kept == lent.dataset.kept - 1


def test_another_order_of_the_sources_makes_the_same_data_set(
    make_plan: MakePlan, run: Any, put: Any, bucket: str
) -> None:
    for name in ("ada", "bob"):
        put(f"{name}.txt", "\n".join(f"gull {n} of {name} has taken another sandwich" for n in range(300)).encode())
    sources = [{"handle": name, "s3": {"uri": f"s3://{bucket}/{name}.txt"}} for name in ("ada", "bob")]
    one, other = (run(make_plan(sources=order))[1].dataset.digest for order in (sources, sources[::-1]))
    assert one == other


def test_posts_that_are_lent_on_keep_apart_what_was_apart(make_plan: MakePlan, run: Any, put: Any, bucket: str) -> None:
    """Rows of two files that have no ids are numbered alike, and lie under one handle where they are lent again."""
    for name in ("ada", "bob"):
        put(f"{name}.txt", "\n".join(f"gull {n} of {name} has taken another sandwich" for n in range(300)).encode())
    sources = [{"handle": name, "s3": {"uri": f"s3://{bucket}/{name}.txt"}} for name in ("ada", "bob")]
    lent = run(make_plan(sources=sources))[1]
    for name in ("eve", "zoe"):
        plan = make_plan(sources=[{"handle": name, "tweetModel": {"name": "before"}}])
        reference = DatasetReference(uri=lent.dataset.uri, digest=lent.dataset.digest)
        lent = run(plan.model_copy(update={"name": name, "upstream_datasets": {"before": reference}}))[1]
        assert lent.dataset.kept == 600


def forgetting(plan: Plan, *learnt: Report) -> Plan:
    """The plan where runs have learnt from these data sets, and from one of which nobody knows more."""
    return plan.model_copy(update={"trained_datasets": (*(report.dataset.digest for report in learnt), "f" * 64)})


def test_a_forgotten_post_is_gone_from_all_that_is_kept(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str
) -> None:
    put("archive.zip", MANY)
    plan = make_plan()
    _, before = run(plan)
    page = f"{plan.layout.raw_x('ada')}/500-0-2.jsonl"
    Storage(plan.spec.storage).write(page, b'{"id": "17", "text": "a"}\n{"id": "18", "text": "b"}\n')
    code, after = run(forgetting(make_plan(cleaning={"erase": ["17"]}), before))
    assert code == ExitCode.DONE
    assert after.dataset.kept == before.dataset.kept - 1
    assert after.dataset.erased_from == (before.dataset.digest[:16],)
    assert "1 erased" in after.message
    left = s3.list_objects_v2(Bucket=bucket, Prefix="models")["Contents"]
    bodies = [s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in left]
    assert not any(b'"id": "17"' in body for body in bodies)
    assert any(body == b'{"id": "18", "text": "b"}\n' for body in bodies)

    written = {item["Key"]: item["LastModified"] for item in left}
    again = run(forgetting(make_plan(cleaning={"erase": ["17"]}), before))[1]
    assert again == after, "a report that was lost is told once more"
    assert written == {
        item["Key"]: item["LastModified"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="models")["Contents"]
    }
    assert run(make_plan(cleaning={"erase": ["17"]}))[1].dataset.erased_from == ()


def test_what_is_to_be_forgotten_is_so_although_the_sources_are_gone(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str, keys: Callable[[], list[str]]
) -> None:
    put("archive.zip", MANY)
    _, before = run(make_plan())
    s3.delete_object(Bucket=bucket, Key="archive.zip")
    plan = forgetting(make_plan(cleaning={"erase": ["17"]}), before)
    assert run(plan)[1].reason is Reason.SOURCE_MISSING
    assert [key for key in keys() if key.endswith(".jsonl")] == []
    put("archive.zip", MANY)
    assert run(plan)[1].dataset.erased_from == (before.dataset.digest[:16],)


def test_a_kept_page_that_is_damaged_is_told_where_something_is_to_be_forgotten(
    make_plan: MakePlan, run: Any, storage: Storage, tmp_path: Path
) -> None:
    plan = make_plan(cleaning={"erase": ["17"]})
    storage.write(f"{plan.layout.raw_x('ada')}/500-0-2.jsonl", b'{"id": "17", "te')
    whole = f"{plan.layout.raw_x('bob')}/500-0-2.jsonl"
    storage.write(whole, b'{"id": "17", "text": "a"}\n{"id": "18", "text": "b"}\n')
    code, report = run(plan)
    storage.download(whole, tmp_path / "left")
    assert '"17"' not in (tmp_path / "left").read_text(), "a damaged page is no reason for others to keep the post"
    assert (code, report.reason) == (ExitCode.DATA, Reason.INVALID_POSTS)
    assert "500-0-2.jsonl is damaged: delete the object" in report.message


@pytest.mark.parametrize("deleted", range(7))
def test_a_pod_that_dies_while_it_forgets_leaves_none_unmarked(
    make_plan: MakePlan, run: Any, put: Any, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    put("archive.zip", MANY)
    _, before = run(make_plan())
    plan = forgetting(make_plan(cleaning={"erase": ["17"]}), before)
    with monkeypatch.context() as dying:
        real, left = BaseClient._make_api_call, iter(range(deleted))

        def call(client: Any, operation: str, arguments: Any) -> Any:
            if operation == "DeleteObject" and next(left, None) is None:
                raise KeyboardInterrupt
            return real(client, operation, arguments)

        dying.setattr(BaseClient, "_make_api_call", call)
        with pytest.raises(KeyboardInterrupt) if deleted < 6 else nullcontext():
            run(plan)
    assert run(plan)[1].dataset.erased_from == (before.dataset.digest[:16],)


def test_a_data_set_that_is_made_once_more_is_not_forgotten(make_plan: MakePlan, run: Any, put: Any) -> None:
    put("archive.zip", MANY)
    _, before = run(make_plan())
    run(make_plan(cleaning={"erase": ["17"]}))
    _, once_more = run(forgetting(make_plan(), before))
    assert once_more.dataset == before.dataset
    assert run(forgetting(make_plan(training={"seed": 7}), before))[1].dataset.erased_from == ()


def test_a_forgotten_account_is_gone_from_all_that_is_kept(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str
) -> None:
    put("archive.zip", MANY)
    put("bob.jsonl", BOB)
    ada, bob = (
        {"handle": "ada", "archive": {"uri": f"s3://{bucket}/archive.zip"}},
        {"handle": "Bob", "s3": {"uri": f"s3://{bucket}/bob.jsonl", "textField": "body"}},
    )
    plan = make_plan(sources=[ada, bob])
    alone, both = run(make_plan(sources=[ada], training={"seed": 7}))[1], run(plan)[1]
    storage = Storage(plan.spec.storage)
    for handle in ("ada", "bob", "bobby"):
        storage.write(f"{plan.layout.raw_x(handle)}/500-0-2.jsonl", b'{"id": "17", "text": "a"}\n')
    code, after = run(forgetting(make_plan(sources=[ada], cleaning={"erase": ["@BOB"]}), alone, both))
    assert code == ExitCode.DONE
    assert (after.dataset.kept, after.dataset.erased_from) == (400, (both.dataset.digest[:16],))
    left = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="models")["Contents"]]
    assert {key.split("/")[-2] for key in left if "/raw/x/" in key} == {"ada", "bobby"}
    assert any(alone.dataset.digest[:16] in key for key in left)
    assert not any(b"bob likes" in s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in left)
    assert run(make_plan(sources=[ada], cleaning={"erase": ["@bob"]}))[1].dataset.erased_from == ()


def test_a_forgotten_accounts_posts_do_not_come_by_another_tweetmodel(
    make_plan: MakePlan, run: Any, put: Any, bucket: str
) -> None:
    put("archive.zip", MANY)
    put("bob.jsonl", BOB)
    bob = {"handle": "Bob", "s3": {"uri": f"s3://{bucket}/bob.jsonl", "textField": "body"}}
    lent = run(make_plan(sources=[{"handle": "ada", "archive": {"uri": f"s3://{bucket}/archive.zip"}}, bob]))[1]
    plan = make_plan(
        sources=[{"handle": "eve", "tweetModel": {"name": "ada"}}], cleaning={"erase": ["@bob", "@nobody"]}
    )
    reference = DatasetReference(uri=lent.dataset.uri, digest=lent.dataset.digest)
    _, report = run(plan.model_copy(update={"name": "eve", "upstream_datasets": {"ada": reference}}))
    assert (report.dataset.downloaded, report.dataset.kept) == (800, 400)
    assert "400 erased" in report.message


def test_posts_of_and_with_accounts_that_the_administrator_bars_do_not_come_by_another_tweetmodel(
    make_plan: MakePlan, run: Any, put: Any, bucket: str
) -> None:
    put("archive.zip", MANY)
    put("bob.jsonl", BOB + b'{"body": "@EVE has taken another sandwich"}')
    bob = {"handle": "Bob", "s3": {"uri": f"s3://{bucket}/bob.jsonl", "textField": "body"}}
    lent = run(make_plan(sources=[{"handle": "ada", "archive": {"uri": f"s3://{bucket}/archive.zip"}}, bob]))[1]
    plan = make_plan(sources=[{"handle": "mix", "tweetModel": {"name": "ada"}}], cleaning={"excludeAccounts": ["zoe"]})
    reference = DatasetReference(uri=lent.dataset.uri, digest=lent.dataset.digest)
    plan = plan.model_copy(update={"name": "mix", "upstream_datasets": {"ada": reference}})
    assert run(plan)[1].dataset.kept == 801
    assert run(plan.model_copy(update={"excluded_accounts": ("eve",)}))[1].dataset.kept == 800
    code, report = run(plan.model_copy(update={"excluded_accounts": ("bob", "eve")}))
    assert (code, report.dataset.kept) == (ExitCode.DONE, 400)
    assert "401 by or about excluded accounts" in report.message


def test_a_budget_that_ends_the_reading_is_told_in_the_report(
    make_plan: MakePlan, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: x_api.XApiReader, context: ReadContext) -> Iterator[Post]:
        context.counts.budget_spent = True
        return (Post("ada", str(n), f"gull number {n} has taken another sandwich from me") for n in range(400))

    monkeypatch.setattr(x_api.XApiReader, "read", read)
    source = {"handle": "ada", "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "2"}}
    assert "The budget of @ada is spent" in run(make_plan(sources=[source]))[1].message


def test_an_unpacked_archive_is_read_from_its_folder_in_the_bucket(
    make_plan: MakePlan, run: Any, put: Any, bucket: str
) -> None:
    for number in (0, 1):
        texts = (f"gull number {number}/{n} has taken another sandwich from me" for n in range(200))
        put(f"export/data/tweets{f'-part{number}' if number else ''}.js", tweets(*texts, first=200 * number))
    put("export/data/like.js", b"no business of ours")
    folder = {"handle": "ada", "archive": {"uri": f"s3://{bucket}/export/"}}
    assert run(make_plan(sources=[folder]))[1].dataset.kept == 400
    folder["archive"]["uri"] = f"s3://{bucket}/elsewhere/"
    assert run(make_plan(sources=[folder]))[1].reason is Reason.SOURCE_MISSING


@pytest.mark.parametrize(
    ("content", "reason", "code"),
    [
        (MANY[:-100], Reason.INVALID_ARCHIVE, ExitCode.DATA),
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
def test_bad_input_ends_in_a_reason_and_leaves_nothing_in_storage(
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


def test_a_bucket_that_does_not_exist_ends_in_a_reason(make_plan: MakePlan, run: Any, endpoint: str) -> None:
    code, report = run(make_plan(storage={"uri": "s3://nobodys-bucket/x", "endpoint": endpoint}))
    assert (code, report.reason) == (ExitCode.SOURCE, Reason.BUCKET_MISSING)


def test_an_unreachable_endpoint_is_temporary(make_plan: MakePlan, run: Any) -> None:
    code, report = run(make_plan(storage={"uri": "s3://bucket/x", "endpoint": "http://127.0.0.1:9"}))
    assert (code, report.reason) == (ExitCode.TEMPORARY, Reason.STORAGE_UNREACHABLE)


def test_a_bug_is_told_in_a_sentence_and_its_traceback_stays_in_the_log(
    make_plan: MakePlan, run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Report:
        raise KeyError("surprise")

    monkeypatch.setattr("tweetmodel_trainer.pipeline.collect", fail)
    code, report = run(make_plan())
    assert (code, report.reason) == (ExitCode.BUG, Reason.INTERNAL_ERROR)
    assert "KeyError: 'surprise'" in report.message
    assert "Traceback" not in report.message
    assert "Traceback" in caplog.text


def test_collecting_and_repeating_a_report_never_import_torch() -> None:
    code = "import sys, tweetmodel_trainer.command; print('torch' in sys.modules, 'transformers' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


def test_a_run_ends_with_a_model_samples_and_a_report(
    make_plan: MakePlan,
    run: Any,
    put: Any,
    s3: Any,
    bucket: str,
    tmp_path: Path,
    storage: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put("archive.zip", MANY)
    careful = SHORT | {"earlyStopping": {"patience": 1}}
    plan = make_plan(training=careful, generation={"samplesPerPrompt": 3, "prompts": ["", "gull"], "maxNewTokens": 20})
    plan = training(plan, run(plan)[1])
    code, report = run(plan)
    assert (code, report.outcome) == (ExitCode.DONE, "Succeeded")
    assert float(report.model.evaluation.loss) < float(report.model.evaluation.loss_before)
    assert 1 <= len(report.samples) <= 6
    assert len(set(report.samples)) == len(report.samples)

    from transformers import pipeline

    storage.fetch(report.model.uri, tmp_path / "model")
    assert not list((tmp_path / "model").glob("*.bin"))
    write = pipeline("text-generation", model=str(tmp_path / "model"))
    card = (tmp_path / "model" / "README.md").read_text()
    monkeypatch.chdir(tmp_path / "model")
    exec(re.search(r"```python\n(.*?)```", card, re.DOTALL)[1], {})  # what it tells its reader to do works
    storage.fetch(report.model.page.rpartition("/")[0], tmp_path / "page")
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["index.html", "predictions.png"]
    assert (tmp_path / "page" / "index.html").read_text().count("<circle class=") == 3  # before, after, and the epoch
    assert write("gull", max_new_tokens=10, do_sample=False)[0]["generated_text"].startswith("gull")

    again_code, again = run(plan)
    assert (again_code, again) == (code, report)
    lines = io.BytesIO()
    s3.download_fileobj(bucket, plan.layout.results(plan.run).removeprefix(f"s3://{bucket}/") + "/samples.jsonl", lines)
    rows = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [row["prompt"] for row in rows] == [""] * 3 + ["gull"] * 3
    assert all(row["text"].startswith("gull") for row in rows[3:])
    assert {"prompt", "text", "copy", "duplicate"} == set(rows[0])


def test_hostile_posts_reach_card_page_status_and_log_as_mere_text(
    make_plan: MakePlan,
    run: Any,
    put: Any,
    storage: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model is made to say each hostile post as it is, and to say it for a hostile prompt."""
    put(
        "archive.zip",
        zipped({"data/tweets.js": tweets(*hostile.POSTS * 4, *(f"gull {n} came by" for n in range(400)))}),
    )
    monkeypatch.setattr("tweetmodel_trainer.evaluation.generate._draw", lambda *call: (printable(p) for p in call[-1]))
    prompts = [post[:280].replace("\0", "") for post in hostile.POSTS]
    caplog.set_level("INFO")
    for some in (prompts[at : at + 10] for at in range(0, len(prompts), 10)):
        plan = make_plan(training=SHORT, generation={"samplesPerPrompt": 1, "prompts": some})
        code, report = run(training(plan, run(plan)[1]))
        assert code == ExitCode.DONE
        lines = [
            *report.samples,
            report.message,
            *(record.getMessage() for record in caplog.records if record.name.startswith(OURS)),
        ]
        assert not [line for line in lines if any(unicodedata.category(c) in ("Cc", "Cs") for c in line)]
        assert not [line for line in lines if re.search("[\u202a-\u202e\u2066-\u2069]", line)]
        folder = tmp_path / f"run-{report.model.digest[:8]}"
        storage.fetch(report.model.uri, folder)
        assert ModelCard.load(folder / "README.md").data.library_name == "transformers"
        storage.fetch(report.model.page.rpartition("/")[0], folder)
        assert "<script" not in (folder / "index.html").read_text()
        assert "javascript:" not in re.sub(r">[^<]*<", "><", (folder / "index.html").read_text())


STEPS = SHORT | {"globalBatchSize": 8}


def test_a_pod_that_dies_between_model_and_results_is_made_up_for(
    make_plan: MakePlan, run: Any, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("archive.zip", MANY)
    plan = make_plan(training=STEPS, generation={"samplesPerPrompt": 1, "maxNewTokens": 8})
    plan = training(plan, run(plan)[1])
    publish = Storage.publish

    def die_at_the_results(self: Storage, folder: Path, uri: str, **options: Any) -> Any:
        if uri.endswith("results"):
            raise ConnectionResetError("the node is gone")
        return publish(self, folder, uri, **options)

    monkeypatch.setattr(Storage, "publish", die_at_the_results)
    assert run(plan)[0] == ExitCode.BUG
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    code, report = run(plan)
    assert code == ExitCode.DONE
    assert report.model.resumed_from_step == report.model.optimizer_steps


def test_a_run_whose_model_is_gone_is_trained_again(
    make_plan: MakePlan, run: Any, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("archive.zip", MANY)
    plan = make_plan(training=STEPS, generation={"samplesPerPrompt": 1, "maxNewTokens": 8})
    plan = training(plan, run(plan)[1])
    _, first = run(plan)
    storage = Storage(plan.spec.storage)
    storage.delete(first.model.uri)
    code, second = run(plan)
    assert code == ExitCode.DONE
    assert second.model.digest == first.model.digest
    assert storage.manifest(second.model.uri)


def test_a_warm_start_goes_on_from_the_model_it_names(make_plan: MakePlan, run: Any, put: Any) -> None:
    put("archive.zip", MANY)
    plan = make_plan(training=SHORT, generation={"samplesPerPrompt": 1, "maxNewTokens": 8})
    plan = training(plan, run(plan)[1])
    _, first = run(plan)
    start = ModelReference(uri=first.model.uri, digest=first.model.digest)
    warm = plan.model_copy(update={"initial_model": start, "run": run_id(plan.spec, plan.dataset.digest, start)})
    code, second = run(warm)
    assert code == ExitCode.DONE
    assert second.model.evaluation.loss_before == first.model.evaluation.loss
    assert float(second.model.evaluation.loss) < float(first.model.evaluation.loss)

    changed = warm.model_copy(update={"initial_model": start.model_copy(update={"digest": "0" * 64}), "run": "ab" * 8})
    code, report = run(changed)
    assert (code, report.reason) == (ExitCode.SOURCE, Reason.RUN_MISSING)


def test_a_pinned_run_repeats_its_report_and_is_never_trained(make_plan: MakePlan, run: Any, put: Any) -> None:
    put("archive.zip", MANY)
    plan = make_plan(training=SHORT, generation={"samplesPerPrompt": 1, "maxNewTokens": 8})
    plan = training(plan, run(plan)[1])
    _, first = run(plan)
    pinned = plan.model_copy(update={"report_only": True, "dataset": None})
    assert run(pinned) == (ExitCode.DONE, first)
    Storage(plan.spec.storage).delete(plan.layout.results(plan.run))
    code, report = run(pinned)
    assert (code, report.reason) == (ExitCode.SOURCE, Reason.RUN_MISSING)


def test_a_data_set_stays_when_only_what_was_left_out_of_it_has_changed(
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


def test_a_purge_deletes_the_tweetmodels_folder_and_nothing_beside_it(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str
) -> None:
    put("archive.zip", MANY)
    plan = make_plan()
    run(plan)
    neighbour = plan.layout.root.removeprefix(f"s3://{bucket}/") + "2/datasets/d/train.jsonl"
    s3.put_object(Bucket=bucket, Key=neighbour, Body=b"{}")
    purge = plan.model_copy(update={"step": "purge"})
    assert run(purge)[0] == ExitCode.DONE
    assert Storage(plan.spec.storage).names(plan.layout.root) == []
    assert s3.get_object(Bucket=bucket, Key=neighbour)
    assert run(purge)[0] == ExitCode.DONE


def test_a_purge_of_a_bucket_that_is_gone_is_done(make_plan: MakePlan, run: Any, endpoint: str) -> None:
    plan = make_plan(storage={"uri": "s3://no-such-bucket/models", "endpoint": endpoint})
    assert run(plan.model_copy(update={"step": "purge"}))[0] == ExitCode.DONE


def test_a_hub_that_refuses_costs_no_training(
    make_plan: MakePlan, run: Any, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def push(folder: Path, *_: Any) -> str:
        asked.append(sorted(path.name for path in folder.iterdir()))
        if len(asked) == 1:
            raise Failure(Reason.HUB_DENIED, "the Hub refuses.")
        return "https://huggingface.co/ada/huggingtweets-ada"

    put("archive.zip", MANY)
    monkeypatch.setattr("tweetmodel_trainer.publishing.hub_repository.push", push)
    publish = {"huggingFace": {"secretRef": {"name": "hub"}}}
    plan = make_plan(training=SHORT, generation={"samplesPerPrompt": 1}, publish=publish)
    plan = training(plan, run(plan)[1])
    code, report = run(plan)
    assert (code, report.reason) == (ExitCode.DENIED, Reason.HUB_DENIED)
    assert report.model.uri == plan.layout.model(plan.run), "it is told, so that nobody asks for a GPU to push it"

    monkeypatch.setattr("tweetmodel_trainer.pipeline._train", lambda *_: pytest.fail("it is trained already"))
    code, report = run(plan)
    assert code == ExitCode.DONE
    assert asked[0] == asked[1]
    assert "model.safetensors" in asked[1]
    assert report.message.endswith("It is published at https://huggingface.co/ada/huggingtweets-ada.")
    assert report.model.publication.spec_hash == publish_hash(plan.spec)

    strict = plan.spec.model_copy(
        update={"publish": Publish.model_validate(publish | {"criteria": {"maxPerplexity": "1"}})}
    )
    code, report = run(plan.model_copy(update={"spec": strict}))
    assert code == ExitCode.DONE
    assert report.model.publication.url is None
    assert re.search(r"It was not published: its perplexity [\d.]+ exceeds the maximum of 1\.$", report.message)
    assert len(asked) == 2


def test_trackers_follow_a_run_and_the_report_names_one_that_fails(
    make_plan: MakePlan, run: Any, put: Any, keys: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    put("archive.zip", MANY)
    to = {"tensorBoard": {}, "mlflow": {"trackingURI": "http://127.0.0.1:9"}}
    plan = make_plan(training=SHORT, generation={"samplesPerPrompt": 1, "maxNewTokens": 8}, reportTo=to)
    plan = training(plan, run(plan)[1])
    code, report = run(plan)
    assert code == ExitCode.DONE
    assert report.message.endswith(" Some metrics were not sent to MLflow (no response): check spec.reportTo.mlflow.")
    names = [key.rsplit("/", 1)[-1].split(".")[0] for key in keys() if f"{plan.run}/tensorboard/" in key]
    assert sorted(names) == ["MANIFEST", "events"]


@pytest.mark.parametrize("works", [False, True], ids=["the driver is too old", "fewer are there"])
def test_gpus_that_cannot_be_used_end_a_run_before_its_base_model_is_fetched(
    make_plan: MakePlan, run: Any, put: Any, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    import torch

    put("archive.zip", MANY)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: works)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("tweetmodel_trainer.models.base_model.load", lambda *_: pytest.fail("it takes hours in vain"))
    plan = make_plan(training=SHORT, gpus=2)
    code, report = run(training(plan, run(plan)[1]))
    assert (code, report.reason) == (ExitCode.CONFIGURATION, Reason.GPU_UNUSABLE)
    assert report.message.startswith(f"spec.gpus is 2, and CUDA can use {int(works)}. Check the driver of the node")


def test_a_gpu_that_is_too_small_is_told_with_what_to_lower(
    make_plan: MakePlan, run: Any, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def too_large(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    put("archive.zip", MANY)
    plan = make_plan(training=SHORT)
    plan = training(plan, run(plan)[1])
    monkeypatch.setattr("tweetmodel_trainer.training.learn.finetune", too_large)
    code, report = run(plan)
    assert report.reason is Reason.OUT_OF_MEMORY
    assert code != ExitCode.DONE
    assert "training.globalBatchSize" in report.message


def test_a_run_that_diverged_leaves_its_metrics_and_no_results(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str, storage: Storage
) -> None:
    put("archive.zip", MANY)
    plan = make_plan(training=SHORT | {"learningRate": "1e30", "globalBatchSize": 16})
    plan = training(plan, run(plan)[1])
    _, report = run(plan)
    assert report.reason is Reason.DIVERGED
    assert storage.names(f"{plan.layout.root}/runs/{plan.run}") == ["metrics.jsonl"]
    key = f"models/default/ada/runs/{plan.run}/metrics.jsonl"
    rows = [json.loads(line) for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["loss"] > 0
    assert rows[-1]["loss"] is None


def test_a_data_set_that_was_changed_is_not_trained_on(
    make_plan: MakePlan, run: Any, put: Any, s3: Any, bucket: str
) -> None:
    put("archive.zip", MANY)
    plan = make_plan(training=SHORT)
    plan = training(plan, run(plan)[1])
    s3.put_object(Bucket=bucket, Key=plan.dataset.uri.removeprefix(f"s3://{bucket}/") + "/train.jsonl", Body=b"{}")
    assert run(plan)[1].reason is Reason.SOURCE_MISSING


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("absent", {}, Reason.BASE_MODEL_MISSING),
        ("pickle", {"config.json": b"{}", "pytorch_model.bin": b"pickle"}, Reason.BASE_MODEL_INVALID),
        ("broken", {"config.json": b"{}", "model.safetensors": b"no"}, Reason.BASE_MODEL_INVALID),
    ],
)
def test_a_base_model_that_is_not_there_or_not_safe_ends_in_a_reason(
    make_plan: MakePlan, run: Any, put: Any, bucket: str, name: str, files: dict[str, bytes], reason: Reason
) -> None:
    put("archive.zip", MANY)
    for file, content in files.items():
        put(f"{name}/{file}", content)
    plan = make_plan(training=SHORT, baseModel={"s3": {"uri": f"s3://{bucket}/{name}"}})
    code, report = run(training(plan, run(plan)[1]))
    assert report.reason is reason
    assert code in (ExitCode.SOURCE, ExitCode.CONFIGURATION)
    assert f"s3://{bucket}/{name}" in report.message
