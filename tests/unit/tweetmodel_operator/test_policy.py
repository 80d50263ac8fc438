"""The policy of the administrator."""

from dataclasses import replace

import pytest

from makers import spec
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_operator.policy import check_policy, is_device
from tweetmodel_operator.settings import Settings

SETTINGS = Settings(
    trainer_image="registry/trainer:1",
    allowed_images=("registry/team/*",),
    allowed_service_accounts=("default", "trainer-*"),
)


def violation(of: TweetModelSpec, settings: Settings) -> str:
    return check_policy(of, settings).violation


@pytest.mark.parametrize(
    "template",
    [
        None,
        {"nodeSelector": {"gpu": "h200"}},
        {"image": "registry/trainer:1"},
        {"image": "registry/team/trainer:2"},
        {"serviceAccountName": "trainer-eu"},
    ],
    ids=["none", "placement", "image-of-chart", "allowed-image", "allowed-account"],
)
def test_allowed_pod_templates_are_no_violation(template: object) -> None:
    assert violation(spec(podTemplate=template), SETTINGS) == ""


def test_the_x_api_must_be_enabled() -> None:
    timeline = spec(sources=[{"handle": "ada", "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "5"}}])
    assert "uses the X API" in violation(timeline, SETTINGS)
    assert violation(timeline, replace(SETTINGS, x_api_enabled=True)) == ""


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ({"image": "registry/other:1"}, "spec.podTemplate.image registry/other:1 is not in the"),
        ({"image": "registry/trainer:12"}, "is not in the administrator's list of images"),
        ({"serviceAccountName": "admin"}, "spec.podTemplate.serviceAccountName admin is not in the"),
    ],
    ids=["image", "image-with-same-prefix", "service-account"],
)
def test_other_pod_templates_are_violations(template: object, sentence: str) -> None:
    assert sentence in violation(spec(podTemplate=template), SETTINGS)


def test_an_excluded_account_is_no_allowed_source() -> None:
    settings = replace(SETTINGS, excluded_accounts=("@Ada", "bob"))
    assert "@ada (the administrator excludes the account)" in violation(spec(), settings)
    assert violation(spec(sources=[{"handle": "eve", "s3": {"uri": "s3://bucket/eve"}}]), settings) == ""


LIMITED = replace(SETTINGS, allowed_base_models=("openai-community/*",), max_gpus=2, max_epochs=10)


@pytest.mark.parametrize(
    "requested",
    [
        {"gpus": 2, "training": {"epochs": 10, "globalBatchSize": 2}},
        {"baseModel": {"hub": {"name": "openai-community/gpt2"}}},
        {"baseModel": {"s3": {"uri": "s3://bucket/model"}}},
        {"resources": {"limits": {"nvidia.com/gpu": 2, "memory": "64Gi", "ephemeral-storage": "9Gi"}}},
    ],
    ids=["gpus-and-epochs", "hub-model", "s3-model", "resources"],
)
def test_specs_within_the_limits_are_no_violation(requested: dict[str, object]) -> None:
    assert violation(spec(**requested), LIMITED) == ""


@pytest.mark.parametrize(
    ("requested", "sentence"),
    [
        ({"gpus": 4, "training": {"globalBatchSize": 4}}, "spec.gpus 4 exceeds the limit of 2"),
        ({"training": {"epochs": 11}}, "spec.training.epochs 11 exceeds the limit of 10"),
        ({"baseModel": {"hub": {"name": "else/gpt2"}}}, "spec.baseModel.hub.name else/gpt2 is not in the"),
        (
            {"resources": {"limits": {"nvidia.com/gpu": "8"}}},
            "spec.resources.limits exceeds the limit of 2 devices (nvidia.com/gpu)",
        ),
        (
            {"gpus": 1, "resources": {"limits": {"amd.com/gpu": 2}}},
            "spec.resources.limits exceeds the limit of 2 devices (nvidia.com/gpu, amd.com/gpu)",
        ),
        (
            {"resources": {"limits": {"nvidia.com/mig-1g.5gb": 2, "nvidia.com/gpu": "1"}}},
            "spec.resources.limits exceeds the limit of 2 devices (nvidia.com/gpu, nvidia.com/mig-1g.5gb)",
        ),
        (
            {"resources": {"requests": {"nvidia.com/gpu": "8k"}}},
            "spec.resources.requests exceeds the limit of 2 devices",
        ),
    ],
    ids=["gpus", "epochs", "hub-model", "limits", "two-resources", "gpu-partition", "quantity-with-suffix"],
)
def test_specs_beyond_the_limits_are_violations(requested: dict[str, object], sentence: str) -> None:
    assert violation(spec(**requested), LIMITED).startswith(sentence)


def test_without_allowed_base_models_no_hub_model_is_allowed() -> None:
    requested = spec(baseModel={"hub": {"name": "openai-community/gpt2"}})
    assert "is not in the administrator's list of base models" in violation(
        requested, replace(SETTINGS, allowed_base_models=())
    )


@pytest.mark.parametrize(
    ("fields", "forbids_pods"),
    [({"podTemplate": {"image": "evil"}}, True), ({"training": {"epochs": 11}}, False)],
    ids=["pods", "training"],
)
def test_only_a_forbidden_image_or_account_forbids_the_pods(fields: dict[str, object], forbids_pods: bool) -> None:
    result = check_policy(spec(**fields), LIMITED)
    assert result.violation
    assert result.forbids_pods is forbids_pods


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/mig-1g.5gb", True),
        ("amd.com/gpu", True),
        ("memory", False),
        ("kubernetes.io/batch-cpu", False),
        ("node.kubernetes.io/something", False),
    ],
)
def test_extended_resources_are_devices(resource: str, expected: bool) -> None:
    assert is_device(resource) is expected
