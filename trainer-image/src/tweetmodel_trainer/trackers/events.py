"""What a run tells its trackers: lines of a file that the run writes and the process of each tracker reads.

Writing to a file never makes the run wait, however slow or dead a tracker is.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tweetmodel_trainer.trackers.lineage import Reference

LOOKS_EVERY_SECONDS = 0.2

Outcome = Literal["Succeeded", "Failed", "Interrupted"]


@dataclass(frozen=True)
class Began:
    """Training begins, or goes on."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """transformers' TrainingArguments."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """The model's config."""
    parameters: int = 0
    history: Sequence[Mapping[str, float]] = ()
    """Rows of earlier attempts, each with its step."""


@dataclass(frozen=True)
class Row:
    """Numbers of a step."""

    step: int
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Results:
    """What came of a run that succeeded."""

    model: Reference
    samples: Sequence[Mapping[str, Any]]
    """As in samples.jsonl."""


@dataclass(frozen=True)
class Ended:
    """This attempt is over."""

    outcome: Outcome
    results: Results | None = None


Event = Began | Row | Ended


def write(event: Event, path: Path) -> None:
    """Adds an event to the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": type(event).__name__, **asdict(event)}, default=str) + "\n")


def follow(path: Path) -> Iterator[Event]:
    """The events of a file as they come, until the last one, or until the process that writes them is gone."""
    parent, rest = os.getppid(), ""
    with path.open(encoding="utf-8") as file:
        while os.getppid() == parent:
            rest += file.read()
            *lines, rest = rest.split("\n")
            for line in lines:
                event = _read(json.loads(line))
                yield event
                if isinstance(event, Ended):
                    return
            time.sleep(LOOKS_EVERY_SECONDS)


def _read(line: dict[str, Any]) -> Event:
    match line.pop("event"):
        case "Began":
            return Began(**line)
        case "Row":
            return Row(**line)
    results = line["results"]
    return Ended(line["outcome"], results and Results(Reference(**results["model"]), results["samples"]))
