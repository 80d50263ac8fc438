"""Starts, checks and ends the process of a tracker.

The process isolates the training from the tracker's client: a client that hangs, crashes, prints, fills the memory or
draws random numbers can't affect the run. The process receives only the keys of the tracker.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tweetmodel_api.credentials import BASE_MODEL, PUBLISH, SOURCE_PREFIX, TRACKERS
from tweetmodel_api.trackers import TrackerKind
from tweetmodel_trainer.trackers.errors import first_error

_EXCLUDED_PREFIXES = ("AWS_", PUBLISH.variable, BASE_MODEL.variable, SOURCE_PREFIX, "KUBEFLOW_TRAINER_")
"""Prefixes of environment variables with keys for other services."""

_THREADS = {"OPENBLAS_NUM_THREADS": "1"}
"""NumPy would otherwise reserve memory for each CPU of the node."""


def environment(kind: TrackerKind, environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the environment of a tracker's process: the parent's without the keys of others."""
    keys = {credential.variable for credentials in TRACKERS.values() for credential in credentials}
    own = {credential.variable for credential in TRACKERS[kind]}
    kept = {k: v for k, v in environ.items() if k not in keys and not k.startswith(_EXCLUDED_PREFIXES)}
    stripped = {k: environ[k].strip() for k in own if k in environ}  # `echo KEY | base64` adds a line break
    return {**kept, **stripped, **_THREADS, "HOME": str(home)}


class TrackerProcess:
    """The process of a tracker."""

    def __init__(self, kind: TrackerKind, events: Path, folder: Path) -> None:
        """Start the process.

        Args:
            kind: the tracker.
            events: existing file of events.
            folder: empty folder for the files of the process.

        Raises:
            OSError: no process could be started.
        """
        self._folder = folder
        # The output is discarded, since a client may print an address or a key.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tweetmodel_trainer.trackers", kind, str(events), str(folder)],
            env=environment(kind, os.environ, folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def problem(self) -> str | None:
        """The first error of the tracker, or None."""
        error = first_error(self._folder)
        if not error and self._process.poll():
            return "the client crashed"
        return error

    def finish(self, deadline: float) -> str | None:
        """Wait until the process ends, then kill the process with all children.

        Args:
            deadline: latest end, as `time.monotonic()`.

        Returns:
            The first error, or None.
        """
        timed_out = None
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            timed_out = "the client did not finish in time"
        problem = self.problem or timed_out
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return problem
