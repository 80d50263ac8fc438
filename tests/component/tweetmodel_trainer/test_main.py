"""Runs the package as a process, as a pod does."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from http_server import QuietHandler, QuietServer
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import ExitCode
from tweetmodel_api.report import decode


def test_sigterm_during_the_start_exits_as_interrupted(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        name == 'boto3' and os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.meta_path.insert(0, Stop())\n"
    )
    command = [sys.executable, "-m", "tweetmodel_trainer", "collect", "--plan", "absent"]
    pod = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, timeout=60)
    assert (pod.returncode, pod.stderr) == (ExitCode.INTERRUPTED, b"")


LISTED = b"<ListBucketResult><Name>bucket</Name></ListBucketResult>"


@pytest.mark.parametrize("answers", [0, 2], ids=["no response", "half a file"])
def test_sigterm_during_a_request_exits_as_interrupted(
    make_plan: Callable[..., Plan], tmp_path: Path, answers: int
) -> None:
    """The storage stops responding at once, or after a list, a HEAD and the first bytes of a file."""
    silent, over = threading.Event(), threading.Event()

    class Handler(QuietHandler):
        requests = 0

        def do_GET(self) -> None:
            Handler.requests += 1
            if Handler.requests > answers:
                silent.set()
                over.wait(60)
            if "list-type" in self.path:
                self.respond(200, LISTED)
                return
            self.respond(200, b"the beginning", {"Content-Length": "1000", "ETag": "x"})
            if self.command == "GET":
                silent.set()
                over.wait(60)

        do_HEAD = do_GET

    file, log = tmp_path / "plan.json", tmp_path / "log"
    command = [sys.executable, "-m", "tweetmodel_trainer", "collect", "--plan", str(file)]
    with QuietServer(Handler) as server:
        plan = make_plan(storage={"uri": "s3://bucket/x", "endpoint": server.url})
        file.write_text(plan.model_dump_json(by_alias=True))
        pod = subprocess.Popen(
            [*command, "--workdir", str(tmp_path), "--termination-log", str(log)], stderr=subprocess.PIPE, text=True
        )
        assert silent.wait(30)
        time.sleep(0.2)
        os.kill(pod.pid, signal.SIGTERM)
        _, stderr = pod.communicate(timeout=20)
        over.set()
    assert pod.returncode == ExitCode.INTERRUPTED
    assert decode(log.read_text()).outcome == "Interrupted"
    assert "Traceback" not in stderr
