"""The real servers of MLflow and Trackio, each in a process: `with trackio(folder) as url:`."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 120

TOKEN = "write-token-of-the-server"

_MLFLOW = """
import os, sys
folder, port = sys.argv[1:]
os.environ |= {
    "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{folder}/artifacts",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
from flask import Flask
from mlflow.server.handlers import get_endpoints
app = Flask("mlflow")
for path, handler, methods in get_endpoints():
    app.add_url_rule(path, handler.__name__ + path, handler, methods=methods)
app.run("127.0.0.1", int(port), threaded=True)
"""

_TRACKIO = """
import os, sys
folder, port, token = sys.argv[1:]
os.environ |= {"TRACKIO_DIR": folder, "TRACKIO_WRITE_TOKEN": token, "GRADIO_ANALYTICS_ENABLED": "False"}
import uvicorn
from trackio.server import build_starlette_app_only
uvicorn.run(build_starlette_app_only()[0], host="127.0.0.1", port=int(port), log_level="error")
"""


@contextmanager
def mlflow(folder: Path) -> Iterator[str]:
    """Serve MLflow's handlers over SQLite, which don't need the full package; yield the URL."""
    with _running(_MLFLOW, str(folder)) as url:
        yield url


@contextmanager
def trackio(folder: Path) -> Iterator[str]:
    """Serve Trackio with its databases in the folder; yield the URL."""
    with _running(_TRACKIO, str(folder), TOKEN) as url:
        yield url


@contextmanager
def _running(program: str, folder: str, *arguments: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", program, folder, str(port), *arguments]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the server did not start")
