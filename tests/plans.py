"""Posts and plans for steps of the trainer."""

import json

from makers import zipped
from tweetmodel_api.identities import run_id
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.report import Report

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


def train_plan(plan: Plan, collected: Report) -> Plan:
    """Return the plan of the train step that follows a collect step."""
    assert collected.dataset
    reference = DatasetReference(uri=collected.dataset.uri, digest=collected.dataset.digest)
    run = run_id(plan.spec, collected.dataset.digest)
    return plan.model_copy(update={"step": "train", "run": run, "dataset": reference})
