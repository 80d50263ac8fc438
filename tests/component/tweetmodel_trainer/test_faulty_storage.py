"""Runs collect and train against an S3 with faults: each result is correct or has a reason, and later runs succeed."""

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
from pod import TINY_SHAPE
from tweetmodel_api.identities import run_id
from tweetmodel_api.layout import MANIFEST
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.reasons import REASONS, ExitCode, Reason
from tweetmodel_api.report import Report
from tweetmodel_api.spec import Storage as Spec
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.models import base_model
from tweetmodel_trainer.storage import IncompleteFolder, Storage

FAULTS = (
    faulty_s3.unavailable,
    faulty_s3.reset,
    faulty_s3.executed_but_unavailable,
    faulty_s3.executed_but_reset,
    faulty_s3.executed_twice,
    faulty_s3.body_ends_early,
    faulty_s3.body_truncated,
    faulty_s3.body_corrupted,
    faulty_s3.wrong_checksums,
    faulty_s3.stored_truncated,
    faulty_s3.stored_corrupted,
)
REASONS_OF_FAULTS = {Reason.STORAGE_UNREACHABLE, Reason.SOURCE_MISSING, Reason.INVALID_ARCHIVE, Reason.ACCESS_DENIED}
"""Possible reasons of a fault: a transient failure, or damaged data."""
POSTS = [{"tweet": {"id_str": str(n), "full_text": f"gull number {n} has taken a sandwich"}} for n in range(200)]


session = cache(boto3.Session)  # a new session parses the description of S3 again


@pytest.fixture
def faulty(endpoint: str) -> Iterator[FaultyS3]:
    faulty = FaultyS3(endpoint)
    with faulty.server:
        yield faulty


@pytest.fixture
def collect_plan(
    faulty: FaultyS3, make_plan: Callable[..., Plan], bucket: str, put: Any, monkeypatch: pytest.MonkeyPatch
) -> Plan:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))  # between attempts
    monkeypatch.setattr("boto3.Session", session)
    monkeypatch.setitem(base_model.PRESETS, "Tiny", TINY_SHAPE)
    put("archive.zip", zipped({"data/tweets.js": f"window.YTD.tweets.part0 = {json.dumps(POSTS)}".encode()}))
    return make_plan(
        storage={"uri": f"s3://{bucket}/models", "endpoint": faulty.url},
        training={"epochs": 1, "blockSize": 64, "globalBatchSize": 16},
        generation={"samplesPerPrompt": 1, "prompts": [""], "maxNewTokens": 8},
    )


def is_complete(uri: str, storage: Storage, folder: Path) -> bool:
    try:
        return bool(storage.download_folder(uri, folder / "fetched"))
    except IncompleteFolder:
        return False


def chosen(fault: Fault, requests: list[str]) -> Iterator[Any]:
    """Yield one random request, and all requests from a random one; the name of the fault is the seed."""
    generator = random.Random(fault.__name__)
    yield {generator.randrange(len(requests))}
    yield range(generator.randrange(len(requests)), 1_000_000)


def check(code: int, report: Report) -> None:
    """Check that a step ended with success or with a reason of a fault."""
    assert report.reason in {Reason.SUCCEEDED, *REASONS_OF_FAULTS}, report.message
    assert code == (REASONS[report.reason].exit_code or ExitCode.DONE)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_data_set_is_correct_or_incomplete(
    fault: Fault, faulty: FaultyS3, collect_plan: Plan, run: Any, storage: Storage, tmp_path: Path
) -> None:
    _, correct = run(collect_plan.model_copy(update={"name": "correct"}))
    requests = list(faulty.requests)
    for some in chosen(fault, requests):
        with faulty.injecting(fault, some):
            code, report = run(collect_plan)
        check(code, report)
        if code == ExitCode.DONE:
            assert report.dataset.digest == correct.dataset.digest
            assert is_complete(report.dataset.uri, storage, tmp_path) or fault is faulty_s3.stored_corrupted
    code, report = run(collect_plan)
    assert (code, report.dataset.digest) == (ExitCode.DONE, correct.dataset.digest)
    assert is_complete(report.dataset.uri, storage, tmp_path)


@pytest.mark.parametrize(
    ("fault", "lasts"),
    [
        (faulty_s3.executed_but_reset, True),
        (faulty_s3.stored_truncated, True),
        (faulty_s3.unavailable, False),
        (faulty_s3.body_ends_early, False),
        (faulty_s3.body_corrupted, False),
    ],
    ids=lambda value: getattr(value, "__name__", "lasting" if value else "once"),
)
def test_model_is_correct_or_incomplete(
    fault: Fault, lasts: bool, faulty: FaultyS3, collect_plan: Plan, run: Any, storage: Storage, tmp_path: Path
) -> None:
    collected = run(collect_plan)[1].dataset
    reference = DatasetReference(uri=collected.uri, digest=collected.digest)
    identity = run_id(collect_plan.spec, collected.digest)
    plan = collect_plan.model_copy(update={"step": "train", "run": identity, "dataset": reference})
    faulty.requests.clear()
    _, correct = run(plan.model_copy(update={"name": "correct"}))
    once, lasting = chosen(fault, faulty.requests)
    with faulty.injecting(fault, lasting if lasts else once):
        code, report = run(plan)
    check(code, report)
    assert code != ExitCode.DONE or is_complete(plan.layout.results(identity), storage, tmp_path)
    code, report = run(plan)
    assert (code, report.model.digest) == (ExitCode.DONE, correct.model.digest)
    assert report.model.evaluation == correct.model.evaluation
    assert report.samples == correct.samples
    for uri in (report.model.uri, report.model.page.rpartition("/")[0], plan.layout.results(identity)):
        assert is_complete(uri, storage, tmp_path)
    checkpoints = plan.layout.checkpoints(identity)
    names = [name.removesuffix(f"/{MANIFEST}") for name in storage.names(checkpoints) if name.endswith(MANIFEST)]
    assert is_complete(f"{checkpoints}/{max(names)}", storage, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"one\ntwo\n" * 100)
    return folder


def test_data_corrupted_in_transit_is_read_again(
    faulty: FaultyS3, collect_plan: Plan, folder: Path, tmp_path: Path, bucket: str
) -> None:
    storage, uri = Storage(collect_plan.spec.storage), f"s3://{bucket}/x"
    storage.upload_folder(folder, uri)
    for fault in (faulty_s3.body_corrupted, faulty_s3.body_truncated):
        for request in (0, 1):
            with faulty.injecting(fault, {request}):
                assert is_complete(uri, storage, tmp_path), (fault, faulty.requests)


def test_upload_that_is_stored_truncated_fails(
    faulty: FaultyS3, collect_plan: Plan, folder: Path, tmp_path: Path, bucket: str
) -> None:
    storage = Storage(collect_plan.spec.storage)
    storage.upload_folder(folder, f"s3://{bucket}/correct")
    failures = []
    for request in range(len(faulty.requests)):
        uri = f"s3://{bucket}/{request}"
        try:
            with faulty.injecting(faulty_s3.stored_truncated, {request}):
                storage.upload_folder(folder, uri)
        except Failure as failure:
            failures.append((failure.reason, is_complete(uri, storage, tmp_path)))
            storage.upload_folder(folder, uri)
        assert is_complete(uri, storage, tmp_path)
    assert failures == [(Reason.STORAGE_UNREACHABLE, False)] * 2, "once for the file, once for the manifest"


@pytest.mark.parametrize(
    ("fault", "aws"),
    [(faulty_s3.wrong_checksums, True), (faulty_s3.body_truncated, False)],
    ids=["checksum", "size"],
)
def test_corrupt_download_is_a_transient_failure(
    fault: Fault, aws: bool, faulty: FaultyS3, bucket: str, put: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS sends checksums; for other services the size of the object is compared."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", faulty.url)
    put("posts.txt", b"one\ntwo\n")
    storage = Storage(Spec(uri=f"s3://{bucket}", endpoint=None if aws else faulty.url))
    with faulty.injecting(fault, range(1_000_000)), pytest.raises(Failure) as failure:
        storage.download_object(f"s3://{bucket}/posts.txt", tmp_path / "posts.txt")
    assert failure.value.reason is Reason.STORAGE_UNREACHABLE
    storage.download_object(f"s3://{bucket}/posts.txt", tmp_path / "posts.txt")
    assert (tmp_path / "posts.txt").read_bytes() == b"one\ntwo\n"
