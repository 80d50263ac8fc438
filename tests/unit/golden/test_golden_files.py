"""Jobs and statuses equal their golden files; `make generate` writes the files, and their diff is the review."""

from pathlib import Path

import pytest

from golden_files import FOLDER, golden_files

FILES = dict(golden_files())


@pytest.mark.parametrize(("path", "text"), FILES.items(), ids=[path.stem for path in FILES])
def test_a_golden_file_is_up_to_date(path: Path, text: str) -> None:
    assert path.read_text() == text


def test_every_golden_file_is_generated() -> None:
    assert set(FOLDER.iterdir()) == set(FILES)
