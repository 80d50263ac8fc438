"""Controls Chromium through the DevTools protocol over a pipe (file descriptors 3 and 4), without other software.

Protocol: chromedevtools.github.io/devtools-protocol. A message is JSON, terminated by a NUL character.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Tab:
    """A tab of the browser; `events` contains its events, such as requests and console messages."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, os.fdopen(answers, "rb", buffering=0)
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._commands, json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode())
        os.write(self._commands, b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, method: str) -> None:
        """Wait for an event."""
        while not any(event["method"] == method for event in self.events):
            self.events.append(self._next())

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.send("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def open(self, url: str, width: int, scheme: str) -> None:
        """Open a page with a width in pixels and a color scheme, light or dark."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.send("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def events_of(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of all events of a kind."""
        return [event["params"] for event in self.events if event["method"] == method]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._answers.fileno(), 1 << 20)
            assert more, "Chromium has ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def close(self) -> None:
        self._session = None
        self.send("Browser.close")
        self._answers.close()


@contextmanager
def tab(profile: Path, *flags: str) -> Iterator[Tab]:
    """Start a browser and yield its tab."""
    assert PROGRAM
    browser_input, commands = os.pipe()
    answers, browser_output = os.pipe()

    def use_descriptors_3_and_4() -> None:
        new_input, new_output = os.dup(browser_input), os.dup(browser_output)
        os.dup2(new_input, 3)
        os.dup2(new_output, 4)

    command = [PROGRAM, *FLAGS, *flags, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
    browser = subprocess.Popen(command, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=use_descriptors_3_and_4)
    os.close(browser_input)
    os.close(browser_output)
    try:
        opened = Tab(commands, answers)
        yield opened
        opened.close()
    finally:
        os.close(commands)
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
