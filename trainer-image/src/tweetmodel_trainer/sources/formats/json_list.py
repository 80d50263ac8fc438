"""Reads the elements of a long JSON list one at a time, so that memory holds one of them and no more.

Python's json reads whole documents; here it reads one element after the other from a window of the text, which
is widened to twice its size while an element does not fit: in all that costs at most twice the reading.
"""

import json
import re
from collections.abc import Iterator
from typing import TextIO

WINDOW_CHARACTERS = 1 << 20
MAX_ELEMENT_CHARACTERS = 64 << 20
"""Characters; an element that is longer is none of ours."""

_SPACE = re.compile(r"\s*")
_ASSIGNMENT = re.compile(r"\s*(?:window\.)?YTD\.\w+\.part\d+\s*=\s*")


class MalformedList(Exception):
    """The text is not what it should be; the message says what, and where."""


def iter_elements(text: TextIO, max_characters: int = MAX_ELEMENT_CHARACTERS) -> Iterator[object]:
    """The elements of a list, which `window.YTD.….part0 =` may precede, as in X's archives.

    Args:
        text: the list, and nothing but a semicolon behind it.
        max_characters: characters of the max_characters element that is taken.

    Raises:
        MalformedList: where the text breaks off or is no such list, after the elements that stand before.
    """
    window = _Window(text, max_characters)
    window.skip(_ASSIGNMENT)
    if not window.takes("["):
        raise MalformedList("is not a list" if window.rest() else "breaks off or is no JSON at line 1")
    ended = window.takes("]")
    while not ended:
        yield window.element()
        ended = window.takes("]")
        if not ended and not window.takes(","):
            raise MalformedList(f"breaks off or is no JSON at line {window.line:,}")
    window.takes(";")
    if window.next_character():
        raise MalformedList(f"goes on behind its list at line {window.line:,}")


class _Window:
    """The part of a text that is being read."""

    def __init__(self, text: TextIO, max_characters: int) -> None:
        self._text = text
        self._max_characters = max_characters
        self._buffer = ""
        self._lines_before = 1
        self.at = 0
        self._widen()

    @property
    def line(self) -> int:
        """The present line, counted from one."""
        return self._lines_before + self._buffer.count("\n", 0, self.at)

    def rest(self) -> str:
        return self._buffer[self.at :]

    def skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self._buffer, self.at):
            self.at = match.end()

    def next_character(self) -> str:
        """Moves to the next character that is no space; empty at the end of the text."""
        self.skip(_SPACE)
        while self.at == len(self._buffer) and self._widen():
            self.skip(_SPACE)
        return self._buffer[self.at : self.at + 1]

    def takes(self, mark: str) -> bool:
        """Moves behind the next character, if it is this one; whether it was."""
        found = self.next_character() == mark
        self.at += found
        return found

    def element(self) -> object:
        """The element that comes next; moves behind it."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self.at)
            except json.JSONDecodeError as error:
                if len(self._buffer) - self.at > self._max_characters:
                    raise MalformedList(f"is no JSON at line {self.line:,}, or {self._too_long}") from None
                if not self._widen():
                    line = self._lines_before + error.lineno - 1
                    raise MalformedList(f"breaks off or is no JSON at line {line:,} ({error.msg})") from None
            except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
                raise MalformedList("holds what no post does") from None
            else:
                if end - self.at > self._max_characters:
                    raise MalformedList(self._too_long)
                self.at = end
                return value

    @property
    def _too_long(self) -> str:
        return f"holds one element of more than {self._max_characters:,} characters"

    def _widen(self) -> bool:
        """Drops what was read and appends as much as is left, a window at least; whether there was more."""
        try:
            more = self._text.read(max(WINDOW_CHARACTERS, len(self._buffer) - self.at))
        except UnicodeDecodeError:
            raise MalformedList(f"is not UTF-8 after line {self.line:,}") from None
        if more:
            self._lines_before = self.line
            self._buffer, self.at = self._buffer[self.at :] + more, 0
        return bool(more)


_DECODER = json.JSONDecoder()
