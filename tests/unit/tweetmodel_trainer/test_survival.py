"""Pods that are killed or stopped at every moment of both stages: what counts, and what the next one ends in."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pod
from makers import zipped
from tweetmodel_api.identities import run_id
from tweetmodel_api.layout import MANIFEST, checkpoint_step
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.reasons import ExitCode
from tweetmodel_api.report import Report
from tweetmodel_trainer.storage import Storage

POSTS = [{"tweet": {"id_str": str(n), "full_text": f"gull number {n} has taken a sandwich"}} for n in range(200)]
STEP = "tweetmodel_trainer.training.finetune:Saving.on_step_end"
UPLOADED = "tweetmodel_trainer.storage:Storage.sizes_match"
"""The end of a step, before its checkpoint; and an upload, before its manifest."""


@pytest.fixture
def collecting(make_plan: Callable[..., Plan], put: Any) -> Plan:
    put("archive.zip", zipped({"data/tweets.js": f"window.YTD.tweets.part0 = {json.dumps(POSTS)}".encode()}))
    return make_plan(
        training={"epochs": 1, "blockSize": 64, "globalBatchSize": 10},
        generation={"samplesPerPrompt": 1, "prompts": [""], "maxNewTokens": 8},
        publish={"huggingFace": {"secretRef": {"name": "hub"}}},
    )


def training(collecting: Plan, collected: Report | None) -> Plan:
    assert collected
    assert collected.dataset
    made = collected.dataset
    reference = DatasetReference(uri=made.uri, digest=made.digest)
    run = run_id(collecting.spec, made.digest)
    return collecting.model_copy(update={"step": "train", "run": run, "dataset": reference})


def folders(plan: Plan, storage: Storage, tmp_path: Path) -> set[str]:
    """The kinds of folders that count; each is whole."""
    manifests = [name for name in storage.names(plan.layout.root) if name.endswith(MANIFEST)]
    for manifest in manifests:
        storage.fetch(f"{plan.layout.root}/{manifest.removesuffix(f'/{MANIFEST}')}", tmp_path / "whole")
    return {manifest.split("/")[2 if manifest.startswith("runs/") else 0] for manifest in manifests}


def checkpoints(plan: Plan, storage: Storage) -> list[str]:
    names = [name.partition("/")[0] for name in storage.names(plan.layout.checkpoints(plan.run or ""))]
    return sorted(dict.fromkeys(names))


def test_a_run_killed_at_each_step_ends_in_the_same_weights(
    collecting: Plan, storage: Storage, put: Any, bucket: str, tmp_path: Path
) -> None:
    """Pod after pod gets one step further, killed by turns at the end of a step and amid an upload."""
    plan = training(collecting, pod.run(collecting, tmp_path)[1])
    _, calm = pod.run(plan.model_copy(update={"name": "calm"}), tmp_path)
    for step in range(1, calm.model.optimizer_steps + 1):
        moment = STEP if step % 2 else UPLOADED
        code, report = pod.run(plan, tmp_path, signal.SIGKILL, (moment, 1 if step == 1 else 2))
        assert (code, report) == (-signal.SIGKILL, None)
        assert folders(plan, storage, tmp_path) <= {"checkpoints", "datasets", "fingerprint"}
    root = plan.layout.checkpoints(plan.run)
    newest = max(name for name in checkpoints(plan, storage) if storage.manifest(f"{root}/{name}"))
    put(f"{root}/{newest}/optimizer.pt".removeprefix(f"s3://{bucket}/"), b"torn")
    code, report = pod.run(plan, tmp_path)
    assert code == ExitCode.DONE
    assert report.model.resumed_from_step == calm.model.optimizer_steps - 2, "the newest was torn"
    assert report.model.digest == calm.model.digest
    assert report.samples == calm.samples
    kept = [checkpoint_step(name) for name in checkpoints(plan, storage)]
    assert kept == [calm.model.optimizer_steps - 1, calm.model.optimizer_steps]


STOPPED_COLLECTING = [
    ("tweetmodel_trainer.pipeline:reader_of", 1),
    ("tweetmodel_trainer.pipeline:clean_posts", 1),
    ("tweetmodel_trainer.data.dataset:_split", 1),
    (UPLOADED, 1),
]
STOPPED_TRAINING = [
    ("tweetmodel_trainer.models.base_model:load", 1),
    ("tweetmodel_trainer.training.blocks:Blocks.__init__", 1),
    (STEP, 2),
    ("tweetmodel_trainer.training.learn:evaluate_each", 2),
    ("tweetmodel_trainer.training.learn:generate", 1),
    ("tweetmodel_trainer.pipeline:_lines", 1),
    ("tweetmodel_trainer.publishing.hub_repository:push", 1),
]
"""In this order each stop comes after what the pods before have saved."""


def test_a_pod_stopped_in_any_stage_says_so_and_the_next_one_ends_the_same(
    collecting: Plan, storage: Storage, tmp_path: Path
) -> None:
    def stop(plan: Plan, moment: pod.Moment) -> None:
        code, report = pod.run(plan, tmp_path, signal.SIGTERM, moment)
        assert (code, report.outcome) == (ExitCode.INTERRUPTED, "Interrupted"), moment

    _, calm = pod.run(collecting.model_copy(update={"name": "calm"}), tmp_path)
    for moment in STOPPED_COLLECTING:
        stop(collecting, moment)
        assert folders(collecting, storage, tmp_path) == set(), moment
    code, collected = pod.run(collecting, tmp_path)
    assert (code, collected.dataset.digest) == (ExitCode.DONE, calm.dataset.digest)

    plan = training(collecting, collected)
    _, calm = pod.run(plan.model_copy(update={"name": "calm"}), tmp_path)
    for moment in STOPPED_TRAINING:
        stop(plan, moment)
        counted = folders(plan, storage, tmp_path)
        assert ("results" in counted) == (moment == STOPPED_TRAINING[-1]), moment
    code, report = pod.run(plan, tmp_path)
    assert code == ExitCode.DONE
    assert report.model.resumed_from_step == report.model.optimizer_steps
    assert report.model.digest == calm.model.digest
    assert (report.model.evaluation, report.samples) == (calm.model.evaluation, calm.samples)
