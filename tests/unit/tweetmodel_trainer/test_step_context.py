"""Tests of the inputs of a step."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.step_context import StepContext
from tweetmodel_trainer.storage import IncompleteFolder, Storage


def test_a_plan_without_a_run_is_an_internal_error(
    make_plan: Callable[..., Plan], storage: Storage, tmp_path: Path
) -> None:
    plan = make_plan()
    with pytest.raises(Failure, match="the plan of the collect step has no run") as failure:
        _ = StepContext(plan, tmp_path, storage, Progress({})).run
    assert failure.value.reason is Reason.INTERNAL_ERROR
    with_run = plan.model_copy(update={"run": "ab" * 8})
    assert StepContext(with_run, tmp_path, storage, Progress({})).run == "ab" * 8


def test_an_incomplete_folder_is_reported_with_advice(make_plan: Callable[..., Plan], tmp_path: Path) -> None:
    storage = Mock(download_folder=Mock(side_effect=IncompleteFolder("it has no manifest")))
    message = (
        r"the data set is incomplete or corrupt \(it has no manifest\): delete s3://bucket/x, "
        "and run `kubectl annotate tm ada -n default "
    )
    with pytest.raises(Failure, match=message) as failure:
        StepContext(make_plan(), tmp_path, storage, Progress({})).download("data set", "s3://bucket/x", "dataset")
    assert failure.value.reason is Reason.SOURCE_MISSING
    storage.download_folder.assert_called_once_with("s3://bucket/x", tmp_path / "dataset")
