"""Tests of the training stages."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from tweetmodel_api.fields import LocalReference
from tweetmodel_api.spec import BaseModelSource, HubModel
from tweetmodel_trainer.models import hub_model
from tweetmodel_trainer.training.training_run import BASE_MODEL_FILE, resume_base_model, upload_checkpoint


def test_a_run_keeps_the_commit_of_its_base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = BaseModelSource(hub=HubModel(name="ada/gulls", revision="main"))
    first, second = (BaseModelSource(hub=HubModel(name="ada/gulls", revision=digit * 40)) for digit in "12")
    monkeypatch.setattr(hub_model, "resolve_commit", lambda _: "1" * 40)
    assert resume_base_model(source, tmp_path / "new") == first
    upload_checkpoint(Mock(), first, 3, tmp_path)
    monkeypatch.setattr(hub_model, "resolve_commit", lambda _: "2" * 40)
    assert resume_base_model(source, tmp_path) == first
    assert resume_base_model(source, tmp_path / "new") == second


def test_checkpoints_do_not_name_the_secret_of_the_base_model(tmp_path: Path) -> None:
    hub = HubModel(name="ada/gulls", secret_ref=LocalReference(name="them"))
    upload_checkpoint(Mock(), BaseModelSource(hub=hub), 3, tmp_path)
    assert "them" not in (tmp_path / BASE_MODEL_FILE).read_text()
