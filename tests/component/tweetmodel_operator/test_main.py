"""The operator as a program."""

import os
import subprocess
import sys
from pathlib import Path


def test_without_a_cluster_it_ends_with_a_message(tmp_path: Path) -> None:
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "missing"), "KUBERNETES_SERVICE_HOST": ""}

    ended = subprocess.run(
        [sys.executable, "-m", "tweetmodel_operator"], env=environment, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("tweetmodel-operator: no cluster is configured (")
