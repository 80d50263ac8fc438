"""TensorBoard: event files in a folder, which the run publishes; each attempt writes the whole curve."""

from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from transformers import TrainerControl, TrainerState
from transformers.integrations import TensorBoardCallback

from tweetmodel_api.trackers import TensorBoard
from tweetmodel_trainer.presentation.card import literal
from tweetmodel_trainer.trackers.events import Outcome, Results
from tweetmodel_trainer.trackers.lineage import Run
from tweetmodel_trainer.trackers.tracker import Tracker
from tweetmodel_trainer.trackers.trainer_stub import Trainer


class TensorBoardTracker(Tracker):
    """A writer of one event file."""

    def __init__(self, to: TensorBoard, folder: Path) -> None:
        self._writer: Any = SummaryWriter(str(folder))
        self.callback = TensorBoardCallback(self._writer)

    def begin(self, run: Run, trainer: Trainer) -> None:
        lines = [f"raw: {', '.join(raw.uri for raw in run.raw)}", f"data set: {run.dataset.uri}"]
        self._writer.add_text("lineage/made of", _listed(lines))
        for row in trainer.history:
            numbers = {name: value for name, value in row.items() if name != "step"}
            state = TrainerState(global_step=int(row["step"]))
            self.callback.on_log(trainer.arguments, state, TrainerControl(), logs=numbers)

    def made(self, results: Results) -> None:
        self._writer.add_text("lineage/model", _listed([results.model.uri, results.model.digest]))
        self._writer.add_text("samples", _listed([str(sample["text"]) for sample in results.samples]))

    def finish(self, outcome: Outcome) -> None:
        self._writer.close()


def _listed(lines: list[str]) -> str:
    """A list in Markdown, which is what TensorBoard takes text for."""
    return "\n".join(f"- {literal(line)}" for line in lines)
