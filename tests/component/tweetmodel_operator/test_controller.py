"""Start of the controller."""

from pathlib import Path

import pytest

from fakes.api_server import FakeApiServer
from tweetmodel_operator.controller import Controller
from tweetmodel_operator.settings import Settings


async def test_a_missing_certificate_is_noticed_before_any_task_starts(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("certificate")
    with pytest.raises(OSError, match="No such file"):
        Controller(FakeApiServer(), Settings(tls_directory=tmp_path))
