"""MLflow: the real client and the real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import tracker_servers
from tracked_run import DATASET, EVALUATION, MODEL, RAW, mlflow_at
from tracker_reports import report_two_attempts


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tracker_servers.mlflow(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


def test_two_attempts_are_one_run_with_its_lineage(server: str, tmp_path: Path) -> None:
    report_two_attempts(mlflow_at(server), tmp_path)

    def get(path: str, **parameters: str) -> Any:
        return requests.get(f"{server}/api/2.0/mlflow/{path}", parameters, timeout=20).json()

    experiment = get("experiments/get-by-name", experiment_name="tweetmodel")["experiment"]["experiment_id"]
    search = {"experiment_ids": [experiment]}
    [run] = requests.post(f"{server}/api/2.0/mlflow/runs/search", json=search, timeout=20).json()["runs"]
    assert run["info"]["status"] == "FINISHED"
    history = get("metrics/get-history", run_id=run["info"]["run_id"], metric_key="loss")["metrics"]
    assert {metric["step"]: metric["value"] for metric in history} == {1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}
    assert {m["key"]: m["value"] for m in run["data"]["metrics"]}.items() >= EVALUATION.items()
    parameters = {p["key"]: p["value"] for p in run["data"]["params"]}
    assert (parameters["spec.training.epochs"], parameters["n_layer"]) == ("4", "1")
    assert parameters["output_dir"] == "/work/first", "a parameter keeps its first value"
    inputs = [item["dataset"] for item in run["inputs"]["dataset_inputs"]]
    assert {item["name"]: json.loads(item["source"])["uri"] for item in inputs} == {
        RAW.name: RAW.uri,
        DATASET.name: DATASET.uri,
    }
    [output] = run["outputs"]["model_outputs"]
    model = get(f"logged-models/{output['model_id']}")["model"]
    assert {tag["key"]: tag["value"] for tag in model["info"]["tags"]}["uri"] == MODEL.uri
