"""What is gathered to tell of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finished import about
from tweetmodel_api.spec import BaseModelSource, HubModel, S3Model, ScratchModel
from tweetmodel_trainer.presentation.run_summary import licence_of


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


@pytest.mark.parametrize(
    ("base", "commit", "phrase"),
    [
        ({"hub": HubModel(name="gpt2")}, "c" * 40, f"gpt2 at main (commit {'c' * 40})"),
        ({"hub": HubModel(name="gpt2", revision="c" * 40)}, "c" * 40, f"gpt2 at {'c' * 40}"),
        ({"s3": S3Model(uri="s3://bucket/base")}, None, "s3://bucket/base"),
        ({"scratch": ScratchModel()}, None, "a new, randomly initialised GPT-2"),
    ],
)
def test_what_it_started_from_is_told_to_the_commit(base: dict[str, Any], commit: str | None, phrase: str) -> None:
    told = about(base=BaseModelSource(**base), base_commit=commit)
    assert told.started_from == phrase
    warm = about(base=BaseModelSource(**base), base_commit=None, start="ab" * 32).started_from
    assert warm.endswith(", by way of the earlier model abababababababab")
