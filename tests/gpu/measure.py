"""Measures everything that needs a GPU in at most ten minutes, and writes the figures to gpu.json.

Each part runs in its own process, so an error of CUDA affects no other part. Parts run in the order of their worth, and
a part is skipped if too little time remains. `--dry` runs all parts with tiny models on a CPU.

    PYTHONPATH=tests:examples/archive python tests/gpu/measure.py [--dry] [--only PART …] [--seconds N] [--out FOLDER]
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts.bench import Bench, Figures, figures_of

PARTS = {
    "machine": 40,
    "base": 110,
    "recipes": 90,
    "exact": 110,
    "pod": 150,
    "profile": 40,
    "samples": 60,
    "graph": 60,
    "large": 100,
    "shared": 60,
}
"""Maximum seconds of each part, in the order of worth. See the module of a part for its measurements."""

FIRST = ("machine", "base")
"""All other parts start from the model of `base`."""

MIN_SHARE = 0.4
"""A part is skipped if less than this share of its maximum time remains."""

DATASHEET_BF16_FLOPS = 989e12
"""Dense bfloat16 of an H100 or H200 (SXM)."""

DRY_WORKERS = 2
"""Parts at a time in a dry run, whose times mean nothing."""


@dataclass(frozen=True)
class Runner:
    """Runs parts in processes until the time is over."""

    work: Path
    dry: bool
    deadline: float

    def run_all(self, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Run the parts; yield name and figures of each."""
        groups = [name for name in names if name in FIRST], [name for name in names if name not in FIRST]
        with ThreadPoolExecutor(DRY_WORKERS if self.dry else 1) as pool:
            for group in groups:
                yield from zip(group, pool.map(self.run, group), strict=True)

    def run(self, name: str) -> dict[str, Any]:
        """Run a part; return its figures."""
        started = time.monotonic()
        remaining = self.deadline - started
        if remaining < MIN_SHARE * PARTS[name]:
            return {"skipped": f"{remaining:.0f} s remained"}
        code = self._run_process(name, remaining if self.dry else min(PARTS[name], remaining))
        figures = figures_of(self.work, name)
        if code:
            figures["ended_early"] = code
        return figures | {"part_seconds": round(time.monotonic() - started, 1)}

    def _run_process(self, name: str, timeout: float) -> int:
        command = [sys.executable, __file__, "--part", name, "--work", str(self.work)]
        with subprocess.Popen([*command, *(["--dry"] if self.dry else [])], start_new_session=True) as process:
            try:
                return process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return process.wait()


def derived(figures: dict[str, Any]) -> dict[str, Any]:
    """Return ratios and model FLOPS utilization (MFU), or nothing if a part that they need was skipped."""
    try:
        recipes, machine = figures["recipes"], figures["machine"]
        ours = recipes["ours_again"]["tokens_per_second"]
        flops = ours * recipes["flops_per_token"]
        ratios = {
            "ours_over_stock": round(ours / recipes["stock_fp32"]["tokens_per_second"], 2),
            "ours_over_padded": round(ours / recipes["padded_rows"]["tokens_per_second"], 1),
            "mfu_of_datasheet": round(flops / DATASHEET_BF16_FLOPS, 4),
        }
        if "bf16_tflops" in machine:
            ratios["mfu_of_measured"] = round(flops / (machine["bf16_tflops"] * 1e12), 4)
    except KeyError:
        return {}
    return ratios


def run_part(name: str, work: Path, dry: bool) -> None:
    """Run a part in this process."""
    importlib.import_module(f"parts.{name}").measure(Bench(work, dry), Figures(work, name))


def main() -> None:
    """Run all parts, or a single part in its process."""
    parser = argparse.ArgumentParser(description="Measures everything that needs a GPU.")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")), help="folder of gpu.json")
    parser.add_argument("--seconds", type=float, default=540, help="time for all parts")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS), help="parts to run")
    parser.add_argument("--dry", action="store_true", help="tiny models on a CPU")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        run_part(options.part, options.work, options.dry)
        return
    if options.dry:
        os.environ["OMP_NUM_THREADS"] = "1"  # threads that wait for each other only slow tiny models down
    figures: dict[str, Any] = {"dry": options.dry}
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        runner = Runner(Path(work), options.dry, time.monotonic() + options.seconds)
        for name, measured in runner.run_all([name for name in PARTS if name in options.only]):
            figures[name] = measured
            figures["derived"] = derived(figures)
            (options.out / "gpu.json").write_text(json.dumps(figures, indent=1) + "\n")
            print(name, json.dumps(measured)[:900], flush=True)
    print("derived", json.dumps(figures.get("derived")))


if __name__ == "__main__":
    main()
