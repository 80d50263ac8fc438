"""The plan of a pod."""

from makers import dataset_reference, job_request, spec
from tweetmodel_api.plan import Plan

PLAN = Plan(step="train", namespace="default", name="ada", spec=spec(), run="a" * 16, dataset=dataset_reference())


def test_a_plan_is_unchanged_by_json() -> None:
    for plan in (PLAN, job_request("collect").plan):
        assert Plan.model_validate(plan.to_json_object()) == plan


def test_the_layout_is_that_of_the_tweetmodel() -> None:
    assert PLAN.layout.root == "s3://bucket/models/default/ada"


def test_accounts_of_the_spec_and_of_the_administrator_are_excluded() -> None:
    of = spec(cleaning={"excludeAccounts": ["bob"]})
    plan = PLAN.model_copy(update={"spec": of, "excluded_accounts": ("eve", "bob")})
    assert plan.cleaning.exclude_accounts == ("bob", "eve")
    assert plan.spec.cleaning.exclude_accounts == ("bob",)
