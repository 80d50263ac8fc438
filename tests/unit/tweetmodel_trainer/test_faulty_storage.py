"""Both stages against an S3 that misbehaves: the right result or a reason, and the right result once it behaves."""

import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

import faulty_s3
from faulty_s3 import Fault, FaultyS3
from makers import zipped
from pod import WEIGHTLESS
from tweetmodel_api.identities import run_id
from tweetmodel_api.layout import MANIFEST
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.reasons import REASONS, ExitCode, Reason
from tweetmodel_api.report import Report, decode
from tweetmodel_api.spec import Storage as Spec
from tweetmodel_trainer.command import main
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.models import base_model
from tweetmodel_trainer.storage import IncompleteFolder, Storage

FAULTS = (
    faulty_s3.busy,
    faulty_s3.reset,
    faulty_s3.takes_it_and_is_busy,
    faulty_s3.takes_it_and_resets,
    faulty_s3.takes_it_twice,
    faulty_s3.breaks_off,
    faulty_s3.answers_half_and_says_it_is_all,
    faulty_s3.answers_other_bytes,
    faulty_s3.lies_about_checksums,
    faulty_s3.keeps_half,
    faulty_s3.keeps_other_bytes,
)
TOLD = {Reason.STORAGE_UNREACHABLE, Reason.SOURCE_MISSING, Reason.INVALID_ARCHIVE, Reason.ACCESS_DENIED}
"""What may be said of a fault: that it is tried again, or that what was read is damaged."""
POSTS = [{"tweet": {"id_str": str(n), "full_text": f"gull number {n} has taken a sandwich"}} for n in range(200)]


session = cache(boto3.Session)  # each new one would read anew what a client is


@pytest.fixture
def faulty(endpoint: str) -> Iterator[FaultyS3]:
    faulty = FaultyS3(endpoint)
    with faulty.server:
        yield faulty


@pytest.fixture
def collecting(
    faulty: FaultyS3, make_plan: Callable[..., Plan], bucket: str, put: Any, monkeypatch: pytest.MonkeyPatch
) -> Plan:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))  # between attempts
    monkeypatch.setattr("boto3.Session", session)
    monkeypatch.setitem(base_model.PRESETS, "Tiny", WEIGHTLESS)
    put("archive.zip", zipped({"data/tweets.js": f"window.YTD.tweets.part0 = {json.dumps(POSTS)}".encode()}))
    return make_plan(
        storage={"uri": f"s3://{bucket}/models", "endpoint": faulty.address},
        training={"epochs": 1, "blockSize": 64, "globalBatchSize": 16},
        generation={"samplesPerPrompt": 1, "prompts": [""], "maxNewTokens": 8},
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Plan], tuple[int, Report]]:
    def run(plan: Plan) -> tuple[int, Report]:
        file, log = tmp_path / "plan.json", tmp_path / "log"
        file.write_text(plan.model_dump_json(by_alias=True))
        code = main([plan.step, "--plan", str(file), "--workdir", str(tmp_path), "--termination-log", str(log)])
        report = decode(log.read_text())
        assert report
        return code, report

    return run


def whole(uri: str, storage: Storage, folder: Path) -> bool:
    try:
        return bool(storage.fetch(uri, folder / "whole"))
    except IncompleteFolder:
        return False


def chosen(fault: Fault, requests: list[str]) -> Iterator[Any]:
    """One request that goes wrong, and one from which on all do, by a seed for each fault."""
    generator = random.Random(fault.__name__)
    yield {generator.randrange(len(requests))}
    yield range(generator.randrange(len(requests)), 1_000_000)


def check(code: int, report: Report) -> None:
    """A run through an S3 that misbehaves ended with a reason, or is done."""
    assert report.reason in {Reason.SUCCEEDED, *TOLD}, report.message
    assert code == (REASONS[report.reason].exit_code or ExitCode.DONE)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_data_set_is_the_right_one_or_does_not_count(
    fault: Fault, faulty: FaultyS3, collecting: Plan, run: Any, storage: Storage, tmp_path: Path
) -> None:
    _, calm = run(collecting.model_copy(update={"name": "calm"}))
    asked = list(faulty.asked)
    for some in chosen(fault, asked):
        with faulty.spoiling(fault, some):
            code, report = run(collecting)
        check(code, report)
        if code == ExitCode.DONE:
            assert report.dataset.digest == calm.dataset.digest
            assert whole(report.dataset.uri, storage, tmp_path) or fault is faulty_s3.keeps_other_bytes
    code, report = run(collecting)
    assert (code, report.dataset.digest) == (ExitCode.DONE, calm.dataset.digest)
    assert whole(report.dataset.uri, storage, tmp_path)


@pytest.mark.parametrize(
    ("fault", "lasts"),
    [
        (faulty_s3.takes_it_and_resets, True),
        (faulty_s3.keeps_half, True),
        (faulty_s3.busy, False),
        (faulty_s3.breaks_off, False),
        (faulty_s3.answers_other_bytes, False),
    ],
    ids=lambda value: getattr(value, "__name__", "from then on" if value else "once"),
)
def test_a_model_is_the_right_one_or_does_not_count(
    fault: Fault, lasts: bool, faulty: FaultyS3, collecting: Plan, run: Any, storage: Storage, tmp_path: Path
) -> None:
    collected = run(collecting)[1].dataset
    reference = DatasetReference(uri=collected.uri, digest=collected.digest)
    identity = run_id(collecting.spec, collected.digest)
    plan = collecting.model_copy(update={"step": "train", "run": identity, "dataset": reference})
    faulty.asked.clear()
    _, calm = run(plan.model_copy(update={"name": "calm"}))
    once, lasting = chosen(fault, faulty.asked)
    with faulty.spoiling(fault, lasting if lasts else once):
        code, report = run(plan)
    check(code, report)
    assert code != ExitCode.DONE or whole(plan.layout.results(identity), storage, tmp_path)
    code, report = run(plan)
    assert (code, report.model.digest) == (ExitCode.DONE, calm.model.digest)
    assert report.model.evaluation == calm.model.evaluation
    assert report.samples == calm.samples
    for uri in (report.model.uri, report.model.page.rpartition("/")[0], plan.layout.results(identity)):
        assert whole(uri, storage, tmp_path)
    checkpoints = plan.layout.checkpoints(identity)
    names = [name.removesuffix(f"/{MANIFEST}") for name in storage.names(checkpoints) if name.endswith(MANIFEST)]
    assert whole(f"{checkpoints}/{max(names)}", storage, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"one\ntwo\n" * 100)
    return folder


def test_a_folder_that_is_spoilt_once_on_its_way_is_read_once_more(
    faulty: FaultyS3, collecting: Plan, folder: Path, tmp_path: Path, bucket: str
) -> None:
    storage, uri = Storage(collecting.spec.storage), f"s3://{bucket}/x"
    storage.publish(folder, uri)
    for fault in (faulty_s3.answers_other_bytes, faulty_s3.answers_half_and_says_it_is_all):
        for request in (0, 1):
            with faulty.spoiling(fault, {request}):
                assert whole(uri, storage, tmp_path), (fault, faulty.asked)


def test_a_folder_that_is_not_kept_as_it_was_written_is_not_taken_for_published(
    faulty: FaultyS3, collecting: Plan, folder: Path, tmp_path: Path, bucket: str
) -> None:
    storage = Storage(collecting.spec.storage)
    storage.publish(folder, f"s3://{bucket}/calm")
    refused = []
    for request in range(len(faulty.asked)):
        uri = f"s3://{bucket}/{request}"
        try:
            with faulty.spoiling(faulty_s3.keeps_half, {request}):
                storage.publish(folder, uri)
        except Failure as failure:
            refused.append((failure.reason, whole(uri, storage, tmp_path)))
            storage.publish(folder, uri)
        assert whole(uri, storage, tmp_path)
    assert refused == [(Reason.STORAGE_UNREACHABLE, False)] * 2, "once for the file, once for the manifest"


@pytest.mark.parametrize(
    ("fault", "aws"),
    [(faulty_s3.lies_about_checksums, True), (faulty_s3.answers_half_and_says_it_is_all, False)],
    ids=["checksum", "size"],
)
def test_a_source_that_does_not_come_as_it_lies_there_is_fetched_again(
    fault: Fault, aws: bool, faulty: FaultyS3, bucket: str, put: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS is asked for checksums; whoever stands in for it is taken at the size that it tells of an object."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", faulty.address)
    put("posts.txt", b"one\ntwo\n")
    storage = Storage(Spec(uri=f"s3://{bucket}", endpoint=None if aws else faulty.address))
    with faulty.spoiling(fault, range(1_000_000)), pytest.raises(Failure) as failure:
        storage.download(f"s3://{bucket}/posts.txt", tmp_path / "posts.txt")
    assert failure.value.reason is Reason.STORAGE_UNREACHABLE
    storage.download(f"s3://{bucket}/posts.txt", tmp_path / "posts.txt")
    assert (tmp_path / "posts.txt").read_bytes() == b"one\ntwo\n"
