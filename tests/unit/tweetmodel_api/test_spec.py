"""The spec of a TweetModel: defaults, bounds and derived values."""

import pytest
from pydantic import ValidationError

from makers import spec
from tweetmodel_api.spec import TweetModelSpec


def test_the_smallest_spec_names_a_source_and_the_storage() -> None:
    smallest = {"sources": [{"handle": "ada", "s3": {"uri": "s3://bucket/a.jsonl"}}], "storage": {"uri": "s3://bucket"}}
    read = TweetModelSpec.model_validate(smallest)
    assert read.base_model.hub
    assert read.base_model.hub.name == "openai-community/gpt2"
    assert (read.training.epochs, read.training.learning_rate, read.training.block_size) == (4, "1.372e-4", 1024)


def test_posts_are_erased_by_id_and_accounts_by_handle() -> None:
    cleaning = spec(cleaning={"erase": ["17", "@Ada", "@ada"]}).cleaning
    assert (cleaning.erased_posts, cleaning.erased_accounts) == ({"17"}, {"ada"})


@pytest.mark.parametrize("entry", ["ada", "@", "@a-b", "@sixteen_letters_", "1" * 21])
def test_another_entry_can_not_be_erased(entry: str) -> None:
    with pytest.raises(ValidationError):
        spec(cleaning={"erase": [entry]})


@pytest.mark.parametrize(
    "where",
    [{}, {"": "ada"}, {str(number): "x" for number in range(9)}, {"by": "x" * 257}],
    ids=["empty", "empty-field", "too-many", "too-long"],
)
def test_the_selection_of_rows_is_bounded(where: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        spec(sources=[{"handle": "ada", "s3": {"uri": "s3://bucket/all.csv", "where": where}}])


def test_weights_are_those_of_the_sources() -> None:
    sources = [{"handle": name, "s3": {"uri": f"s3://bucket/{name}"}} for name in ("ada", "bob")]
    assert spec(sources=[sources[0], sources[1] | {"weight": 3}]).weights == {"ada": 1, "bob": 3}


def test_unknown_fields_are_rejected() -> None:
    with pytest.raises(ValidationError):
        spec(nobodyKnows=1)
