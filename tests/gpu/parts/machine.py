"""The machine: versions, limits of the card, start of CUDA, imports of the trainer."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from parts.bench import Bench, Figures

START_CUDA = """
import time
started = time.time()
import torch
imported = time.time()
torch.zeros(1, device="cuda" if torch.cuda.is_available() else "cpu")
print(imported - started, time.time() - imported)
"""
GPU_QUERY = "driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit,mig.mode.current"


def measure(bench: Bench, figures: Figures) -> None:
    """Measure the machine; on a CPU only versions and imports."""
    figures["versions"] = {name: version(name) for name in ("torch", "transformers", "accelerate", "peft")}
    figures["python"] = sys.version.split()[0]
    figures["cores"] = len(os.sched_getaffinity(0))
    for repetition in bench.scale.repetitions:
        seconds = _output(sys.executable, "-c", START_CUDA).split()
        figures[f"import_torch_and_start_cuda_seconds_{repetition}"] = [round(float(value), 2) for value in seconds]
    for repetition in bench.scale.repetitions:  # bytecode is missing at first, since the wheels are installed without
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import tweetmodel_trainer.model_steps"], check=True)
        figures[f"import_trainer_seconds_{repetition}"] = round(time.perf_counter() - started, 2)
    if not bench.dry:
        _measure_card(figures)


def _measure_card(figures: Figures) -> None:
    import torch

    figures["gpu"] = torch.cuda.get_device_name()
    figures["nvidia_smi"] = _output("nvidia-smi", f"--query-gpu={GPU_QUERY}", "--format=csv,noheader").strip()
    size = 8192
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    figures["bf16_tflops"] = round(2 * size**3 / _median_seconds(lambda: a @ b, 10) / 1e12)
    size = 4096
    c, d = (torch.randn(size, size, device="cuda") for _ in range(2))
    figures["fp32_tflops"] = round(2 * size**3 / _median_seconds(lambda: c @ d, 5) / 1e12)
    source = torch.empty(2**31, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    seconds = _median_seconds(lambda: target.copy_(source), 10)
    figures["copy_tb_per_second"] = round(2 * source.numel() / seconds / 1e12, 2)
    tiny = torch.ones(1, device="cuda")
    seconds = _median_seconds(lambda: [tiny.add_(1) for _ in range(1000)], 5)
    figures["launch_microseconds"] = round(seconds * 1e3, 2)
    figures["shared_memory"] = _output("df", "-h", "/dev/shm")


def _median_seconds(work: Callable[[], Any], times: int) -> float:
    """Return the median of the seconds, by the events of the device."""
    import torch

    seconds = []
    for _ in range(times):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3)
    return statistics.median(seconds)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
