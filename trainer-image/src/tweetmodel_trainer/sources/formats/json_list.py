"""Reads a long JSON list element by element, with little memory.

Python's json module parses whole documents. This module parses each element from a window of the text. The window
doubles while an element does not fit, so the parser reads at most twice the text in total.
"""

import json
import re
from collections.abc import Iterator
from typing import TextIO

WINDOW_CHARACTERS = 1 << 20
MAX_ELEMENT_CHARACTERS = 64 << 20
"""Default limit of an element; a longer element can't be a post."""

_SPACE = re.compile(r"\s*")
_ASSIGNMENT = re.compile(r"\s*(?:window\.)?YTD\.\w+\.part\d+\s*=\s*")


class MalformedList(Exception):
    """The text is not a JSON list. The message is a predicate for the name of the file: "is not a list"."""


def iter_elements(text: TextIO, max_characters: int = MAX_ELEMENT_CHARACTERS) -> Iterator[object]:
    """Yield the elements of a JSON list.

    The list may follow `window.YTD.….part0 =`, as in X's archives, and a semicolon may follow the list.

    Args:
        text: the list.
        max_characters: limit of an element.

    Raises:
        MalformedList: after the elements before the error.
    """
    window = _Window(text, max_characters)
    window.skip(_ASSIGNMENT)
    if not window.skip_mark("["):
        raise MalformedList("is not a list" if window.rest() else "is truncated or not valid JSON at line 1")
    ended = window.skip_mark("]")
    while not ended:
        yield window.next_element()
        ended = window.skip_mark("]")
        if not ended and not window.skip_mark(","):
            raise MalformedList(f"is truncated or not valid JSON at line {window.line:,}")
    window.skip_mark(";")
    if window.next_character():
        raise MalformedList(f"continues after the end of its list at line {window.line:,}")


class _Window:
    """The part of a text in memory, and a position."""

    def __init__(self, text: TextIO, max_characters: int) -> None:
        self._text = text
        self._max_characters = max_characters
        self._buffer = ""
        self._lines_before = 1
        self._position = 0
        self._widen()

    @property
    def line(self) -> int:
        """Number of the current line; the first is 1."""
        return self._lines_before + self._buffer.count("\n", 0, self._position)

    def rest(self) -> str:
        return self._buffer[self._position :]

    def skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self._buffer, self._position):
            self._position = match.end()

    def next_character(self) -> str:
        """Skip spaces, and return the next character; empty at the end of the text."""
        self.skip(_SPACE)
        while self._position == len(self._buffer) and self._widen():
            self.skip(_SPACE)
        return self._buffer[self._position : self._position + 1]

    def skip_mark(self, mark: str) -> bool:
        """Skip the next character if the character equals `mark`, and return True in this case."""
        found = self.next_character() == mark
        self._position += found
        return found

    def next_element(self) -> object:
        """Return the next element, and move the position behind the element."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._position)
            except json.JSONDecodeError as error:
                self._widen_after(error)
            except (RecursionError, ValueError):  # nested too deeply, or a number with thousands of digits
                raise MalformedList("is too deeply nested or has too long a number") from None
            else:
                if end - self._position > self._max_characters:
                    raise MalformedList(self._too_long)
                self._position = end
                return value

    def _widen_after(self, error: json.JSONDecodeError) -> None:
        """Widen the window, since the element may only be incomplete.

        Raises:
            MalformedList: the element exceeds the limit, or the text ends.
        """
        if len(self._buffer) - self._position > self._max_characters:
            raise MalformedList(f"is not valid JSON at line {self.line:,}, or {self._too_long}") from None
        if not self._widen():
            line = self._lines_before + error.lineno - 1
            raise MalformedList(f"is truncated or not valid JSON at line {line:,} ({error.msg})") from None

    @property
    def _too_long(self) -> str:
        return f"has an element of more than {self._max_characters:,} characters"

    def _widen(self) -> bool:
        """Drop the text before the position, append at least the same length, and return whether the text continued."""
        try:
            more = self._text.read(max(WINDOW_CHARACTERS, len(self._buffer) - self._position))
        except UnicodeDecodeError:
            raise MalformedList(f"is not UTF-8 after line {self.line:,}") from None
        if more:
            self._lines_before = self.line
            self._buffer, self._position = self._buffer[self._position :] + more, 0
        return bool(more)


_DECODER = json.JSONDecoder()
