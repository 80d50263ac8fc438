"""Tests of the artifacts of a run."""

from pathlib import Path

from finished import finished_run
from tweetmodel_trainer.presentation.artifacts import write_artifacts


def test_page_card_and_preview_image_are_written(tmp_path: Path) -> None:
    write_artifacts(finished_run(), tmp_path / "page")
    content = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    beginnings = {"README.md": b"---\n", "index.html": b"<!doctype html>", "predictions.png": b"\x89PNG"}
    assert content.keys() == beginnings.keys()
    assert all(content[name].startswith(beginning) for name, beginning in beginnings.items())
