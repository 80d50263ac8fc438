"""Keys in the environment of the run, enough time for slow machines, and no PyTorch in the processes of trackers."""

from pathlib import Path
from typing import get_args

import pytest

from tracked_run import SECRETS
from tweetmodel_trainer.trackers import tracking
from tweetmodel_trainer.trackers.events import Outcome

FORBIDDEN = "raise SystemExit('a tracker imports PyTorch or transformers')"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "FINISH_TIMEOUT_SECONDS", dict.fromkeys(get_args(Outcome), 120.0))


@pytest.fixture(autouse=True)
def _no_pytorch(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every child process finds these modules first, and a tracker that imports one crashes."""
    folder = tmp_path_factory.mktemp("forbidden")
    for module in ("torch", "transformers"):
        (folder / f"{module}.py").write_text(FORBIDDEN)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Folder for the files of the trackers, which must not exist."""
    return tmp_path / "trackers"
