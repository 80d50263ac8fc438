"""Copies comments and docstrings of Python files to a folder, where Vale checks them.

Vale itself skips the docstrings of attributes. The copies are Markdown with the line numbers of the originals.

    python hack/comments.py TARGET FOLDER...
"""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path


def iter_prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line of a comment or docstring."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ") + "\n"
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                yield number, lines[number - 1][node.col_offset :].replace('"""', "")


def copy_prose(file: Path, target: Path) -> None:
    """Write a copy of a file without its code."""
    source = file.read_text()
    lines = [""] * len(source.splitlines())
    for number, text in iter_prose(source):
        lines[number - 1] = text.rstrip("\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    target, *folders = map(Path, sys.argv[1:])
    for folder in folders:
        for file in folder.rglob("*.py"):
            copy_prose(file, target / f"{file}.md")
