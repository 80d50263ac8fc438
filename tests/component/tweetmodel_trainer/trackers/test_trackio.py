"""Trackio: the real client and the real server."""

import json
import sqlite3
from pathlib import Path

import tracker_servers
from tracked_run import DATASET, MODEL, RAW, RUN, trackio_at
from tracker_reports import report_two_attempts


def test_two_attempts_are_one_run_with_its_lineage(tmp_path: Path) -> None:
    data = tmp_path / "server"
    with tracker_servers.trackio(data) as url:
        report_two_attempts(trackio_at(url), tmp_path)
    with sqlite3.connect(data / "tweetmodel.db") as database:
        rows = database.execute("select run_name, run_id, metrics from metrics order by id").fetchall()
        links = database.execute(
            "select l.run_name, l.direction, a.name from run_artifact_links l "
            "join artifact_versions v on v.id = l.artifact_version_id join artifacts a on a.id = v.artifact_id"
        ).fetchall()
        manifests = {text for (text,) in database.execute("select manifest from artifact_versions")}
    assert {name for name, _, _ in rows} == {RUN.id}
    assert len({run for _, run, _ in rows}) == 1, "the second attempt created another run"
    logged = [json.loads(metrics) for _, _, metrics in rows]
    losses = {row["train/global_step"]: row["train/loss"] for row in logged if "train/loss" in row}
    assert losses == {1: 4, 2: 3, 3: 2, 4: 1}
    assert set(links) >= {
        (RUN.collection, "input", RAW.name),
        (RUN.collection, "output", DATASET.name),
        (RUN.id, "input", DATASET.name),
        (RUN.id, "output", MODEL.name),
    }
    assert {json.loads(text)[0]["ref"] for text in manifests} == {RAW.uri, DATASET.uri, MODEL.uri}
    [samples] = [row["samples"] for row in logged if "samples" in row]
    assert "<script>" not in json.dumps(samples)
