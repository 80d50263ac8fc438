from collections.abc import Callable
from typing import Any

import pytest

from tweetmodel_api.plan import Plan
from tweetmodel_trainer.sources.registry import reader_of


@pytest.mark.parametrize(("secret", "token"), [({"secretRef": {"name": "hub"}}, "hf_x"), ({}, "")])
def test_token_is_read_only_for_a_source_with_a_secret(
    make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, secret: dict[str, Any], token: str
) -> None:
    monkeypatch.setenv("SOURCE_TOKEN_ada", " hf_x\n")
    plan = make_plan(sources=[{"handle": "ada", "huggingFace": {"dataset": "ada/tweets", **secret}}])
    assert reader_of(plan.spec.sources[0], plan).token == token


def test_missing_token_is_empty(make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_TOKEN_ada", raising=False)
    plan = make_plan(sources=[{"handle": "ada", "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "2"}}])
    assert reader_of(plan.spec.sources[0], plan).token == ""
