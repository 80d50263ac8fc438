"""Tests of the environment of a tracker's process."""

from pathlib import Path

import tracker_servers
from tracked_run import SECRETS
from tweetmodel_api.credentials import TRACKERS
from tweetmodel_trainer.trackers.process import environment

OTHER_KEYS = {"AWS_SECRET_ACCESS_KEY": "s", "SOURCE_TOKEN_ada": "x", "BASE_MODEL_TOKEN": "b"}


def test_a_tracker_has_only_its_own_key(tmp_path: Path) -> None:
    environ = {**SECRETS, **OTHER_KEYS, "HTTPS_PROXY": "http://proxy", "OPENBLAS_NUM_THREADS": "64"}
    assert environment("trackio", environ, tmp_path) == {
        "TRACKIO_TOKEN": tracker_servers.TOKEN,
        "HTTPS_PROXY": "http://proxy",
        "OPENBLAS_NUM_THREADS": "1",
        "HOME": str(tmp_path),
    }
    assert {c.variable for keys in TRACKERS.values() for c in keys} >= set(SECRETS) - {"HF_TOKEN"}
