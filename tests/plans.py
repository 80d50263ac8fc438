"""Posts and plans for steps of the trainer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from makers import zipped
from tweetmodel_api.identities import run_id
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.report import Report, decode
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_trainer.command import main

SHORT = {"epochs": 1, "blockSize": 64, "globalBatchSize": 64, "learningRate": "3e-3"}
"""Settings of a training of a few seconds."""
PUBLISH = {"huggingFace": {"secretRef": {"name": "hub"}}}


def tweets(*texts: str, first: int = 0) -> bytes:
    """Return a tweets.js of an archive."""
    items = [{"tweet": {"id_str": str(i), "full_text": text}} for i, text in enumerate(texts, first)]
    return f"window.YTD.tweets.part0 = {json.dumps(items)}".encode()


ARCHIVE = zipped(
    {"data/tweets.js": tweets(*(f"gull number {n} has taken another sandwich from me" for n in range(400)))}
)
"""An archive of 400 posts."""


def collect_plan(bucket: str, endpoint: str, **changes: Any) -> Plan:
    """Return the plan of a collect step with an archive in the bucket as its source.

    Args:
        bucket: bucket of archive and storage.
        endpoint: address of the S3 server.
        changes: fields of the spec with other values.
    """
    spec = {
        "sources": [{"handle": "ada", "archive": {"uri": f"s3://{bucket}/archive.zip"}}],
        "storage": {"uri": f"s3://{bucket}/models", "endpoint": endpoint},
        "baseModel": {"scratch": {}},
        "gpus": 0,
    }
    spec = TweetModelSpec.model_validate(spec | changes)
    return Plan(step="collect", namespace="default", name="ada", spec=spec)


def train_plan(plan: Plan, collected: Report) -> Plan:
    """Return the plan of the train step that follows a collect step."""
    assert collected.dataset
    reference = DatasetReference(uri=collected.dataset.uri, digest=collected.dataset.digest)
    run = run_id(plan.spec, collected.dataset.digest)
    return plan.model_copy(update={"step": "train", "run": run, "dataset": reference})


def step_runner(folder: Path) -> Callable[[Plan], tuple[int, Report]]:
    """Return a function that runs the step of a plan as a pod does, and returns exit code and report.

    Args:
        folder: folder for all files.
    """
    log = folder / "termination-log"

    def run_step(plan: Plan) -> tuple[int, Report]:
        file = folder / "plan.json"
        file.write_text(plan.model_dump_json(by_alias=True))
        workdir = folder / f"work-{len(list(folder.iterdir()))}"
        code = main([plan.step, "--plan", str(file), "--workdir", str(workdir), "--termination-log", str(log)])
        report = decode(log.read_text())
        assert report
        return code, report

    return run_step
