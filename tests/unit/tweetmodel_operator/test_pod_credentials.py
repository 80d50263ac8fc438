"""Keys of Secrets by step: a pod receives no keys besides those of its step."""

from typing import Any

import pytest

from makers import spec
from tweetmodel_api.steps import STEP_NAMES, StepName
from tweetmodel_operator.pod_credentials import credentials_for_pod

SPEC = spec(
    baseModel={"hub": {"name": "ada/gated", "secretRef": {"name": "base"}}},
    publish={"huggingFace": {"secretRef": {"name": "hub"}}},
    reportTo={"wandb": {"secretRef": {"name": "wandb"}}},
    sources=[{"handle": "ada", "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "5"}}],
)
"""A spec that names a Secret wherever one is possible."""
S3 = {"AWS_ACCESS_KEY_ID": "s3", "AWS_SECRET_ACCESS_KEY": "s3"}


def secrets(step: StepName, **options: Any) -> dict[str, str]:
    """Return the Secret of each variable."""
    chosen = {"publish": True, "loads_base_model": True} | options
    return {credential.variable: name for credential, name in credentials_for_pod(step, SPEC, **chosen)}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("collect", {"SOURCE_TOKEN_ada": "x"}),
        ("train", {"HF_TOKEN": "hub", "BASE_MODEL_TOKEN": "base", "WANDB_API_KEY": "wandb"}),
        ("sample", {"HF_TOKEN": "hub"}),
        ("publish", {"HF_TOKEN": "hub"}),
        ("purge", {}),
    ],
)
def test_a_pod_receives_the_keys_of_its_step_and_of_the_storage(step: StepName, expected: dict[str, str]) -> None:
    is_run = step in ("train", "sample", "publish")
    assert secrets(step, publish=is_run, loads_base_model=step == "train") == S3 | expected


def test_a_pod_that_publishes_nothing_receives_no_hub_token() -> None:
    assert "HF_TOKEN" not in secrets("train", publish=False)


def test_a_pod_that_loads_no_base_model_receives_no_token_for_it() -> None:
    assert "BASE_MODEL_TOKEN" not in secrets("train", loads_base_model=False)


@pytest.mark.parametrize("step", STEP_NAMES)
def test_a_spec_without_secrets_needs_no_keys(step: StepName) -> None:
    plain = spec(storage={"uri": "s3://bucket/models"})
    assert list(credentials_for_pod(step, plain, publish=True, loads_base_model=True)) == []
