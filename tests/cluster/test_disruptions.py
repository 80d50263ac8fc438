"""Disruptions of a run: operator and pods are killed, and users suspend it, delete its Jobs or the TweetModel."""

from typing import Any

import pytest
from kubectl import OPERATOR_NAMESPACE, Kubectl
from tweetmodels import LONG, keys, secret, tweetmodel, wait_checkpoint

OPERATOR_PODS = "app.kubernetes.io/name=tweetmodel-operator"
ONE_EPOCH = {"epochs": 1, "blockSize": 128, "globalBatchSize": 16}


def test_killed_operator_continues_the_run_with_the_same_jobs(kubectl: Kubectl) -> None:
    kubectl.apply(tweetmodel("orphan", training=LONG))
    kubectl.wait_running("orphan")
    run = kubectl.status("orphan")["run"]
    Kubectl(OPERATOR_NAMESPACE)("delete", "pod", "-l", OPERATOR_PODS, "--grace-period=0", "--force")
    status = kubectl.wait_ready("orphan")
    assert status["run"] == run
    assert [r["id"] for r in status["runs"]] == [run]
    steps = sorted(job["metadata"]["labels"]["tweetmodel.dev/step"] for job in kubectl.jobs("orphan"))
    assert steps == ["collect", "train"]


@pytest.mark.parametrize("options", [("--grace-period=0", "--force"), ()], ids=["killed", "evicted"])
def test_deleted_train_pod_resumes_from_its_checkpoint(kubectl: Kubectl, s3: Any, options: tuple[str, ...]) -> None:
    name = "killed" if options else "evicted"
    kubectl.apply(tweetmodel(name, training=LONG))
    pod = kubectl.wait_running(name)
    wait_checkpoint(kubectl, s3, name)
    kubectl("delete", "pod", pod, "--wait=false", *options)
    status = kubectl.wait_ready(name)
    assert status["model"]["resumedFromStep"] > 0
    assert len(status["runs"]) == 1


def test_suspended_run_resumes_from_its_checkpoint(kubectl: Kubectl, s3: Any) -> None:
    document = tweetmodel("paused", training=LONG)
    kubectl.apply(document)
    kubectl.wait_running("paused")
    wait_checkpoint(kubectl, s3, "paused")
    document["spec"]["suspend"] = True
    kubectl.apply(document)
    kubectl.wait_reason("paused", "Suspended")
    kubectl.wait_no_pods("paused")
    document["spec"]["suspend"] = False
    kubectl.apply(document)
    assert kubectl.wait_ready("paused")["model"]["resumedFromStep"] > 0


def test_queued_job_starts_once_its_queue_admits_it(kubectl: Kubectl) -> None:
    kubectl.apply(tweetmodel("queued", queueName="gpus", training=ONE_EPOCH))
    kubectl.wait_reason("queued", "Queued")
    [job] = kubectl.jobs("queued", "train")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert not kubectl.pods("queued", "train")
    kubectl("patch", "job", job["metadata"]["name"], "--type=merge", "-p", '{"spec": {"suspend": false}}')
    assert kubectl.wait_ready("queued")["summary"]["progress"] == "100%"


def test_deleted_job_of_a_finished_run_is_not_recreated(kubectl: Kubectl) -> None:
    kubectl.apply(tweetmodel("tidy", training=ONE_EPOCH))
    before = kubectl.wait_ready("tidy")
    kubectl.delete("jobs", "-l", "tweetmodel.dev/name=tidy")
    kubectl("annotate", "tm/tidy", "somebody=looked")
    kubectl.wait_until(lambda: not kubectl.jobs("tidy"), "deletion of the Jobs of tidy")
    assert kubectl.status("tidy")["conditions"] == before["conditions"]
    assert not kubectl.jobs("tidy")


def test_deletion_of_a_tweetmodel_deletes_its_jobs(kubectl: Kubectl) -> None:
    kubectl.delete("tm/tidy", "tm/orphan")
    kubectl.wait_until(lambda: not kubectl.jobs("orphan"), "deletion of the Jobs of orphan")


def test_deletion_policy_delete_empties_the_folder_in_the_bucket(kubectl: Kubectl, s3: Any) -> None:
    kubectl.apply(tweetmodel("leaving", deletionPolicy="Delete"))
    kubectl.wait_running("leaving")
    prefix = f"tests/{kubectl.namespace}/leaving/"
    assert keys(s3, prefix)
    kubectl.delete("tm/leaving")
    assert keys(s3, prefix) == []


def test_purge_that_fails_does_not_block_the_deletion(kubectl: Kubectl) -> None:
    kubectl.apply(secret("wrong", accessKeyID="nobody", secretAccessKey="wrong"))
    document = tweetmodel("locked-out", deletionPolicy="Delete")
    document["spec"]["storage"]["secretRef"]["name"] = "wrong"
    kubectl.apply(document)
    kubectl.wait_stalled("locked-out")
    kubectl.delete("tm/locked-out", "--cascade=foreground")
    warnings = kubectl("events", "--for", "tweetmodel/locked-out", "--types=Warning")
    assert "PurgeFailed" in warnings
    assert "locked-out was not deleted" in warnings
