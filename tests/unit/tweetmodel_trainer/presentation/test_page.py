"""The model page: what it says, and that a browser finds nothing in it to run or to fetch."""

import base64
import hashlib
import re
import socketserver
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import chromium
import hostile
from finished import POSTS, about
from tweetmodel_trainer.evaluation.generate import printable
from tweetmodel_trainer.evaluation.sample import Sample
from tweetmodel_trainer.presentation.page import page, share_link, short_number

in_chromium = pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not on this machine: `make tools`")


class Read(HTMLParser):
    """What a browser would make of a page, near enough: elements, attributes, text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.paragraphs: list[str] = []
        self._within = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "p":
            self.paragraphs.append("")
            self._within = True

    def handle_endtag(self, tag: str) -> None:
        self._within = self._within and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._within:
            self.paragraphs[-1] += data


def test_the_page_shows_samples_evaluation_data_and_lineage() -> None:
    html = page(about(handles=("bob", "ada"), prompts=("", "I'm")))
    for told in (
        "@ada and @bob",
        "The fog has opinions about my knitting.",
        "The model learnt: perplexity on held-out posts went from 403.4 to 20.09.",
        "Who is in it?",
        '<th scope="row">@ada</th><td>6.000</td>',
        '<th scope="row">The model</th><td>6.000</td>',
        "3,249",
        "610",
        "cd" * 32,
        "ab" * 8,
        "openai-community/gpt2 at main",
        "transformers 5.23.0, torch 2.15.0",
        "124 M",
    ):
        assert told in html, told


def test_what_early_stopping_measured_is_drawn() -> None:
    html = page(about(held_out_losses=((130, 3.2), (260, 3.0), (390, 3.4)), kept=260))
    assert html.count("<circle") - page(about()).count("<circle") == 3
    assert "the small ones after each epoch" in html
    assert "the small ones" not in page(about())


def test_a_whole_copy_of_a_post_is_counted_and_not_shown() -> None:
    html = page(about(texts=("new", POSTS[1])))
    assert POSTS[1] not in html
    assert "of 2 tweets, not shown here" in html


def test_a_model_without_samples_has_a_page_too() -> None:
    assert "Did it learn anything?" in page(about(texts=()))


def test_a_shared_tweet_fits_a_post_and_calls_nobody() -> None:
    link = share_link(Sample("", "gull " * 100), ["ada", "bob", "eve"])
    (text,) = parse_qs(urlsplit(link).query)["text"]
    assert len(text) < 280
    assert text.endswith("gull…\n\nMade up by a model of ada, bob …")


def test_the_policy_names_the_style_sheet_by_its_hash_and_allows_nothing_else() -> None:
    html = page(about())
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    assert f'content="{policy}"' in html
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("prompts", [("",), hostile.POSTS[:3]])
def test_hostile_texts_stay_text(prompts: tuple[str, ...]) -> None:
    texts = [printable(text) for text in hostile.POSTS]
    read = Read(page(about(texts=texts, prompts=prompts)))
    assert not read.tags & {"script", "img", "iframe", "object", "embed", "form", "base"}
    assert not [name for name, _ in read.attributes if name.startswith("on") or name == "src"]
    targets = {value.split("?")[0].split(",")[0] for name, value in read.attributes if name == "href"}
    assert targets == {"https://x.com/intent/post", "data:image/svg+xml"}
    if prompts == ("",):
        assert set(texts) <= set(read.paragraphs)


def test_numbers_are_short_for_people() -> None:
    assert [short_number(n) for n in (999, 560_000, 124_439_808, 1_500_000_000)] == ["999", "560 K", "124 M", "1.5 B"]


@in_chromium
@pytest.mark.parametrize("guarded", [True, False])
def test_a_browser_runs_nothing_of_it_and_asks_for_nothing(tmp_path: Path, guarded: bool) -> None:
    """All ways out of the browser lead to a proxy that only writes down who asks.

    Bait behind the escaping shows that the policy holds by itself, and, without the policy, that the test sees.
    """
    asked: list[bytes] = []

    class Listening(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline())

    bait = '<script>document.documentElement.dataset.pwned="x"</script><img src="http://evil.example/a.png">'
    html = page(about(texts=[*hostile.POSTS, *map(printable, hostile.POSTS)])).replace("</main>", f"{bait}</main>")
    (tmp_path / "index.html").write_text(html if guarded else html.replace("Content-Security-Policy", "nothing"))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listening) as proxy:
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
    by_the_page = [line for line in asked if b"google" not in line]  # the browser itself calls home
    assert (ran, bool(by_the_page)) == (not guarded, not guarded)


PAGES = {
    "plain": about(texts=[f"The fog has opinions about my knitting, part {n}." for n in range(12)], prompts=("", "I")),
    "hostile": about(texts=[printable(text) for text in hostile.POSTS]),
    "prompted": about(texts=["", *hostile.POSTS], prompts=[printable(text) for text in hostile.POSTS[:9]]),
    "crowded": about(handles=[f"{letter}{'_w' * 7}" for letter in "abcdefghijklmnop"]),
}


@in_chromium
def test_it_is_shown_without_errors_on_a_phone_and_a_desk_in_light_and_dark(tmp_path: Path) -> None:
    with chromium.tab(tmp_path / "profile") as tab:
        for name, told in PAGES.items():
            file = tmp_path / f"{name}.html"
            file.write_text(page(told), encoding="utf-8")
            papers = set()
            for width in (390, 1280):
                for scheme in ("light", "dark"):
                    tab.show(file.as_uri(), width, scheme)
                    tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
                    asked = [request["request"]["url"] for request in tab.told("Network.requestWillBeSent")]
                    assert asked == [file.as_uri()]
                    for complaint in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                        assert tab.told(complaint) == []
                    assert tab.value("Object.keys(document.documentElement.dataset).length") == 0
                    assert tab.value("document.documentElement.scrollWidth") == width, f"{name} at {width} scrolls"
                    papers.add(tab.value("getComputedStyle(document.body).backgroundColor"))
            assert len(papers) == 2
