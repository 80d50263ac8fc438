"""What a run survives: the operator's death, the pod's death, a person who suspends it."""

from typing import Any

import pytest
from kubectl import LONG, OPERATOR_NAMESPACE, Kubectl, checkpoints, keys, train_pod, tweetmodel, until

OPERATOR = "app.kubernetes.io/name=tweetmodel-operator"


def test_an_operator_that_is_killed_mid_run_finishes_the_same_run_with_one_job_a_stage(kubectl: Kubectl) -> None:
    kubectl.apply(tweetmodel("orphan", training=LONG))
    train_pod(kubectl, "orphan")
    run = kubectl.status("orphan")["run"]
    system = Kubectl(OPERATOR_NAMESPACE)
    system("delete", "pod", "-l", OPERATOR, "--grace-period=0", "--force")
    status = kubectl.wait_ready("orphan")
    assert status["run"] == run
    assert [r["id"] for r in status["runs"]] == [run]
    stages = sorted(job["metadata"]["labels"]["tweetmodel.dev/step"] for job in kubectl.jobs("orphan"))
    assert stages == ["collect", "train"]


@pytest.mark.parametrize("how", [("--grace-period=0", "--force"), ()], ids=["killed", "evicted"])
def test_a_train_pod_that_dies_goes_on_from_its_checkpoint(kubectl: Kubectl, s3: Any, how: tuple[str, ...]) -> None:
    name = "killed" if how else "evicted"
    kubectl.apply(tweetmodel(name, training=LONG))
    pod = train_pod(kubectl, name)
    until(lambda: checkpoints(kubectl, s3, name), 120)
    kubectl("delete", "pod", pod, "--wait=false", *how)
    status = kubectl.wait_ready(name)
    assert status["model"]["resumedFromStep"] > 0
    assert len(status["runs"]) == 1


def test_suspend_stops_the_pod_and_resume_goes_on_from_the_checkpoint(kubectl: Kubectl, s3: Any) -> None:
    document = tweetmodel("paused", training=LONG)
    kubectl.apply(document)
    train_pod(kubectl, "paused")
    until(lambda: checkpoints(kubectl, s3, "paused"), 120)
    document["spec"]["suspend"] = True
    kubectl.apply(document)
    until(lambda: kubectl.condition("paused", "Ready").get("reason") == "Suspended", 60)
    until(lambda: not kubectl.pods("paused", "train"), 120)
    document["spec"]["suspend"] = False
    kubectl.apply(document)
    assert kubectl.wait_ready("paused")["model"]["resumedFromStep"] > 0


def test_a_queued_run_waits_until_its_manager_lets_it_go(kubectl: Kubectl) -> None:
    kubectl.apply(
        tweetmodel("queued", queueName="gpus", training={"epochs": 1, "blockSize": 128, "globalBatchSize": 16})
    )
    until(lambda: kubectl.condition("queued", "Ready").get("reason") == "Queued", 180)
    [job] = kubectl.jobs("queued", "train")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert not kubectl.pods("queued", "train")
    kubectl("patch", "job", job["metadata"]["name"], "--type=merge", "-p", '{"spec": {"suspend": false}}')
    assert kubectl.wait_ready("queued")["summary"]["progress"] == "100%"


def test_a_finished_job_that_somebody_deletes_is_not_run_again(kubectl: Kubectl) -> None:
    kubectl.apply(tweetmodel("tidy", training={"epochs": 1, "blockSize": 128, "globalBatchSize": 16}))
    before = kubectl.wait_ready("tidy")
    kubectl("delete", "jobs", "-l", "tweetmodel.dev/name=tidy")
    kubectl("annotate", "tm/tidy", "somebody=looked")
    until(lambda: not kubectl.jobs("tidy"), 60)
    assert kubectl.status("tidy")["conditions"] == before["conditions"]
    assert not kubectl.jobs("tidy")


def test_deleting_the_tweetmodel_takes_its_jobs_along(kubectl: Kubectl) -> None:
    kubectl("delete", "tm/tidy", "tm/orphan", "--timeout=60s")
    until(lambda: not kubectl.jobs("orphan"), 60)


def test_a_tweetmodel_that_takes_its_folder_along_leaves_nothing_in_the_bucket(kubectl: Kubectl, s3: Any) -> None:
    kubectl.apply(tweetmodel("leaving", deletionPolicy="Delete"))
    train_pod(kubectl, "leaving")  # it is deleted in the middle of its run
    prefix = f"tests/{kubectl.namespace}/leaving/"
    assert keys(s3, prefix)
    kubectl("delete", "tm/leaving", "--timeout=180s")
    assert keys(s3, prefix) == []


def test_a_bucket_that_cannot_be_purged_holds_nothing_up(kubectl: Kubectl) -> None:
    wrong = {"accessKeyID": "nobody", "secretAccessKey": "wrong"}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"}, "stringData": wrong})
    document = tweetmodel("locked-out", deletionPolicy="Delete")
    document["spec"]["storage"]["secretRef"]["name"] = "wrong"
    kubectl.apply(document)
    kubectl.wait_stalled("locked-out")
    kubectl("delete", "tm/locked-out", "--timeout=180s", "--cascade=foreground")
    told = kubectl("events", "--for", "tweetmodel/locked-out", "--types=Warning")
    assert "PurgeFailed" in told
    assert "locked-out was not deleted" in told
