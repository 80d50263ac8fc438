"""Tests of pods that are killed or stopped in any stage: which folders are complete, and what the next pod does."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pod
from makers import zipped
from plans import PUBLISH, train_plan
from tweetmodel_api.identities import generation_hash
from tweetmodel_api.layout import MANIFEST, checkpoint_step
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import ExitCode
from tweetmodel_trainer.storage import Storage

POSTS = [{"tweet": {"id_str": str(n), "full_text": f"gull number {n} has taken a sandwich"}} for n in range(200)]
STEP = "tweetmodel_trainer.training.checkpoint_callback:CheckpointCallback.on_step_end"
UPLOADED = "tweetmodel_trainer.storage:Storage.sizes_match"
"""The end of an optimizer step, before its checkpoint, and an upload, before its manifest."""


@pytest.fixture
def collecting(make_plan: Callable[..., Plan], put: Any) -> Plan:
    put("archive.zip", zipped({"data/tweets.js": f"window.YTD.tweets.part0 = {json.dumps(POSTS)}".encode()}))
    return make_plan(
        training={"epochs": 1, "blockSize": 64, "globalBatchSize": 10},
        generation={"samplesPerPrompt": 1, "prompts": [""], "maxNewTokens": 8},
        publish=PUBLISH,
    ).model_copy(update={"publish": True})


def folders(plan: Plan, storage: Storage, tmp_path: Path) -> set[str]:
    """Return the kinds of complete folders, after verifying them."""
    manifests = [name for name in storage.names(plan.layout.root) if name.endswith(MANIFEST)]
    for manifest in manifests:
        storage.download_folder(f"{plan.layout.root}/{manifest.removesuffix(f'/{MANIFEST}')}", tmp_path / "whole")
    return {manifest.split("/")[2 if manifest.startswith("runs/") else 0] for manifest in manifests}


def checkpoints(plan: Plan, storage: Storage) -> list[str]:
    names = [name.partition("/")[0] for name in storage.names(plan.layout.checkpoints(plan.run or ""))]
    return sorted(dict.fromkeys(names))


def test_a_run_killed_at_each_step_ends_with_the_same_weights(
    collecting: Plan, storage: Storage, put: Any, bucket: str, tmp_path: Path
) -> None:
    """Each pod gets one optimizer step further; pods are killed at the end of a step and during an upload, in turns."""
    plan = train_plan(collecting, pod.run(collecting, tmp_path)[1])
    _, uninterrupted = pod.run(plan.model_copy(update={"name": "uninterrupted"}), tmp_path)
    for step in range(1, uninterrupted.model.optimizer_steps + 1):
        moment = STEP if step % 2 else UPLOADED
        code, report = pod.run(plan, tmp_path, signal.SIGKILL, (moment, 1 if step == 1 else 2))
        assert (code, report) == (-signal.SIGKILL, None)
        assert folders(plan, storage, tmp_path) <= {"checkpoints", "datasets", "fingerprint"}
    root = plan.layout.checkpoints(plan.run)
    newest = max(name for name in checkpoints(plan, storage) if storage.manifest(f"{root}/{name}"))
    put(f"{root}/{newest}/optimizer.pt".removeprefix(f"s3://{bucket}/"), b"damaged")
    code, report = pod.run(plan, tmp_path)
    assert code == ExitCode.DONE
    assert report.model.resumed_from_step == uninterrupted.model.optimizer_steps - 2, "the newest was damaged"
    assert report.model.digest == uninterrupted.model.digest
    assert report.samples == uninterrupted.samples
    kept = [checkpoint_step(name) for name in checkpoints(plan, storage)]
    assert kept == [uninterrupted.model.optimizer_steps - 1, uninterrupted.model.optimizer_steps]


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
    ("tweetmodel_trainer.training.training_run:score_accounts", 2),
    ("tweetmodel_trainer.model_steps:draw_samples", 1),
    ("tweetmodel_trainer.model_steps:write_results", 1),
    ("tweetmodel_trainer.publishing.hub_repository:push", 1),
]
"""Moments in the order of the stages, so that each pod gets further than the pod before."""
KILLED_SAMPLING = [
    ("tweetmodel_trainer.model_steps:draw_samples", 1),
    *((UPLOADED, number) for number in (2, 3, 4)),
    *(("tweetmodel_trainer.storage:Storage.delete", number) for number in (1, 2, 3)),
]
"""The uploads of the update, the page and the results, and the deletions before the last two and after them."""


def test_a_pod_stopped_in_any_stage_is_interrupted_and_resumed(
    collecting: Plan, storage: Storage, tmp_path: Path
) -> None:
    def stop(plan: Plan, moment: pod.Moment) -> None:
        code, report = pod.run(plan, tmp_path, signal.SIGTERM, moment)
        assert (code, report.outcome) == (ExitCode.INTERRUPTED, "Interrupted"), moment

    _, uninterrupted = pod.run(collecting.model_copy(update={"name": "uninterrupted"}), tmp_path)
    for moment in STOPPED_COLLECTING:
        stop(collecting, moment)
        assert folders(collecting, storage, tmp_path) == set(), moment
    code, collected = pod.run(collecting, tmp_path)
    assert (code, collected.dataset.digest) == (ExitCode.DONE, uninterrupted.dataset.digest)

    plan = train_plan(collecting, collected)
    _, uninterrupted = pod.run(plan.model_copy(update={"name": "uninterrupted"}), tmp_path)
    for moment in STOPPED_TRAINING:
        stop(plan, moment)
        complete = folders(plan, storage, tmp_path)
        assert ("results" in complete) == (moment == STOPPED_TRAINING[-1]), moment
    code, report = pod.run(plan, tmp_path)
    assert code == ExitCode.DONE
    assert report.model.resumed_from_step == report.model.optimizer_steps
    assert report.model.digest == uninterrupted.model.digest
    assert (report.model.evaluation, report.samples) == (uninterrupted.model.evaluation, uninterrupted.samples)


def test_a_pod_killed_while_it_samples_leaves_the_old_or_the_new_samples(
    collecting: Plan, storage: Storage, tmp_path: Path
) -> None:
    collecting = collecting.model_copy(update={"publish": False})
    plan = train_plan(collecting, pod.run(collecting, tmp_path)[1])
    _, current = pod.run(plan, tmp_path)
    outcomes = set()
    for number, moment in enumerate(KILLED_SAMPLING):
        generation = plan.spec.generation.model_copy(update={"samples_per_prompt": 2 + number})
        spec = plan.spec.model_copy(update={"generation": generation})
        sampling = plan.model_copy(update={"step": "sample", "spec": spec})
        assert pod.run(sampling, tmp_path, signal.SIGKILL, moment) == (-signal.SIGKILL, None)
        code, found = pod.run(plan.model_copy(update={"step": "publish"}), tmp_path)
        assert code == ExitCode.DONE
        is_new = found.model.generation_hash == generation_hash(spec)
        assert is_new or found == current
        assert folders(plan, storage, tmp_path) == {
            "checkpoints",
            "datasets",
            "fingerprint",
            "model",
            "page",
            "results",
        }
        code, current = pod.run(sampling, tmp_path)
        assert code == ExitCode.DONE
        assert not is_new or found == current
        outcomes.add(is_new)
    assert outcomes == {True, False}
