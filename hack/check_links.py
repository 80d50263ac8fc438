"""Checks the relative links between Markdown files, with their anchors: `python hack/check_links.py FILE...`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]*))?\)")


def anchors(file: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(file: Path) -> Iterator[str]:
    """Yield the links of a page whose file or anchor does not exist."""
    for path, anchor in _LINK.findall(_CODE.sub("", file.read_text())):
        target = file.parent / path if path else file
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield f"{file}: broken link to {path}#{anchor}" if anchor else f"{file}: broken link to {path}"


if __name__ == "__main__":
    broken = [link for name in sys.argv[1:] for link in broken_links(Path(name))]
    if broken:
        sys.exit("\n".join(broken))
