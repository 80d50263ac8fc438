"""Checks Markdown files for broken links and for paths of missing files: `python hack/check_links.py FILE...`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]*))?\)")
_PATH = re.compile(r"`((?:charts|crds|docs|examples|hack|operator|tests|trainer-image)/[\w./-]*)`")


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


def missing_paths(file: Path) -> Iterator[str]:
    """Yield the paths of the repository that a page names in code font and that do not exist."""
    return (f"{file}: {path} does not exist" for path in _PATH.findall(file.read_text()) if not Path(path).exists())


if __name__ == "__main__":
    files = [Path(name) for name in sys.argv[1:]]
    errors = [error for file in files for error in (*broken_links(file), *missing_paths(file))]
    if errors:
        sys.exit("\n".join(errors))
