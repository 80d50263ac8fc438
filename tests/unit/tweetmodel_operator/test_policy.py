from dataclasses import replace

import pytest

from makers import spec
from tweetmodel_operator.policy import forbidden
from tweetmodel_operator.settings import Settings

SETTINGS = Settings(
    trainer_image="registry/trainer:1",
    allowed_images=("registry/team/*",),
    allowed_service_accounts=("default", "trainer-*"),
)


@pytest.mark.parametrize(
    "template",
    [
        None,
        {"nodeSelector": {"gpu": "h200"}},
        {"image": "registry/trainer:1"},
        {"image": "registry/team/trainer:2"},
        {"serviceAccountName": "trainer-eu"},
    ],
)
def test_what_the_administrator_allows_may_be_asked_for(template: object) -> None:
    assert forbidden(spec(podTemplate=template), SETTINGS) == ""


def test_the_x_api_is_read_only_where_it_is_switched_on() -> None:
    timeline = spec(sources=[{"handle": "ada", "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "5"}}])
    assert "reads the X API" in forbidden(timeline, SETTINGS)
    assert forbidden(timeline, replace(SETTINGS, x_api_enabled=True)) == ""


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ({"image": "registry/other:1"}, "spec.podTemplate.image registry/other:1 is not one"),
        ({"image": "registry/trainer:12"}, "is not one of the images"),
        ({"serviceAccountName": "admin"}, "spec.podTemplate.serviceAccountName admin is not one"),
    ],
)
def test_anything_else_is_refused_by_name(template: object, sentence: str) -> None:
    assert sentence in forbidden(spec(podTemplate=template), SETTINGS)


def test_nobody_learns_from_an_account_that_has_opted_out() -> None:
    settings = replace(SETTINGS, excluded_accounts=("@Ada", "bob"))
    assert "@ada, an account that this cluster never learns from" in forbidden(spec(), settings)
    assert forbidden(spec(sources=[{"handle": "eve", "s3": {"uri": "s3://bucket/eve"}}]), settings) == ""


LIMITED = replace(SETTINGS, allowed_base_models=("openai-community/*",), allowed_gpus=2, allowed_epochs=10)


@pytest.mark.parametrize(
    "asked",
    [
        {"gpus": 2, "training": {"epochs": 10, "globalBatchSize": 2}},
        {"baseModel": {"hub": {"name": "openai-community/gpt2"}}},
        {"baseModel": {"s3": {"uri": "s3://bucket/model"}}},
        {"resources": {"limits": {"nvidia.com/gpu": 2, "memory": "64Gi", "ephemeral-storage": "9Gi"}}},
    ],
)
def test_what_keeps_within_the_limits_may_be_asked_for(asked: dict[str, object]) -> None:
    assert forbidden(spec(**asked), LIMITED) == ""


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"gpus": 4, "training": {"globalBatchSize": 4}}, "spec.gpus 4 is more than the 2 that this cluster allows"),
        ({"training": {"epochs": 11}}, "spec.training.epochs 11 is more than the 10 that this cluster allows"),
        ({"baseModel": {"hub": {"name": "else/gpt2"}}}, "spec.baseModel.hub.name else/gpt2 is not one of the base mod"),
        ({"resources": {"limits": {"nvidia.com/gpu": "8"}}}, "spec.resources.limits of nvidia.com/gpu is more than"),
        (
            {"gpus": 1, "resources": {"limits": {"amd.com/gpu": 2}}},
            "spec.resources.limits of nvidia.com/gpu, amd.com/gpu is more than the 2",
        ),
        (
            {"resources": {"limits": {"nvidia.com/mig-1g.5gb": 2, "nvidia.com/gpu": "1"}}},
            "spec.resources.limits of nvidia.com/gpu, nvidia.com/mig-1g.5gb is more than the 2",
        ),
        (
            {"resources": {"requests": {"nvidia.com/gpu": "8k"}}},
            "spec.resources.requests of nvidia.com/gpu is more than",
        ),
    ],
)
def test_what_goes_beyond_them_is_refused_with_what_is_allowed(asked: dict[str, object], sentence: str) -> None:
    assert forbidden(spec(**asked), LIMITED).startswith(sentence)


def test_a_cluster_without_the_hub_allows_none_of_its_models() -> None:
    asked = spec(baseModel={"hub": {"name": "openai-community/gpt2"}})
    assert "is not one of the base models" in forbidden(asked, replace(SETTINGS, allowed_base_models=()))
