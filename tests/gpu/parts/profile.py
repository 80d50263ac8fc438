"""Kernels of an optimizer step: number, time, and the share of time in which the card is busy."""

import time
from typing import Any

from torch.profiler import ProfilerActivity, profile
from transformers import TrainerCallback, TrainerState

from parts.bench import Bench, Figures, Scale
from parts.models import blocks_of, load_base
from recipes import DEVICE, synchronize, train_default

MAX_KERNELS = 14
NOTE = "wall time is longer under the profiler: compare it with recipes.ours.median_step_ms"


class Profiler(TrainerCallback):
    """Profiles some optimizer steps."""

    def __init__(self, scale: Scale) -> None:
        self.first, self.last = scale.first_profiled_step, scale.first_profiled_step + scale.profiled_steps
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if DEVICE == "cuda" else [])]
        self.profiler = profile(activities=activities)
        self.started = self.seconds = 0.0

    def on_step_end(self, _: Any, state: TrainerState, *__: Any, **___: Any) -> None:
        if state.global_step == self.first:
            synchronize()
            self.profiler.start()
            self.started = time.perf_counter()
        if state.global_step == self.last:
            synchronize()
            self.seconds = time.perf_counter() - self.started
            self.profiler.stop()


def measure(bench: Bench, figures: Figures) -> None:
    """Train by the default recipe under the profiler."""
    train, _ = bench.posts()
    model, tokenizer = load_base(bench)
    blocks = blocks_of(bench, train[: bench.scale.profiled_posts], tokenizer, epochs=1)
    steps = bench.scale.profiled_steps
    profiler = Profiler(bench.scale)
    train_default(model, blocks, callbacks=[profiler])
    events = profiler.profiler.key_averages()
    kernels = [event for event in events if str(event.device_type).endswith("CUDA") and event.self_device_time_total]
    kernels.sort(key=lambda event: event.self_device_time_total, reverse=True)
    milliseconds = [round(event.self_device_time_total / 1e3 / steps, 3) for event in kernels]
    figures["note"] = NOTE
    figures["wall_ms"] = round(profiler.seconds * 1e3 / steps, 2)
    figures["kernels_per_step"] = round(sum(event.count for event in kernels) / steps)
    figures["busy_ms_per_step"] = round(sum(milliseconds), 2)
    figures["top"] = [
        [event.key[:90], ms, event.count // steps] for event, ms in zip(kernels, milliseconds, strict=True)
    ][:MAX_KERNELS]
