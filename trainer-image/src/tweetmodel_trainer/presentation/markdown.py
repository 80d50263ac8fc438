"""Escapes text for Markdown."""

import re

_MARKUP = re.compile(r"[\\`*_{}\[\]<>()#+!|~$^=]")
_ENTITIES = {"<": "&lt;", ">": "&gt;"}


def escape_markdown(text: str) -> str:
    """Return a text in one line, escaped so that Markdown shows it literally (CommonMark 0.31, section 2.4)."""
    line = " ".join(text.split()).replace("&", "&amp;")
    return _MARKUP.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), line)
