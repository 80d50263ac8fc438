"""Tests of the page in a browser, which runs no code and sends no request."""

import socketserver
import subprocess
import threading
from pathlib import Path

import pytest

import chromium
import hostile
from finished import finished_run
from tweetmodel_trainer.evaluation.sample import printable
from tweetmodel_trainer.presentation.page import render_page

in_chromium = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not on this machine: `make tools`")


@in_chromium
@pytest.mark.parametrize("guarded", [True, False])
def test_a_browser_runs_no_code_and_sends_no_request(tmp_path: Path, guarded: bool) -> None:
    """The browser sends all requests to a proxy that records them.

    Unescaped bait shows that the policy alone protects the page, and without the policy that the test detects attacks.
    """
    requests: list[bytes] = []

    class Recorder(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            requests.append(self.rfile.readline())

    bait = '<script>document.documentElement.dataset.pwned="x"</script><img src="http://evil.example/a.png">'
    html = render_page(finished_run(texts=[*hostile.POSTS, *map(printable, hostile.POSTS)])).replace(
        "</main>", f"{bait}</main>"
    )
    (tmp_path / "index.html").write_text(html if guarded else html.replace("Content-Security-Policy", "nothing"))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Recorder) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        address = f"127.0.0.1:{proxy.server_address[1]}"
        profile = f"--user-data-dir={tmp_path}/profile"
        command = [chromium.PROGRAM, *chromium.FLAGS, profile, f"--proxy-server={address}", "--dump-dom"]
        done = subprocess.run(
            [*command, f"file://{tmp_path}/index.html"], capture_output=True, text=True, timeout=120, check=True
        )
        proxy.shutdown()
    assert "Did it learn anything?" in done.stdout
    ran = "data-pwned" in done.stdout.split("<head>")[0]
    by_the_page = [line for line in requests if b"google" not in line]  # the browser itself sends some
    assert (ran, bool(by_the_page)) == (not guarded, not guarded)


PAGES = {
    "plain": finished_run(
        texts=[f"The fog has opinions about my knitting, part {n}." for n in range(12)], prompts=("", "I")
    ),
    "hostile": finished_run(texts=[printable(text) for text in hostile.POSTS]),
    "prompted": finished_run(texts=["", *hostile.POSTS], prompts=[printable(text) for text in hostile.POSTS[:9]]),
    "crowded": finished_run(handles=[f"{letter}{'_w' * 7}" for letter in "abcdefghijklmnop"]),
}


@in_chromium
def test_the_page_has_no_errors_on_phones_and_desks_in_both_color_schemes(tmp_path: Path) -> None:
    with chromium.tab(tmp_path / "profile") as tab:
        for name, summary in PAGES.items():
            file = tmp_path / f"{name}.html"
            file.write_text(render_page(summary), encoding="utf-8")
            backgrounds = set()
            for width in (390, 1280):
                for scheme in ("light", "dark"):
                    tab.open(file.as_uri(), width, scheme)
                    tab.evaluate("document.querySelectorAll('details').forEach(element => element.open = true)")
                    requests = tab.events_of("Network.requestWillBeSent")
                    assert [request["request"]["url"] for request in requests] == [file.as_uri()]
                    for error in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                        assert tab.events_of(error) == []
                    assert tab.evaluate("Object.keys(document.documentElement.dataset).length") == 0
                    assert tab.evaluate("document.documentElement.scrollWidth") == width, f"{name} at {width} scrolls"
                    backgrounds.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert len(backgrounds) == 2
