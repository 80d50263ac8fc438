"""What a user does wrong, and what they are told."""

import json
from typing import Any

import pytest
from kubectl import BUCKET, Kubectl, tweetmodel

ADA = {"handle": "Ada", "s3": {"uri": f"s3://{BUCKET}/ada.jsonl"}}


@pytest.mark.parametrize(
    ("change", "sentence"),
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
        ({"cleaning": {"erase": ["17", "@ADA"]}, "sources": [ADA]}, "cleaning.erase names the account of a source"),
        (
            {"cleaning": {"excludeAccounts": ["ADA"]}, "sources": [ADA]},
            "cleaning.excludeAccounts names the account of a source",
        ),
        ({"sources": [ADA, ADA | {"handle": "ada"}]}, "sources name an account twice"),
        ({"sources": [{"handle": "ada", "tweetModel": {"name": "bad"}}]}, "a source names this TweetModel itself"),
        ({"gpus": 3}, "training.globalBatchSize must be a multiple of gpus"),
    ],
)
def test_a_bad_spec_is_refused_at_apply_with_the_field_and_what_to_do(
    kubectl: Kubectl, change: dict[str, Any], sentence: str
) -> None:
    assert sentence in kubectl.refuse(tweetmodel("bad", **change))


def test_a_name_that_its_jobs_could_not_carry_is_refused(kubectl: Kubectl) -> None:
    assert "use at most 40" in kubectl.refuse(tweetmodel("a" * 41))
    assert "use at most 40" in kubectl.refuse(tweetmodel("with.dots"))


def test_the_storage_of_a_tweetmodel_cannot_move(kubectl: Kubectl) -> None:
    document = tweetmodel("moving", suspend=True)
    kubectl.apply(document)
    document["spec"]["storage"]["uri"] = f"s3://{BUCKET}/elsewhere"
    assert "make another TweetModel" in kubectl.refuse(document)


def test_too_few_tweets_stall_it_before_a_gpu_is_asked_for(kubectl: Kubectl, s3: Any) -> None:
    lines = "".join(json.dumps({"text": f"a short post about gull number {i}"}) + "\n" for i in range(50))
    s3.put_object(Bucket=BUCKET, Key="few.jsonl", Body=lines.encode())
    few = [{"handle": "quiet", "s3": {"uri": f"s3://{BUCKET}/few.jsonl"}}]
    kubectl.apply(tweetmodel("few", sources=few, gpus=1))
    ready = kubectl.wait_stalled("few")
    assert (ready["status"], ready["reason"]) == ("False", "NotEnoughTweets")
    assert "6,000" in ready["message"]
    assert "50" in ready["message"]
    assert not kubectl.jobs("few", "train")


def test_a_wrong_key_ends_in_a_reason_and_not_in_a_retry_loop(kubectl: Kubectl) -> None:
    wrong = {"accessKeyID": "nobody", "secretAccessKey": "wrong"}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"}, "stringData": wrong})
    document = tweetmodel("denied")
    document["spec"]["storage"]["secretRef"]["name"] = "wrong"
    kubectl.apply(document)
    ready = kubectl.wait_stalled("denied")
    assert ready["reason"] == "AccessDenied"
    assert len(kubectl.pods("denied", "collect")) == 1
    document["spec"]["storage"]["secretRef"]["name"] = "s3"
    kubectl.apply(document)
    kubectl("wait", "tm/denied", "--for=condition=DataReady", "--timeout=120s")


def test_a_missing_secret_is_told_and_mends_itself_once_it_is_there(kubectl: Kubectl) -> None:
    document = tweetmodel("secretless", suspend=False)
    document["spec"]["storage"]["secretRef"]["name"] = "absent"
    kubectl.apply(document)
    ready = kubectl.wait_stalled("secretless")
    assert ready["reason"] == "SecretInvalid"
    assert "absent" in ready["message"]
    data = kubectl.get("secret", "s3")["data"]
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "absent"}, "data": data})
    kubectl("wait", "tm/secretless", "--for=condition=DataReady", "--timeout=120s")


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("no-archive", {"sources": [{"handle": "ada", "archive": {"uri": f"s3://{BUCKET}/no.zip"}}]}, "SourceMissing"),
        ("no-model", {"baseModel": {"s3": {"uri": f"s3://{BUCKET}/no-model"}}}, "BaseModelMissing"),
    ],
)
def test_what_is_missing_is_named(kubectl: Kubectl, name: str, change: dict[str, Any], reason: str) -> None:
    kubectl.apply(tweetmodel(name, **change))
    ready = kubectl.wait_stalled(name)
    assert ready["reason"] == reason
    assert f"s3://{BUCKET}/no" in ready["message"]


def test_a_bucket_that_does_not_exist_is_named(kubectl: Kubectl) -> None:
    document = tweetmodel("no-bucket")
    document["spec"]["storage"]["uri"] = "s3://nobodys-bucket/models"
    kubectl.apply(document)
    ready = kubectl.wait_stalled("no-bucket")
    assert ready["reason"] == "BucketMissing"
    assert "nobodys-bucket" in ready["message"]


def test_what_the_administrator_does_not_allow_is_told_before_a_job_is_made(kubectl: Kubectl) -> None:
    kubectl.apply(tweetmodel("other-image", podTemplate={"image": "somebody/else:1"}))
    ready = kubectl.wait_stalled("other-image", 30)
    assert ready["reason"] == "NotAllowed"
    assert "somebody/else:1" in ready["message"]
    assert not kubectl.jobs("other-image")
