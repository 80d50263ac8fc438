"""The measurements for a GPU, tried with tiny models on a CPU."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PARTS = {"machine", "base", "recipes", "exact", "pod", "profile", "samples", "graph", "large", "shared"}
MAX_SECONDS = 1800
"""Much more than two free cores need, since other tests run at the same time."""


@pytest.mark.long
def test_a_dry_run_measures_every_part(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'examples' / 'archive'}"}
    command = [sys.executable, ROOT / "tests" / "gpu" / "measure.py", "--dry", "--out", tmp_path]
    subprocess.run([*command, "--seconds", str(MAX_SECONDS)], env=environment, timeout=MAX_SECONDS, check=True)
    figures = json.loads((tmp_path / "gpu.json").read_text())
    assert {name for name, part in figures.items() if isinstance(part, dict)} == PARTS | {"derived"}
    assert not {"skipped", "ended_early", "error"} & set(keys(figures))
    assert all(part.keys() > {"part_seconds"} for name, part in figures.items() if name in PARTS)
    assert figures["exact"]["default"]["repeatable"]
    assert figures["pod"]["stopped"]["exit_code"] == 143
    assert figures["pod"]["resumed"]["same_model"]
    assert figures["derived"]


def keys(value: Any) -> Iterator[str]:
    """All keys of nested objects."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
