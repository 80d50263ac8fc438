"""Tests of the process of a tracker: hostile clients can't affect the run."""

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch

from tracked_run import API_KEY, RUN, SECRETS, STARTED, TENSORBOARD
from tracker_reports import report_run
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.trackers import tracking as tracking_module
from tweetmodel_trainer.trackers.tracking import Tracking

START_SECONDS, KILL_SECONDS = 60, 5

OTHER_KEYS = {"AWS_SECRET_ACCESS_KEY": "s", "SOURCE_TOKEN_ada": "x", "BASE_MODEL_TOKEN": "b"}


def becomes_true(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Source of a module that replaces TensorBoard's client."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "tensorboardX.py"


def test_a_client_does_not_find_other_keys(
    client: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OTHER_KEYS.items():
        monkeypatch.setenv(name, value)
    client.write_text(f"import json, os; json.dump(dict(os.environ), open({str(tmp_path / 'environ')!r}, 'w'))")
    report_run(TENSORBOARD, work)
    assert not (SECRETS | OTHER_KEYS).keys() & json.loads((tmp_path / "environ").read_text()).keys()


def test_a_client_that_crashes_does_not_fail_the_run(client: Path, work: Path) -> None:
    client.write_text("import os; os._exit(139)")
    assert "(the client crashed)" in report_run(TENSORBOARD, work)


def test_a_client_that_fills_memory_is_stopped(client: Path, work: Path) -> None:
    client.write_text("memory = [bytearray(1 << 20) for _ in range(1 << 14)]")
    assert "(the client ran out of memory)" in report_run(TENSORBOARD, work)


def test_a_process_that_cannot_be_started_does_not_fail_the_run(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/does/not/exist")
    assert "to TensorBoard (FileNotFoundError): check spec.reportTo.tensorBoard." in report_run(TENSORBOARD, work)


def test_a_client_prints_nothing_and_does_not_change_random_states(
    client: Path, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    client.write_text(f"import os, random; os.write(1, b'{API_KEY}'); os.write(2, b'{API_KEY}'); random.seed(1)")
    before = random.getstate(), torch.get_rng_state().tolist()
    report_run(TENSORBOARD, work)
    assert (random.getstate(), torch.get_rng_state().tolist()) == before
    assert capfd.readouterr() == ("", "")


def test_a_client_that_hangs_is_killed_with_its_children(
    client: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module, "FINISH_TIMEOUT_SECONDS", {"Interrupted": 0.1})
    pids = tmp_path / "pids"
    client.write_text(
        "import os, signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "child.wait()\n"
    )
    with suppress(Interrupted), Tracking(TENSORBOARD, RUN, work, lambda _: None) as tracking:
        tracking.send(STARTED)
        assert becomes_true(lambda: pids.exists() and pids.read_text().endswith("\n"), START_SECONDS)
        raise Interrupted
    assert becomes_true(lambda: not any(map(is_running, map(int, pids.read_text().split()))), KILL_SECONDS)
