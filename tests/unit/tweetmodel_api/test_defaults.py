"""Defaults that an administrator sets."""

import pytest

from tweetmodel_api.defaults import DEFAULTABLE_FIELDS, DefaultsSpec, values_for
from tweetmodel_api.spec import TweetModelSpec


def test_every_default_is_a_field_of_the_spec() -> None:
    fields = TweetModelSpec.model_json_schema(by_alias=True)["properties"]
    assert set(DEFAULTABLE_FIELDS) <= set(fields)
    assert set(DEFAULTABLE_FIELDS) == {
        "storage",
        "baseModel",
        "gpus",
        "resources",
        "podTemplate",
        "queueName",
        "reportTo",
    }


@pytest.mark.parametrize(
    ("omitted", "expected"),
    [
        (("gpus", "queueName"), {"gpus": 0, "queueName": "slow"}),
        (("queueName",), {"queueName": "slow"}),
        (("resources",), {}),
        ((), {}),
    ],
    ids=["both", "one", "without-default", "none-omitted"],
)
def test_an_omitted_field_takes_the_first_default(omitted: tuple[str, ...], expected: dict[str, object]) -> None:
    assert values_for(omitted, {"gpus": 0}, {"gpus": 1, "queueName": "slow"}) == expected


def test_a_default_of_one_level_is_not_merged_with_the_next_one() -> None:
    resources = ({"limits": {"cpu": "1"}}, {"requests": {"cpu": "1"}})
    assert values_for(["resources"], *({"resources": each} for each in resources)) == {"resources": resources[0]}


def test_defaults_are_bounded_as_the_spec() -> None:
    assert DefaultsSpec.model_validate({"gpus": 1}).gpus == 1
    for invalid in ({"gpus": 2}, {"epochs": 3}):
        with pytest.raises(ValueError, match=r"gpus|epochs"):
            DefaultsSpec.model_validate(invalid)
