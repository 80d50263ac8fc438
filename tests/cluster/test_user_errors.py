"""Errors of users: invalid specs are rejected at apply, other errors end in a reason that names cause and remedy."""

import json
from typing import Any

import pytest
from kubectl import Kubectl
from tweetmodels import BUCKET, secret, tweetmodel

ADA = {"handle": "Ada", "s3": {"uri": f"s3://{BUCKET}/ada.jsonl"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseModel": {}}, "baseModel needs exactly one of hub, s3 or scratch: keep one and remove the rest"),
        (
            {"sources": [{"handle": "ada"}]},
            "a source needs exactly one of archive, s3, https, huggingFace, tweetModel or xAPI",
        ),
        ({"podTemplate": {"labels": {"tweetmodel.dev/name": "eve"}}}, "podTemplate.labels can't set tweetmodel.dev/"),
        ({"training": {"epochs": 0}}, "spec.training.epochs"),
        ({"training": {"learningRate": "fast"}}, "spec.training.learningRate"),
        ({"sources": []}, "spec.sources"),
        ({"storage": {"uri": "https://bucket"}}, "spec.storage.uri"),
        ({"gpus": 1.5}, "spec.gpus"),
        ({"cleaning": {"erase": ["17", "@ADA"]}, "sources": [ADA]}, "cleaning.erase contains the account of a source"),
        (
            {"cleaning": {"excludeAccounts": ["ADA"]}, "sources": [ADA]},
            "cleaning.excludeAccounts contains the account of a source",
        ),
        ({"sources": [ADA, ADA | {"handle": "ada"}]}, "two sources have the same handle"),
        ({"sources": [{"handle": "ada", "tweetModel": {"name": "bad"}}]}, "a source names the TweetModel itself"),
        ({"gpus": 3}, "training.globalBatchSize is not a multiple of gpus"),
    ],
)
def test_invalid_spec_is_rejected_at_apply(kubectl: Kubectl, change: dict[str, Any], message: str) -> None:
    assert message in kubectl.apply_error(tweetmodel("bad", **change))


def test_name_that_is_too_long_or_not_a_label_is_rejected(kubectl: Kubectl) -> None:
    assert "use at most 40" in kubectl.apply_error(tweetmodel("a" * 41))
    assert "use at most 40" in kubectl.apply_error(tweetmodel("with.dots"))


def test_storage_is_immutable(kubectl: Kubectl) -> None:
    document = tweetmodel("moving", suspend=True)
    kubectl.apply(document)
    document["spec"]["storage"]["uri"] = f"s3://{BUCKET}/elsewhere"
    assert "create another TweetModel" in kubectl.apply_error(document)


def test_too_few_posts_fail_before_a_gpu_is_requested(kubectl: Kubectl, s3: Any) -> None:
    lines = "".join(json.dumps({"text": f"a short post about gull number {i}"}) + "\n" for i in range(50))
    s3.put_object(Bucket=BUCKET, Key="few.jsonl", Body=lines.encode())
    few = [{"handle": "quiet", "s3": {"uri": f"s3://{BUCKET}/few.jsonl"}}]
    kubectl.apply(tweetmodel("few", sources=few, gpus=1))
    ready = kubectl.wait_stalled("few")
    assert (ready["status"], ready["reason"]) == ("False", "NotEnoughTweets")
    assert "6,000" in ready["message"]
    assert "50" in ready["message"]
    assert not kubectl.jobs("few", "train")


def test_wrong_access_key_fails_without_retries(kubectl: Kubectl) -> None:
    kubectl.apply(secret("wrong", accessKeyID="nobody", secretAccessKey="wrong"))
    document = tweetmodel("denied")
    document["spec"]["storage"]["secretRef"]["name"] = "wrong"
    kubectl.apply(document)
    ready = kubectl.wait_stalled("denied")
    assert ready["reason"] == "AccessDenied"
    assert len(kubectl.pods("denied", "collect")) == 1
    document["spec"]["storage"]["secretRef"]["name"] = "s3"
    kubectl.apply(document)
    kubectl.wait_condition("denied", "DataReady")


def test_missing_secret_is_named_and_the_run_continues_once_it_exists(kubectl: Kubectl) -> None:
    document = tweetmodel("secretless", suspend=False)
    document["spec"]["storage"]["secretRef"]["name"] = "absent"
    kubectl.apply(document)
    ready = kubectl.wait_stalled("secretless")
    assert ready["reason"] == "SecretInvalid"
    assert "absent" in ready["message"]
    data = kubectl.get("secret", "s3")["data"]
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "absent"}, "data": data})
    kubectl.wait_condition("secretless", "DataReady")


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("no-archive", {"sources": [{"handle": "ada", "archive": {"uri": f"s3://{BUCKET}/no.zip"}}]}, "SourceMissing"),
        ("no-model", {"baseModel": {"s3": {"uri": f"s3://{BUCKET}/no-model"}}}, "BaseModelMissing"),
    ],
)
def test_missing_source_or_base_model_is_named(
    kubectl: Kubectl, name: str, change: dict[str, Any], reason: str
) -> None:
    kubectl.apply(tweetmodel(name, **change))
    ready = kubectl.wait_stalled(name)
    assert ready["reason"] == reason
    assert f"s3://{BUCKET}/no" in ready["message"]


def test_missing_bucket_is_named(kubectl: Kubectl) -> None:
    document = tweetmodel("no-bucket")
    document["spec"]["storage"]["uri"] = "s3://nobodys-bucket/models"
    kubectl.apply(document)
    ready = kubectl.wait_stalled("no-bucket")
    assert ready["reason"] == "BucketMissing"
    assert "nobodys-bucket" in ready["message"]


def test_image_that_the_policy_forbids_gets_no_job(kubectl: Kubectl) -> None:
    kubectl.apply(tweetmodel("other-image", podTemplate={"image": "somebody/else:1"}))
    ready = kubectl.wait_stalled("other-image")
    assert ready["reason"] == "NotAllowed"
    assert "somebody/else:1" in ready["message"]
    assert not kubectl.jobs("other-image")
