"""What transformers' integrations read of a Trainer, which is in another process: its arguments and its model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tweetmodel_trainer.trackers.events import Began
from tweetmodel_trainer.trackers.lineage import Run


class Described:
    """Values under the methods by which integrations ask for them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)

    def to_dict(self) -> dict[str, Any]:
        return dict(self.values)

    def to_json_string(self) -> str:
        return json.dumps(self.values, indent=2, default=str)


class Arguments(Described):
    """Stands in for TrainingArguments, with what trackio's integration reads there."""

    def __init__(self, run: Run, began: Began) -> None:
        super().__init__({**began.arguments, **run.config})
        self.run_name = run.id
        self.output_dir = ""
        self.project = ""
        self.trackio_space_id: str | None = None
        self.trackio_bucket_id: str | None = None
        self.trackio_static_space_id = False  # else a second Space is made when training ends
        self.hub_private_repo = True


@dataclass
class Model:
    """Stands in for the model."""

    config: Described
    parameters: int

    def num_parameters(self) -> int:
        return self.parameters


@dataclass
class Trainer:
    """Stands in for the Trainer."""

    arguments: Arguments
    model: Model
    history: list[Mapping[str, float]] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run, began: Began) -> "Trainer":
        """The trainer of a run that began so."""
        return cls(Arguments(run, began), Model(Described(began.model), began.parameters), list(began.history))
