"""What is gathered to tell of a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finished import about
from tweetmodel_trainer.about import licence_of


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (b"---\nlicense: mit\n---\n# GPT-2", "mit"),
        (b"---\nlicense: [a, b]\n---", None),
        (b"---\nlicense: '<script>'\n---", None),
        (b"---\n: broken [\n---", None),
        (b"\xff\xfe no text", None),
        (b"# no front matter", None),
    ],
)
def test_the_licence_is_what_the_base_models_card_names(
    written: Callable[[str, bytes], Path], card: bytes, licence: str | None
) -> None:
    assert licence_of(written("README.md", card).parent) == licence


def test_a_base_model_without_a_card_has_no_known_licence(tmp_path: Path) -> None:
    assert licence_of(tmp_path) is None


def test_accounts_are_named_in_a_phrase() -> None:
    assert about(handles=("bob",)).who == "@bob"
    assert about(handles=("eve", "Bob", "ada")).who == "@ada, @Bob and @eve"
