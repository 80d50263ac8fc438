"""Tests of the escaping of texts in Markdown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tweetmodel_trainer.evaluation.sample import printable
from tweetmodel_trainer.presentation.markdown import escape_markdown

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@given(st.text())
def test_escaped_text_is_shown_literally_in_a_table(text: str) -> None:
    text = printable(text.encode("utf-8", "ignore").decode())
    tokens = GITHUB.parse(f"| a | b |\n| --- | --- |\n| {escape_markdown(text)} | end |\n")
    cells = ["".join(child.content for child in token.children or []) for token in tokens if token.type == "inline"]
    assert cells == ["a", "b", text, "end"]


@pytest.mark.parametrize("text", ["plain words, and more.", "I don't like it - at all"])
def test_plain_text_is_not_changed(text: str) -> None:
    assert escape_markdown(text) == text
