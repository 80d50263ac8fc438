"""The quickstart of the README: apply, wait, read tweets."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl import OPERATOR_NAMESPACE, Kubectl
from tweetmodels import BUCKET, ENDPOINT, keys, tweetmodel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def quickstart(kubectl: Kubectl) -> dict[str, Any]:
    """Return the status of the quickstart once it is ready."""
    document = yaml.safe_load((ROOT / "examples" / "quickstart.yaml").read_text())
    document["spec"]["storage"] |= {"endpoint": ENDPOINT, "uri": f"s3://{BUCKET}/tests"}
    kubectl.apply(document)
    return kubectl.wait_ready("quickstart")


def test_status_has_ten_samples(quickstart: dict[str, Any]) -> None:
    assert len(quickstart["samples"]) == 10
    assert all(len(tweet) > 10 for tweet in quickstart["samples"])


def test_status_has_the_numbers_of_the_data_set(quickstart: dict[str, Any]) -> None:
    dataset = quickstart["dataset"]
    assert [dataset[n] for n in ("downloaded", "retweetsDropped", "shortDropped", "kept")] == [3249, 610, 6, 2633]
    assert dataset["characters"] > 40_000


def test_training_reduces_the_loss(quickstart: dict[str, Any]) -> None:
    evaluation = quickstart["model"]["evaluation"]
    assert float(evaluation["loss"]) < 0.5 * float(evaluation["lossBefore"])


def test_kubectl_get_prints_the_columns(kubectl: Kubectl, quickstart: dict[str, Any]) -> None:
    header, row = kubectl("get", "tm", "quickstart").splitlines()
    assert header.split() == ["NAME", "HANDLES", "STATUS", "PROGRESS", "ETA", "LOSS", "PERPLEXITY", "TWEETS", "AGE"]
    cells = row.split()
    assert cells[:4] == ["quickstart", "lighthouse_ada", "Succeeded", "100%"]
    assert {quickstart["model"]["evaluation"]["loss"], "2633"} <= set(cells)


def test_each_step_has_one_job(kubectl: Kubectl, quickstart: dict[str, Any]) -> None:
    steps = [job["metadata"]["labels"]["tweetmodel.dev/step"] for job in kubectl.jobs("quickstart")]
    assert sorted(steps) == ["collect", "train"]


def test_operator_accepts_progress_reports(kubectl: Kubectl, quickstart: dict[str, Any]) -> None:
    path = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/services/tweetmodel-operator:8080/proxy/metrics"
    metrics = Kubectl(OPERATOR_NAMESPACE)("get", "--raw", path)
    accepted = [line for line in metrics.splitlines() if line.startswith('tweetmodel_progress_posts_total{code="200"}')]
    assert accepted
    assert float(accepted[0].split()[-1]) > 0


def test_only_the_end_of_a_run_has_an_event(kubectl: Kubectl, quickstart: dict[str, Any]) -> None:
    events = kubectl.get("events.events.k8s.io")["items"]
    assert [event["reason"] for event in events if event["regarding"]["name"] == "quickstart"] == ["Succeeded"]


def test_folders_in_the_bucket_contain_the_files_of_their_manifests(
    kubectl: Kubectl, quickstart: dict[str, Any], s3: Any
) -> None:
    page = quickstart["model"]["page"].removesuffix("/index.html")
    for uri in (quickstart["model"]["uri"], quickstart["dataset"]["uri"], page):
        prefix = uri.removeprefix(f"s3://{BUCKET}/") + "/"
        manifest = json.loads(s3.get_object(Bucket=BUCKET, Key=prefix + "MANIFEST.json")["Body"].read())
        listed = {prefix + entry["path"] for entry in manifest["files"]}
        assert listed | {prefix + "MANIFEST.json"} == set(keys(s3, prefix))


def test_api_server_accepts_every_example() -> None:
    accepted = Kubectl("default")("apply", "--dry-run=server", "-f", str(ROOT / "examples")).splitlines()
    assert len(accepted) == len(list((ROOT / "examples").glob("*.yaml")))
    assert all(line.endswith("(server dry run)") for line in accepted)


def test_changed_spec_starts_a_second_run_and_keeps_the_first(
    kubectl: Kubectl, quickstart: dict[str, Any], s3: Any
) -> None:
    document = tweetmodel("second", training={"epochs": 1, "blockSize": 128, "globalBatchSize": 16})
    kubectl.apply(document)
    before = kubectl.wait_ready("second")
    document["spec"]["training"]["learningRate"] = "1e-3"
    kubectl.apply(document)
    after = kubectl.wait_ready("second")
    assert [run["outcome"] for run in after["runs"]] == ["Succeeded", "Succeeded"]
    assert after["model"]["uri"] != before["model"]["uri"]
    assert len(kubectl.jobs("second", "collect")) == 1, "the data set is the same"
    for status in (before, after):
        assert keys(s3, status["model"]["uri"].removeprefix(f"s3://{BUCKET}/") + "/MANIFEST.json")


def test_only_the_train_pod_requests_a_gpu(kubectl: Kubectl) -> None:
    node = kubectl.get("nodes")["items"][0]["metadata"]["name"]
    patch = json.dumps({"status": {"capacity": {"nvidia.com/gpu": "2"}, "allocatable": {"nvidia.com/gpu": "2"}}})
    kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", patch)
    kubectl.apply(tweetmodel("gpu", gpus=1))
    ready = kubectl.wait_stalled("gpu")  # the node advertises GPUs that do not exist
    assert ready["reason"] == "GPUUnusable"
    assert ready["message"].startswith("CUDA can use 0 GPUs (the pod requests 1): check the driver")

    def phase_and_gpus(step: str) -> tuple[str, str | None]:
        (pod,) = kubectl.pods("gpu", step)
        limits = pod["spec"]["containers"][0]["resources"].get("limits", {})
        return pod["status"]["phase"], limits.get("nvidia.com/gpu")

    assert phase_and_gpus("collect") == ("Succeeded", None)
    assert phase_and_gpus("train") == ("Failed", "1")
