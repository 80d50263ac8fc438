"""Tests of the lineage of a run: URIs of sources, data set and model."""

import json
from collections.abc import Callable

from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_trainer.trackers.lineage import model_of, run_of


def test_lineage_names_every_source_without_keys_in_urls(make_plan: Callable[..., Plan]) -> None:
    sources = [
        {"handle": "a", "archive": {"uri": "https://host/archive.zip?X-Amz-Signature=secret"}},
        {"handle": "b", "s3": {"uri": "s3://bucket/posts.csv"}},
        {"handle": "c", "huggingFace": {"dataset": "ada/tweets", "revision": "main"}},
        {"handle": "d", "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "1"}},
        {"handle": "e", "tweetModel": {"name": "eve"}},
    ]
    dataset = DatasetReference(uri="s3://bucket/models/default/ada/datasets/dd", digest="d" * 64)
    plan = make_plan(sources=sources).model_copy(update={"run": "ab" * 8, "dataset": dataset})
    run, root = run_of(plan), plan.layout.storage_uri
    assert [raw.uri for raw in run.raw] == [
        "https://host/archive.zip",
        "s3://bucket/posts.csv",
        "hf://datasets/ada/tweets@main",
        f"{root}/default/ada/raw/x/d",
        f"{root}/default/eve/datasets",
    ]
    assert (run.id, run.dataset.uri) == (f"default-ada-{'ab' * 8}", dataset.uri)
    assert "secret" not in json.dumps(run.config)
    assert model_of(plan, "s3://bucket/model", "e").name == "default-ada-model"
