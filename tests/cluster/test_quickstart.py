"""What the README promises: apply, wait, read tweets."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl import BUCKET, ENDPOINT, Kubectl, keys, tweetmodel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def quickstart(kubectl: Kubectl) -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "examples" / "quickstart.yaml").read_text())
    document["spec"]["storage"] |= {"endpoint": ENDPOINT, "uri": f"s3://{BUCKET}/tests"}
    kubectl.apply(document)
    return kubectl.wait_ready("quickstart")


def test_the_quickstart_becomes_ready_and_shows_ten_tweets(quickstart: dict[str, Any]) -> None:
    assert len(quickstart["samples"]) == 10
    assert all(len(tweet) > 10 for tweet in quickstart["samples"])


def test_the_status_tells_the_archives_numbers(quickstart: dict[str, Any]) -> None:
    dataset = quickstart["dataset"]
    assert [dataset[n] for n in ("downloaded", "retweetsDropped", "shortDropped", "kept")] == [3249, 610, 6, 2633]
    assert dataset["characters"] > 40_000


def test_the_model_learnt_something(quickstart: dict[str, Any]) -> None:
    evaluation = quickstart["model"]["evaluation"]
    assert float(evaluation["loss"]) < 0.5 * float(evaluation["lossBefore"])


def test_kubectl_get_shows_it_in_one_line(kubectl: Kubectl, quickstart: dict[str, Any]) -> None:
    header, row = kubectl("get", "tm", "quickstart").splitlines()
    assert header.split() == ["NAME", "HANDLES", "STATUS", "PROGRESS", "ETA", "LOSS", "PERPLEXITY", "TWEETS", "AGE"]
    cells = row.split()
    assert cells[:4] == ["quickstart", "lighthouse_ada", "Succeeded", "100%"]
    assert {quickstart["model"]["evaluation"]["loss"], "2633"} <= set(cells)


def test_one_job_a_stage_was_made_and_both_ran_restricted(kubectl: Kubectl, quickstart: dict[str, Any]) -> None:
    stages = [job["metadata"]["labels"]["tweetmodel.dev/step"] for job in kubectl.jobs("quickstart")]
    assert sorted(stages) == ["collect", "train"]


def test_progress_reached_the_status_while_it_trained(kubectl: Kubectl, quickstart: dict[str, Any]) -> None:
    """The operator's own metrics tell that posts were taken."""
    metrics = Kubectl("tweetmodel-system")(
        "get", "--raw", "/api/v1/namespaces/tweetmodel-system/services/tweetmodel-operator:8080/proxy/metrics"
    )
    taken = [line for line in metrics.splitlines() if line.startswith('tweetmodel_progress_posts_total{code="200"}')]
    assert taken
    assert float(taken[0].split()[-1]) > 0


def test_an_event_tells_the_end_and_none_what_its_jobs_tell(kubectl: Kubectl, quickstart: dict[str, Any]) -> None:
    events = kubectl.get("events.events.k8s.io")["items"]
    assert [event["reason"] for event in events if event["regarding"]["name"] == "quickstart"] == ["Succeeded"]


def test_every_folder_in_storage_is_complete(kubectl: Kubectl, quickstart: dict[str, Any], s3: Any) -> None:
    page = quickstart["model"]["page"].removesuffix("/index.html")
    for uri in (quickstart["model"]["uri"], quickstart["dataset"]["uri"], page):
        prefix = uri.removeprefix(f"s3://{BUCKET}/") + "/"
        manifest = json.loads(s3.get_object(Bucket=BUCKET, Key=prefix + "MANIFEST.json")["Body"].read())
        listed = {prefix + entry["path"] for entry in manifest["files"]}
        assert listed | {prefix + "MANIFEST.json"} == set(keys(s3, prefix))


def test_the_api_server_takes_every_example() -> None:
    taken = Kubectl("default")("apply", "--dry-run=server", "-f", str(ROOT / "examples")).splitlines()
    assert len(taken) == len(list((ROOT / "examples").glob("*.yaml")))
    assert all(line.endswith("(server dry run)") for line in taken)


def test_a_changed_spec_makes_a_second_run_and_keeps_the_first(
    kubectl: Kubectl, quickstart: dict[str, Any], s3: Any
) -> None:
    first = tweetmodel("second", training={"epochs": 1, "blockSize": 128, "globalBatchSize": 16})
    kubectl.apply(first)
    before = kubectl.wait_ready("second")
    first["spec"]["training"]["learningRate"] = "1e-3"
    kubectl.apply(first)
    after = kubectl.wait_ready("second")
    assert [run["outcome"] for run in after["runs"]] == ["Succeeded", "Succeeded"]
    assert after["model"]["uri"] != before["model"]["uri"]
    assert len(kubectl.jobs("second", "collect")) == 1, "the data set is the same"
    for status in (before, after):
        assert keys(s3, status["model"]["uri"].removeprefix(f"s3://{BUCKET}/") + "/MANIFEST.json")


def test_a_gpu_is_asked_for_by_the_train_pod_alone(kubectl: Kubectl) -> None:
    node = kubectl.get("nodes")["items"][0]["metadata"]["name"]
    patch = json.dumps({"status": {"capacity": {"nvidia.com/gpu": "2"}, "allocatable": {"nvidia.com/gpu": "2"}}})
    kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", patch)
    kubectl.apply(tweetmodel("gpu", gpus=1))
    ready = kubectl.wait_stalled("gpu")  # the node only says that it has GPUs
    assert ready["reason"] == "GPUUnusable"
    assert ready["message"].startswith("spec.gpus is 1, and CUDA can use 0.")

    def ended(stage: str) -> tuple[str, str | None]:
        """How the stage's pod ended, and the GPUs it had asked for."""
        (pod,) = kubectl.pods("gpu", stage)
        limits = pod["spec"]["containers"][0]["resources"].get("limits", {})
        return pod["status"]["phase"], limits.get("nvidia.com/gpu")

    assert ended("collect") == ("Succeeded", None)
    assert ended("train") == ("Failed", "1")
