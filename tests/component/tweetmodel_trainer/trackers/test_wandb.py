"""Weights & Biases: the real client against a server in the process."""

import json
from pathlib import Path

import hostile
from tracked_run import DATASET, MODEL, RAW, RUN, wandb_at
from tracker_reports import report_two_attempts
from wandb_server import Server


def test_two_attempts_are_one_run_with_its_lineage(tmp_path: Path) -> None:
    server = Server()
    report_two_attempts(wandb_at(server.url), tmp_path)
    server.stop()
    run = server.runs[RUN.id]
    assert run.starts == 2
    losses = {row["train/global_step"]: row["train/loss"] for row in run.history if "train/loss" in row}
    assert losses == {1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}
    assert (run.summary["eval/loss_before"], run.summary["eval/loss"]) == (3.0, 1.5)
    assert run.config["spec.training.epochs"]["value"] == 4
    assert server.inputs == {(RUN.collection, RAW.name), (RUN.id, DATASET.name)}
    assert {(RUN.collection, DATASET.name), (RUN.id, MODEL.name)} <= server.outputs
    assert [server.references(it.name) for it in (RAW, DATASET, MODEL)] == [[RAW.uri], [DATASET.uri], [MODEL.uri]]
    [table] = [json.loads(body) for name, body in server.files.items() if name.endswith("samples.table.json")]
    assert [row[1] for row in table["data"]] == list(hostile.POSTS)
    assert not any("model" in name and "manifest" not in name for name in server.files), "weights were uploaded"
