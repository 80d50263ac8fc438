from collections.abc import Callable

import pytest

from tweetmodel_api.credentials import source_credentials
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Source
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.registry import READERS, reader_of

OPTIONS = {
    "archive": {"uri": "s3://bucket/archive.zip"},
    "s3": {"uri": "s3://bucket/posts.csv"},
    "https": {"uri": "https://example.org/posts.csv"},
    "huggingFace": {"dataset": "ada/tweets", "secretRef": {"name": "hub"}},
    "tweetModel": {"name": "bob"},
    "xAPI": {"secretRef": {"name": "x"}, "budgetUSD": "2"},
}


def test_each_kind_of_source_has_a_reader() -> None:
    assert set(READERS) == set(Source.model_fields) - {"handle", "weight"}


@pytest.mark.parametrize("kind", READERS)
def test_reader_is_that_of_the_kind(make_plan: Callable[..., Plan], kind: str) -> None:
    alias = Source.model_fields[kind].alias
    plan = make_plan(sources=[{"handle": "ada", alias: OPTIONS[alias]}])
    reader = reader_of(plan.spec.sources[0], plan)
    assert type(reader) is READERS[kind]
    assert reader.options == getattr(plan.spec.sources[0], kind)
    assert reader.uri


def test_source_without_a_kind_is_an_error(make_plan: Callable[..., Plan]) -> None:
    with pytest.raises(
        Failure, match="the source @ada has no location of its posts: set one of archive, s3"
    ) as failure:
        reader_of(Source(handle="ada"), make_plan())
    assert failure.value.reason is Reason.INVALID_SPEC


@pytest.mark.parametrize("kind", READERS)
def test_each_secret_of_a_source_is_passed_to_the_pod(kind: str) -> None:
    alias = Source.model_fields[kind].alias
    source = Source.model_validate({"handle": "ada", alias: OPTIONS[alias]})
    secrets = [secret for _, secret in source_credentials(source)]
    assert secrets == ([OPTIONS[alias]["secretRef"]["name"]] if "secretRef" in OPTIONS[alias] else [])
