"""Tests of the text of samples."""

import pytest

from tweetmodel_trainer.evaluation.sample import contains_blocked_word, printable


def test_printable_text_has_one_line_without_control_characters() -> None:
    assert printable(" a\x1b[31m\ngull\0 \ufffdflew \U0001f426\u200d ") == "a[31m gull flew \U0001f426\u200d"
    assert printable("safe\u202e txt.exe\u2066 \u200fשלום") == "safe txt.exe \u200fשלום"


@pytest.mark.parametrize(
    ("text", "word", "blocked"),
    [
        ("the gulls came", "gull", False),
        ("GULL!", "gull", True),
        ("Straße", "STRASSE", True),
        ("i like c++ a lot", "C++", True),
        ("i like c++17", "c++", False),
        ("#gull @gull", "gull", True),
    ],
)
def test_blocked_words_match_whole_words_in_any_case(text: str, word: str, blocked: bool) -> None:
    assert contains_blocked_word(text, [word]) is blocked
