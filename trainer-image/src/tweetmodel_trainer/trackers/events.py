"""Events of a run: the trainer appends lines of JSON to a file, and the process of each tracker reads them.

Appending to a file never blocks, so a slow or dead tracker can't delay the training.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from tweetmodel_api.trackers import ReportTo
from tweetmodel_trainer.trackers.lineage import Reference, TrackedRun

POLL_SECONDS = 0.2

Outcome = Literal["Succeeded", "Failed", "Interrupted"]


class _Event(BaseModel, frozen=True, ser_json_inf_nan="constants"):
    """Base of all events. A diverged loss is written as NaN."""


class Opened(_Event):
    """The trackers were started. Always the first event."""

    event: Literal["Opened"] = "Opened"
    report_to: ReportTo
    run: TrackedRun


class Logged(_Event):
    """Metrics of an optimizer step."""

    event: Literal["Logged"] = "Logged"
    step: int
    metrics: Mapping[str, float]


class Started(_Event):
    """Training started or resumed."""

    event: Literal["Started"] = "Started"
    arguments: Mapping[str, Any] = {}
    """TrainingArguments of transformers."""
    model: Mapping[str, Any] = {}
    """Configuration of the model."""
    parameters: int = 0
    """Number of weights."""
    history: Sequence[Logged] = ()
    """Metrics of earlier attempts."""

    def config(self, run: TrackedRun) -> dict[str, Any]:
        """Return all settings of the run by name."""
        return {**self.model, **self.arguments, **run.config, "model/num_parameters": self.parameters}


class Results(_Event):
    """Model and samples of a successful run."""

    model: Reference
    samples: Sequence[Mapping[str, Any]]
    """Rows of samples.jsonl."""


class Ended(_Event):
    """The attempt ended. Always the last event."""

    event: Literal["Ended"] = "Ended"
    outcome: Outcome
    results: Results | None = None


Event = Opened | Started | Logged | Ended

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def append(event: Event, path: Path) -> None:
    """Append an event to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(event.model_dump_json(fallback=str) + "\n")


def follow(path: Path) -> Iterator[Event]:
    """Yield the events of a growing file until the last event, or until the writing process is gone."""
    parent, rest = os.getppid(), ""
    with path.open(encoding="utf-8") as file:
        while os.getppid() == parent:
            rest += file.read()
            *lines, rest = rest.split("\n")
            for line in lines:
                event = _EVENT.validate_json(line)
                yield event
                if isinstance(event, Ended):
                    return
            time.sleep(POLL_SECONDS)
