"""kubectl in a namespace of the test cluster, with the waits of the tests."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from waiting import ProgressDeadline

CONTEXT = f"kind-{os.environ.get('CLUSTER', 'tweetmodel')}"
OPERATOR_NAMESPACE = "tweetmodel-system"
OPERATOR = "deployment/tweetmodel-operator"
TEST_LABEL = "tweetmodel-tests"
"""Label of the namespaces of the tests."""

POLL_SECONDS = 0.5
SNAPSHOT_SECONDS = 10.0
"""Seconds between two snapshots during a wait: a snapshot costs several calls of kubectl."""
_VERSIONS = "jsonpath={range .items[*]}{.metadata.uid} {.metadata.resourceVersion}{'\\n'}{end}"

Object = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace of the test cluster."""

    namespace: str

    def __call__(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl, and return its output; without `check`, its errors too."""
        command = ["kubectl", "--context", CONTEXT, "--namespace", self.namespace, *arguments]
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command)}: {result.stderr.strip()}")
        return result.stdout if check else result.stdout + result.stderr

    def get(self, kind: str, name: str = "", selector: str = "") -> Object:
        """Return an object, or a list of objects."""
        arguments = ["get", kind, *([name] if name else []), *(["-l", selector] if selector else []), "-o", "json"]
        return json.loads(self(*arguments))

    def apply(self, document: Object) -> str:
        """Apply an object as JSON: the two versions of YAML disagree on whether "3e-3" is a number."""
        return self("apply", "-f", "-", stdin=json.dumps(document))

    def apply_error(self, document: Object) -> str:
        """Apply an object that the API server must reject, and return the error."""
        output = self("apply", "-f", "-", stdin=json.dumps(document), check=False)
        assert "created" not in output
        return output

    def delete(self, *arguments: str) -> None:
        """Delete objects, and wait until they are gone."""
        output = self("delete", *arguments, "--wait=false", "--output=name")  # or "No resources found"
        if names := [line for line in output.splitlines() if "/" in line]:
            remaining = ["get", *names, "--ignore-not-found", "--output=name"]
            self.wait_until(lambda: not self(*remaining), f"deletion of {' '.join(names)}")

    def jobs(self, name: str, step: str = "") -> list[Object]:
        """Return the Jobs of a TweetModel, or only those of a step."""
        return self.get("jobs", selector=_selector(name, step))["items"]

    def pods(self, name: str, step: str) -> list[Object]:
        """Return the pods for a step of a TweetModel."""
        return self.get("pods", selector=_selector(name, step))["items"]

    def status(self, name: str) -> Object:
        """Return the status of the current generation; empty until the operator has observed the generation."""
        found = self.get("tm", name)
        status = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    def condition(self, name: str, kind: str) -> Object:
        """Return a condition of the current generation; empty if there is none."""
        return next((c for c in self.status(name).get("conditions", []) if c["type"] == kind), {})

    def reason(self, name: str) -> str:
        """Return the reason of the condition Ready."""
        return self.condition(name, "Ready").get("reason", "")

    def wait_until(self, condition: Callable[[], T], description: str) -> T:
        """Wait until a condition is true, as long as the namespace changes; return the value of the condition.

        Raises:
            WaitTimeout: nothing has changed for too long, or the wait has taken too long.
        """
        deadline, next_snapshot = ProgressDeadline(description), 0.0
        while not (value := condition()):
            if time.monotonic() >= next_snapshot:
                deadline.observe(self.snapshot())
                next_snapshot = time.monotonic() + SNAPSHOT_SECONDS
            time.sleep(POLL_SECONDS)
        return value

    def snapshot(self) -> object:
        """Return the versions of the objects of a run, and the last line in the log of each running pod."""
        versions = self("get", "tm,jobs,pods,events", "--output", _VERSIONS)
        running = self("get", "pods", "--field-selector=status.phase=Running", "--output=name").split()
        return versions, [self("logs", pod, "--tail=1", "--timestamps", check=False) for pod in running]

    def wait_condition(self, name: str, kind: str) -> None:
        """Wait until a condition is true."""
        self.wait_until(lambda: self._has_condition(name, kind), f"condition {kind} of {name}")

    def wait_ready(self, name: str) -> Object:
        """Wait until a TweetModel is ready, and return its status; fail at once if it requires action."""
        self.wait_until(lambda: self._is_ready(name), f"ready {name}")
        return self.status(name)

    def _is_ready(self, name: str) -> bool:
        if self._has_condition(name, "Ready"):
            return True
        assert self.condition(name, "Stalled").get("status") != "True", f"{name} requires action"
        return False

    def _has_condition(self, name: str, kind: str) -> bool:
        """Watch a TweetModel for some seconds with `kubectl wait`, as a user does."""
        output = self("wait", f"tm/{name}", f"--for=condition={kind}", "--timeout=5s", check=False)
        return "condition met" in output

    def wait_stalled(self, name: str) -> Object:
        """Wait until a TweetModel requires action, and return the condition Ready with the cause."""
        self.wait_until(lambda: self.condition(name, "Stalled").get("status") == "True", f"stalled {name}")
        return self.condition(name, "Ready")

    def wait_reason(self, name: str, reason: str) -> Object:
        """Wait until the condition Ready has a reason, and return the condition."""
        self.wait_until(lambda: self.reason(name) == reason, f"reason {reason} of {name}")
        return self.condition(name, "Ready")

    def wait_running(self, name: str, step: str = "train") -> str:
        """Wait until a pod for a step of a TweetModel runs, and return its name."""

        def running() -> list[str]:
            pods = self.pods(name, step)
            return [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"]

        return self.wait_until(running, f"running {step} pod of {name}")[0]

    def wait_no_pods(self, name: str, step: str = "train") -> None:
        """Wait until a TweetModel has no pod for a step."""
        self.wait_until(lambda: not self.pods(name, step), f"end of the {step} pods of {name}")


def _selector(name: str, step: str) -> str:
    return f"tweetmodel.dev/name={name}" + (f",tweetmodel.dev/step={step}" if step else "")
