"""Tells the operator how far a stage is: the progress protocol of Kubeflow Trainer, spoken in every stage.

transformers' own KubeflowCallback speaks it too, but in the training loop alone, and it says 100 % when the
loop is stopped early. A thread sends the latest value now and then, so that a slow or dead operator never
slows a stage; what can't be sent is dropped.
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
"""How long the end of a stage waits for its last value to be sent."""


class Progress:
    """Where a stage says how far it is. Without a server it only remembers.

    As a context manager it sends the last value on leaving, if that takes no longer than `SHUTDOWN_TIMEOUT_SECONDS`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._url = environ.get("KUBEFLOW_TRAINER_SERVER_URL", "")
        self._ca = environ.get("KUBEFLOW_TRAINER_SERVER_CA_CERT", "")
        self._token = Path(environ.get("KUBEFLOW_TRAINER_SERVER_TOKEN", ""))
        self._latest: dict[str, object] | None = None
        self._due = threading.Event()
        self._over = threading.Event()
        self._warned = False
        self._sender = threading.Thread(target=self._send_until_over, name="progress", daemon=True)
        if self._url:
            self._sender.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._due.set()
        if self._sender.is_alive():
            self._sender.join(SHUTDOWN_TIMEOUT_SECONDS)

    def report(self, percentage: float, remaining: float | None = None, **metrics: float) -> None:
        """Sets what is told next.

        Args:
            percentage: share of the stage that is done, 0 to 100; 100 is left to the report.
            remaining: seconds that the stage will still take, where that is known.
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
        self._due.set()

    def _send_until_over(self) -> None:
        sent = None
        while not self._over.is_set():
            self._due.wait()
            self._due.clear()
            if self._latest is not sent:
                sent = self._latest
                self._try_to_send({"trainerStatus": sent})
            self._over.wait(INTERVAL_SECONDS)
        if self._latest is not sent:
            self._try_to_send({"trainerStatus": self._latest})

    def _try_to_send(self, body: dict[str, object]) -> None:
        try:
            self._send(body)
        except Exception as error:  # whatever it is, training matters more
            if not self._warned:
                logger.warning("progress can't be told, and the run goes on without: %s", error)
            self._warned = True

    def _send(self, body: dict[str, object]) -> None:
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._token.read_text().strip()}",  # the kubelet renews the file
        }
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers, method="POST")
        # The operator is in the cluster: a proxy for the way out of it would not find it, and must not see the token.
        direct = urllib.request.ProxyHandler({})
        tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self._ca or None))
        with urllib.request.build_opener(direct, tls).open(request, timeout=TIMEOUT_SECONDS):
            pass
