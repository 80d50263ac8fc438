"""Tests of the names of repositories, and of pushes without a token."""

from pathlib import Path

import pytest
from huggingface_hub.utils import validate_repo_id

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubRepository, LocalReference
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.publishing.hub_repository import MAX_NAME_LENGTH, push, repository_name

SECRET = LocalReference(name="hub")


def test_a_push_needs_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(Failure, match=r"publish\.huggingFace\.secretRef") as failure:
        push(tmp_path, HubRepository(secret_ref=SECRET), ["ada"], "1")
    assert failure.value.reason is Reason.HUB_DENIED


@pytest.mark.parametrize(
    "handles", [["ada"], ["_ada_", "__"], [f"{'x' * 13}{n:02d}" for n in range(16)], ["B", "a"]], ids=len
)
def test_the_default_name_is_valid_on_the_hub(handles: list[str]) -> None:
    name = repository_name(handles)
    validate_repo_id(name)
    assert len(name) <= MAX_NAME_LENGTH
    assert name == repository_name(handles[::-1])


def test_truncated_names_stay_unique() -> None:
    many = [f"{'x' * 13}{n:02d}" for n in range(15)]
    assert repository_name([*many, "y1"]) != repository_name([*many, "y2"])
