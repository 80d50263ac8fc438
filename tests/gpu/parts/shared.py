"""Total speed of several runs at the same time on one card, each in its own process (see `shared_run`)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from parts.bench import Bench, Figures

MEASURE = Path(__file__).parents[1] / "measure.py"


def measure(bench: Bench, figures: Figures) -> None:
    """Run one, two and four runs at the same time."""
    for count in bench.scale.concurrent_runs:
        runs = _run_together(bench, count)
        seconds = max(run["ended"] for run in runs) - min(run["started"] for run in runs)
        figures[f"{count}_at_once"] = {
            "seconds": round(seconds, 2),
            "tokens_per_second": round(sum(run["tokens"] for run in runs) / seconds),
        }


def _run_together(bench: Bench, count: int) -> list[dict[str, Any]]:
    """Start the training of all processes when all are ready; return their results."""
    command = [sys.executable, str(MEASURE), "--part", "shared_run", "--work", str(bench.work)]
    processes = [
        subprocess.Popen(
            [*command, *(["--dry"] if bench.dry else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout
        ready = process.stdout.readline()
        assert ready == "ready\n", f"a run failed before its training: {ready}"
    for process in processes:
        assert process.stdin
        process.stdin.write("start\n")
        process.stdin.flush()
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
