"""TensorBoard: event files, which the trainer uploads. Each attempt writes the whole curve."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tweetmodel_trainer.presentation.markdown import escape_markdown
from tweetmodel_trainer.trackers.events import Outcome, Results, Started
from tweetmodel_trainer.trackers.lineage import TrackedRun
from tweetmodel_trainer.trackers.tracker import Tracker, grouped


class TensorBoardTracker(Tracker):
    """Writes the event file of an attempt."""

    def __init__(self, folder: Path) -> None:
        # tensorboardX imports PyTorch if possible, for tensors, which takes seconds and 500 MB.
        sys.modules["torch"] = None  # type: ignore[assignment]
        from tensorboardX import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))

    def start(self, run: TrackedRun, started: Started) -> None:
        self._writer.add_text("args", json.dumps({**started.arguments, **run.config}, indent=2))
        self._writer.add_text("model_config", json.dumps(started.model, indent=2))
        for row in started.history:
            self.log_metrics(row.step, row.metrics)

    def log_inputs(self, run: TrackedRun) -> None:
        lines = [f"raw: {', '.join(raw.uri for raw in run.raw)}", f"data set: {run.dataset.uri}"]
        self._writer.add_text("lineage/inputs", _markdown_list(lines))

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in grouped(metrics).items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def log_model(self, results: Results) -> None:
        self._writer.add_text("lineage/model", _markdown_list([results.model.uri, results.model.digest]))
        self._writer.add_text("samples", _markdown_list([str(sample["text"]) for sample in results.samples]))

    def finish(self, outcome: Outcome) -> None:
        self._writer.close()


def _markdown_list(lines: list[str]) -> str:
    """Return a Markdown list, since TensorBoard renders text as Markdown."""
    return "\n".join(f"- {escape_markdown(line)}" for line in lines)
