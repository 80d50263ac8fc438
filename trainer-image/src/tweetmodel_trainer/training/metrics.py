"""The rows of a training's log that tell of its losses, also where the training does not come to its end."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

Row = dict[str, float]


def rows(history: Iterable[Row]) -> list[Row]:
    """Those of transformers' log that have a loss."""
    return [row for row in history if {"loss", "heldout_loss"} & row.keys()]


def plain(row: Row) -> Mapping[str, float | None]:
    """A row as JSON takes it, which has no number for a loss that is none."""
    return {name: value if math.isfinite(value) else None for name, value in row.items()}


@dataclass
class Metrics(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Follows a training."""

    _history: list[Row] = field(default_factory=list)

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **___: object) -> None:
        self._history = state.log_history

    @property
    def so_far(self) -> list[Mapping[str, float | None]]:
        """What there is by now."""
        return list(map(plain, rows(self._history)))
