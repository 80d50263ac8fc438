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
    settings = replace(SETTINGS, never=("@Ada", "bob"))
    assert "@ada, an account that this cluster never learns from" in forbidden(spec(), settings)
    assert forbidden(spec(sources=[{"handle": "eve", "s3": {"uri": "s3://bucket/eve"}}]), settings) == ""
