"""Drives Chromium by its DevTools protocol over a pipe (file descriptors 3 and 4), so nothing but Chromium is needed.

Protocol: chromedevtools.github.io/devtools-protocol. A message is JSON that ends with a NUL.
"""

import base64
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
    """A page in the browser; `events` holds what it told of, such as requests and console messages."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, os.fdopen(answers, "rb", buffering=0)
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Gives a command and waits for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._commands, json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode())
        os.write(self._commands, b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, event: str) -> None:
        while not any(told["method"] == event for told in self.events):
            self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to."""
        return self.do("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def show(self, url: str, width: int, scheme: str) -> None:
        """Opens a page, as wide as this, in light or dark colours."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600)
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.do("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def picture(self, file: Path) -> None:
        """The whole page as a PNG, for people to look at."""
        shot = self.do("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def told(self, event: str) -> list[dict[str, Any]]:
        return [told["params"] for told in self.events if told["method"] == event]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._answers.fileno(), 1 << 20)
            assert more, "Chromium is gone"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def close(self) -> None:
        self._session = None
        self.do("Browser.close")
        self._answers.close()


@contextmanager
def tab(profile: Path, *flags: str) -> Iterator[Tab]:
    """A tab of a browser of its own."""
    assert PROGRAM
    there, commands = os.pipe()
    answers, back = os.pipe()

    def as_three_and_four() -> None:
        one, two = os.dup(there), os.dup(back)
        os.dup2(one, 3)
        os.dup2(two, 4)

    command = [PROGRAM, *FLAGS, *flags, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
    browser = subprocess.Popen(command, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=as_three_and_four)
    os.close(there)
    os.close(back)
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
