import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.data.clean import is_short
from tweetmodel_trainer.data.normalize import END_OF_TEXT, normalization_steps, normalize


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        ("tea &amp; toast &lt;3", "tea & toast <3"),
        ("&amp;lt;", "<"),
        ("look https://t.co/abc", "look"),
        ("https://t.co/abc look", "look"),
        ("one\nhttps://t.co/abc\ntwo", "one two"),
        ("(https://t.co/a) text", "(text"),
        ('"https://t.co/x" he said', '"he said'),
        ("see:https://t.co/x and", "see:and"),
        ("https://web.archive.org/http://a.org/ is gone", "gone"),
        ("one  two\n\n three ", "one two three"),
        ("nul\x00l and \ud800 half a pair", "null and half a pair"),
        (f"a {END_OF_TEXT} b", "a b"),
        (f"{END_OF_TEXT[:5]}{END_OF_TEXT}{END_OF_TEXT[5:]}", "<|end oftext|>"),
        ("<|endof\0text|>", ""),
        ("&lt;|endoftext|&gt;", ""),
        (f"a{' ' * 1_000_000}b", "a b"),
        (END_OF_TEXT[:5] * 100_000 + END_OF_TEXT[5:] * 100_000, "<|end" * 99_999 + " " + "oftext|>" * 99_999),
        ("🌊🌊 مرحبا بالعالم", "🌊🌊 مرحبا بالعالم"),
    ],
)
def test_text_is_normalized(raw: str, left: str) -> None:
    assert normalize(raw) == left


LINK_PIECES = ["http:", "https:", "//t.co/x", "ht", "tp:", "tps:", "s:", "(", "word", " ", "\n", "\t", "\u3000"]


@given(st.lists(st.sampled_from(LINK_PIECES), max_size=20).map("".join))
@settings(max_examples=2000)
def test_links_are_removed_as_by_huggingtweets(text: str) -> None:
    left = text
    for scheme in ("http:", "https:"):
        link = rf"{scheme}\S+"
        for pattern in (f" {link}", f"{link} ", f"\n{link} ", f"\n{link}", link):
            left = re.sub(pattern, "", left)
    assert normalize(text) == " ".join(re.sub(" +", " ", left).split())


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        (["Entities", "Links", "Whitespace"], "tea & toast, look"),
        (["Links", "Whitespace"], "tea &amp; toast, look"),
        (["Entities", "Whitespace"], "tea & toast, look https://t.co/x"),
        (["Entities", "Links"], "tea & toast,\n look"),
        ([], "tea &amp; toast,\n look https://t.co/x"),
    ],
)
def test_each_step_is_optional(steps: list[str], left: str) -> None:
    cleaning = Cleaning.model_validate({"normalize": steps})
    assert normalize("tea &amp; toast,\n look https://t.co/x", normalization_steps(cleaning)) == left


@pytest.mark.parametrize(
    "text",
    [
        " " * 3_000_000 + "http",
        "https:" * 500_000,
        "https:a\n" * 300_000,
        "\nhttps:a " * 300_000,
        END_OF_TEXT[:6] * 200_000 + END_OF_TEXT[6:] * 200_000,
        "@ " * 1_000_000,
    ],
    ids=["spaces", "link", "links", "lines", "marks", "mentions"],
)
def test_megabytes_are_normalized_in_linear_time(text: str) -> None:
    began = time.process_time()
    is_short(normalize(text))
    assert time.process_time() - began < 4


@given(st.text())
def test_normalizing_twice_changes_nothing_without_nested_entities(text: str) -> None:
    once = normalize(text.replace("&", ""))
    assert normalize(once) == once


@given(st.text(st.characters()))
def test_result_is_valid_utf8_without_control_tokens(text: str) -> None:
    left = normalize(text)
    left.encode()
    assert END_OF_TEXT not in left
    assert "\x00" not in left
    assert left == left.strip()


PIECES = [END_OF_TEXT, *(END_OF_TEXT[:at] for at in (1, 5)), *(END_OF_TEXT[at:] for at in (1, 5)), "\0", "\ud800", " "]


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_separator_token_is_always_removed(pieces: list[str]) -> None:
    assert END_OF_TEXT not in normalize("".join(pieces), normalization_steps(Cleaning(normalize=())))
