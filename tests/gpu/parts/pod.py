"""The trainer's command as in a pod, against an S3 server in another process.

Measured: seconds by the lines of the log from start to end, SIGTERM to exit, the resumed run, bytes and dollars.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import generate as sample_archive
import yaml
from botocore.exceptions import BotoCoreError

from parts.bench import Bench, Figures
from tweetmodel_api.identities import run_id
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.report import Report, decode
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_trainer.storage import Storage

QUICKSTART = Path(__file__).parents[3] / "examples" / "quickstart.yaml"
FIRST_STEP = r"step \d+ of"
"""The first line of the log that the training loop writes."""
FIRST_LINES, LAST_LINES = 40, 14
"""Lines of a long log that are kept."""
DOLLARS_PER_HOUR = {"low": 2.0, "high": 6.0}
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(port=int(sys.argv[1]), verbose=False)
server.start()
input()
"""
DRY_SETTINGS = {
    "training": {"blockSize": 64, "epochs": 1, "globalBatchSize": 64},
    "generation": {"samplesPerPrompt": 1, "maxNewTokens": 8},
    "gpus": 0,
}


def measure(bench: Bench, figures: Figures) -> None:
    """Collect and train; then train another TweetModel that is stopped and resumed."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    with _s3_server(bench) as endpoint:
        spec = _spec(bench, endpoint)
        collect, report = _run(Plan(step="collect", namespace="bench", name="one", spec=spec))
        figures["collect"] = collect
        data = report.dataset
        reference = DatasetReference(uri=data.uri, digest=data.digest)
        run = run_id(spec, data.digest)
        plan = Plan(step="train", namespace="bench", name="one", spec=spec, run=run, dataset=reference)
        trained, report = _run(plan)
        evaluation = report.model.evaluation.model_dump()
        figures["train"] = trained | {"evaluation": evaluation, "samples": list(report.samples[:3])}
        figures["dollars"] = {
            price: round(dollars * trained["seconds"] / 3600, 5) for price, dollars in DOLLARS_PER_HOUR.items()
        }
        manifest = Storage(spec.storage).manifest(plan.layout.model(run))
        figures["published_bytes"] = sum(file.size for file in manifest.files)
        other = plan.model_copy(update={"name": "two"})
        stopped, _ = _run(other, stop_at=FIRST_STEP)
        figures["stopped"] = {name: value for name, value in stopped.items() if name != "lines"}
        resumed, other_report = _run(other)
        figures["resumed"] = {
            "seconds": resumed["seconds"],
            "from_step": other_report.model.resumed_from_step,
            "same_model": other_report.model.digest == report.model.digest,
        }


@contextmanager
def _s3_server(bench: Bench) -> Iterator[str]:
    """Serve S3 with the archive and the base model; yield the endpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", SERVER, str(port)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        _create_bucket(client)
        client.put_object(Bucket="tweets", Key="archives/lighthouse_ada.zip", Body=sample_archive.archive(1))
        for path in bench.base.iterdir():
            client.upload_file(str(path), "tweets", f"base/{path.name}")
        yield endpoint
    finally:
        server.kill()
        server.wait()


def _create_bucket(client: Any) -> None:
    """Create the bucket as soon as the server answers."""
    for _ in range(100):
        try:
            client.create_bucket(Bucket="tweets")
        except BotoCoreError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError("the S3 server did not start")


def _spec(bench: Bench, endpoint: str) -> TweetModelSpec:
    """Return the spec of the quickstart with the base model of these measurements."""
    document = yaml.safe_load(QUICKSTART.read_text())["spec"] | {
        "storage": {"uri": "s3://tweets/models", "endpoint": endpoint},
        "baseModel": {"s3": {"uri": "s3://tweets/base"}},
        "training": {},
        "generation": {},
        "gpus": 1,
    }
    return TweetModelSpec.model_validate(document | (DRY_SETTINGS if bench.dry else {}))


def _run(plan: Plan, stop_at: str = "") -> tuple[dict[str, Any], Report]:
    """Run a step of a plan in a process; return seconds and lines, and the report.

    Args:
        plan: the plan.
        stop_at: pattern of the log line at which the process receives SIGTERM; empty for no stop.
    """
    folder = Path(tempfile.mkdtemp())
    (folder / "plan.json").write_text(plan.model_dump_json(by_alias=True))
    options = {"--plan": "plan.json", "--workdir": ".", "--termination-log": "report"}
    arguments = [part for name, path in options.items() for part in (name, str(folder / path))]
    environment = os.environ | {"POD_UID": folder.name}
    command = [sys.executable, "-m", "tweetmodel_trainer", plan.step, *arguments]
    started, stopped = time.time(), 0.0
    lines = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stderr or ():
            lines.append([round(time.time() - started, 2), line.split(" ", 2)[-1].strip()[:110]])
            if stop_at and not stopped and re.search(stop_at, line):
                process.send_signal(signal.SIGTERM)
                stopped = time.time()
    ended = time.time()
    file = folder / "report"
    report = decode(file.read_text()) if file.is_file() else None
    shutil.rmtree(folder)
    shown = lines if len(lines) <= FIRST_LINES + LAST_LINES else lines[:FIRST_LINES] + lines[-LAST_LINES:]
    figures = {"exit_code": process.returncode, "seconds": round(ended - started, 2), "lines": shown}
    if stopped:
        figures["sigterm_to_exit_seconds"] = round(ended - stopped, 2)
    assert report, f"no report: {lines[-3:]}"
    return figures, report
