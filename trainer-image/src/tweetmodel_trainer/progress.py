"""Tells the operator how far a stage is: the progress protocol of Kubeflow Trainer, spoken in every stage.

transformers' own KubeflowCallback speaks it too, but in the training loop alone, and it says 100 % when the
loop is stopped early. A thread sends the latest value now and then, so that a slow or dead operator never
slows a stage; what can't be sent is dropped.
"""

import json
import logging
import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 2.0
TIMEOUT_SECONDS = 5.0


class Progress:
    """Where a stage says how far it is. Without a server it only remembers."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._url = environ.get("KUBEFLOW_TRAINER_SERVER_URL", "")
        self._ca = environ.get("KUBEFLOW_TRAINER_SERVER_CA_CERT", "")
        self._token = Path(environ.get("KUBEFLOW_TRAINER_SERVER_TOKEN", ""))
        self._latest: dict[str, object] | None = None
        self._due = threading.Event()
        self._warned = False
        if self._url:
            threading.Thread(target=self._send_for_ever, daemon=True).start()

    def say(self, percentage: float, remaining: float | None = None, **metrics: float) -> None:
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

    def _send_for_ever(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            try:
                self._send({"trainerStatus": self._latest})
            except Exception as error:  # whatever it is, training matters more
                if not self._warned:
                    logger.warning("progress can't be told, and the run goes on without: %s", error)
                self._warned = True
            time.sleep(INTERVAL_SECONDS)

    def _send(self, body: dict[str, object]) -> None:
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._token.read_text().strip()}",  # the kubelet renews the file
        }
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers, method="POST")
        context = ssl.create_default_context(cafile=self._ca) if self._ca else None
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context):
            pass
