"""How long from `kubectl apply` to the collect Job, and what the operator's memory is with ten TweetModels.

Against the cluster of `make install`. The Jobs' pods are never scheduled: a quota of zero pods in the
namespace keeps the node idle, so only the control plane and the operator are measured. Beside it, in the same
run, the same client creates a bare Job itself and waits for it by the same kind of watch: the floor that no
operator can go below.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from kube import CONTEXT, OPERATOR_NAMESPACE, Kubectl, tweetmodel
from kubernetes import client, config, watch

RESULTS = Path(__file__).parent / "results" / "operator.json"
NAMESPACE = "bench"
ROUNDS = 50
MODELS = 10


def seconds_until_job(api: client.BatchV1Api, cause: Callable[[], object], owner: str) -> float:
    """Seconds from just before `cause` until a watch shows a Job whose label names `owner`."""
    version = api.list_namespaced_job(NAMESPACE, limit=1).metadata.resource_version
    started = time.perf_counter()
    cause()
    stream = watch.Watch().stream(
        api.list_namespaced_job,
        NAMESPACE,
        resource_version=version,
        label_selector=f"tweetmodel.dev/name={owner}",
        timeout_seconds=30,
    )
    for event in stream:
        if event["type"] == "ADDED":
            return time.perf_counter() - started
    raise TimeoutError(f"no Job for {owner} within 30 s")


def bare_job(name: str) -> dict[str, object]:
    """The smallest Job with the label that the watch looks for."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "none", "image": "none"}]}
    metadata = {"name": name, "labels": {"tweetmodel.dev/name": name}}
    return {"metadata": metadata, "spec": {"template": {"spec": pod}}}


def percentile(values: list[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    return sorted(values)[max(0, round(share * len(values) + 0.5) - 1)]


def memory_mib() -> float:
    """Resident memory of the operator as its own metrics tell it, MiB."""
    path = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/services/tweetmodel-operator:8080/proxy/metrics"
    lines = Kubectl(OPERATOR_NAMESPACE)("get", "--raw", path).splitlines()
    return float(next(line for line in lines if line.startswith("process_resident_memory_bytes")).split()[1]) / 2**20


def main() -> None:
    """Measures, prints a table and writes it as JSON."""
    config.load_kube_config(context=CONTEXT)
    custom, batch = client.CustomObjectsApi(), client.BatchV1Api()
    kubectl = Kubectl(NAMESPACE)
    quota = {
        "metadata": {"name": "no-pods"},
        "spec": {"hard": {"pods": "0"}},
        "apiVersion": "v1",
        "kind": "ResourceQuota",
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    kubectl.apply(quota)
    ours, floor = [], []
    try:
        for number in range(ROUNDS):
            name = f"latency-{number}"

            def apply(name: str = name) -> object:
                group = ("tweetmodel.dev", "v1alpha1", NAMESPACE, "tweetmodels")
                return custom.create_namespaced_custom_object(*group, tweetmodel(name))

            def create(name: str = name) -> object:
                return batch.create_namespaced_job(NAMESPACE, bare_job(f"bare-{name}"))

            ours.append(seconds_until_job(batch, apply, name))
            floor.append(seconds_until_job(batch, create, f"bare-{name}"))
            if number >= MODELS:
                kubectl("delete", "tm", name, "--wait=false")
        time.sleep(5)
        figures = {
            "rounds": ROUNDS,
            "apply_to_job_p50": round(statistics.median(ours), 3),
            "apply_to_job_p99": round(percentile(ours, 0.99), 3),
            "bare_client_p50": round(statistics.median(floor), 3),
            "bare_client_p99": round(percentile(floor, 0.99), 3),
            "rss_mib_with_10_models": round(memory_mib(), 1),
        }
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    for name, value in figures.items():
        print(f"{name:>24}  {value}")
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
