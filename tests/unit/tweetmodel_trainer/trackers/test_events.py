"""Tests of the file of events, whose reader waits for unfinished lines."""

import math
import threading
import time
from pathlib import Path

from tracked_run import RESULTS, RUN, STARTED, TENSORBOARD
from tweetmodel_trainer.trackers.events import Ended, Logged, Opened, Started, append, follow


def test_events_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    started = STARTED.model_copy(update={"history": [Logged(step=1, metrics={"loss": 2.5})]})
    written = [Opened(report_to=TENSORBOARD, run=RUN), started, Ended(outcome="Succeeded", results=RESULTS)]
    for event in written:
        append(event, file)
    assert list(follow(file)) == written


def test_values_that_json_lacks_are_written(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    append(Started(arguments={"output_dir": Path("/work"), "limit": math.inf}), file)
    append(Logged(step=1, metrics={"loss": math.nan}), file)
    append(Ended(outcome="Failed"), file)
    started, logged, _ = follow(file)
    assert isinstance(started, Started)
    assert isinstance(logged, Logged)
    assert started.arguments == {"output_dir": "/work", "limit": math.inf}
    assert math.isnan(logged.metrics["loss"])


def test_an_unfinished_line_is_read_when_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.touch()
    line = Ended(outcome="Interrupted").model_dump_json() + "\n"

    def write_slowly() -> None:
        for part in (line[:10], line[10:]):
            time.sleep(0.3)
            with file.open("a") as stream:
                stream.write(part)

    threading.Thread(target=write_slowly).start()
    assert list(follow(file)) == [Ended(outcome="Interrupted")]
