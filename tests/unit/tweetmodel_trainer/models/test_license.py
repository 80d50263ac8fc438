"""Tests of the license of a base model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tweetmodel_trainer.models.license import read_license


@pytest.mark.parametrize(
    ("card", "license_"),
    [
        (b"---\nlicense: mit\n---\n# GPT-2", "mit"),
        (b"---\nlicense: [a, b]\n---", None),
        (b"---\nlicense: '<script>'\n---", None),
        (b"---\n: broken [\n---", None),
        (b"\xff\xfe no text", None),
        (b"# no front matter", None),
    ],
)
def test_license_of_a_model_card(written: Callable[[str, bytes], Path], card: bytes, license_: str | None) -> None:
    assert read_license(written("README.md", card).parent) == license_


def test_no_license_without_a_model_card(tmp_path: Path) -> None:
    assert read_license(tmp_path) is None
