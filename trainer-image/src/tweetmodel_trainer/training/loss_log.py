"""The losses of a training, from the log of transformers; also available if the training fails."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

LOSS, HELD_OUT_LOSS = "loss", "heldout_loss"
"""Names of the training loss and of the held-out loss in a row of the log."""

Row = dict[str, float]


def loss_rows(history: Iterable[Row]) -> list[Row]:
    """Return the rows of a log of transformers that contain a loss."""
    return [row for row in history if {LOSS, HELD_OUT_LOSS} & row.keys()]


def json_row(row: Row) -> Mapping[str, float | None]:
    """Return a row for JSON, with None for infinite and undefined values."""
    return {name: value if math.isfinite(value) else None for name, value in row.items()}


@dataclass
class LossLog(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Callback that keeps the log of a training."""

    _history: list[Row] = field(default_factory=list)

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: object) -> None:
        self._history = state.log_history

    @property
    def rows(self) -> list[Mapping[str, float | None]]:
        """Rows with a loss so far, as for metrics.jsonl."""
        return list(map(json_row, loss_rows(self._history)))
