"""Reports the progress of a step to the operator, with the progress protocol of Kubeflow Trainer.

The KubeflowCallback of transformers implements the protocol for the training loop only, and reports 100 % when the loop
stops early. Here a thread sends the latest value every few seconds, so a slow or dead operator never delays a step.
Values are dropped if the operator can't be reached.
"""

import json
import logging
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 2.0
TIMEOUT_SECONDS = 5.0
SHUTDOWN_TIMEOUT_SECONDS = 2.0
"""Maximum seconds to wait for the last value at the end of a step."""


class Progress:
    """Progress of a step. The exit of the `with` block sends the last value, within `SHUTDOWN_TIMEOUT_SECONDS`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Start to send progress, if the environment names a server (variables of Kubeflow Trainer)."""
        self._url = environ.get("KUBEFLOW_TRAINER_SERVER_URL", "")
        self._ca = environ.get("KUBEFLOW_TRAINER_SERVER_CA_CERT", "")
        self._token = Path(environ.get("KUBEFLOW_TRAINER_SERVER_TOKEN", ""))
        self._latest: dict[str, object] | None = None
        self._updated = threading.Event()
        self._stopped = threading.Event()
        self._warned = False
        self._sender = threading.Thread(target=self._send_until_stopped, name="progress", daemon=True)
        if self._url:
            self._sender.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._updated.set()
        if self._sender.is_alive():
            self._sender.join(SHUTDOWN_TIMEOUT_SECONDS)

    def report(self, percentage: float, remaining: float | None = None, **metrics: float) -> None:
        """Set the value to send next.

        Args:
            percentage: completed share of the step, 0 to 99; the termination message implies 100.
            remaining: estimated remaining seconds, or None if unknown.
            metrics: numbers by name.
        """
        status: dict[str, object] = {
            "progressPercentage": min(99, int(percentage)),
            "metrics": [{"name": name, "value": f"{value:.4g}"} for name, value in metrics.items()],
            "lastUpdatedTime": datetime.now(UTC).isoformat(),
        }
        if remaining is not None:
            status["estimatedRemainingSeconds"] = max(0, round(remaining))
        self._latest = status
        self._updated.set()

    def _send_until_stopped(self) -> None:
        sent = None
        while not self._stopped.is_set():
            self._updated.wait()
            self._updated.clear()
            if self._latest is not sent:
                sent = self._latest
                self._try_to_send({"trainerStatus": sent})
            self._stopped.wait(INTERVAL_SECONDS)
        if self._latest is not sent:
            self._try_to_send({"trainerStatus": self._latest})

    def _try_to_send(self, body: dict[str, object]) -> None:
        try:
            self._send(body)
        except Exception as error:  # no error of the progress may end the step
            if not self._warned:
                logger.warning("the progress can't be reported (%s): the step continues without reports", error)
            self._warned = True

    def _send(self, body: dict[str, object]) -> None:
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._token.read_text().strip()}",  # the kubelet renews the file
        }
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers, method="POST")
        # The operator is in the cluster: an egress proxy can't reach the operator, and must not receive the token.
        direct = urllib.request.ProxyHandler({})
        tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self._ca or None))
        with urllib.request.build_opener(direct, tls).open(request, timeout=TIMEOUT_SECONDS):
            pass
