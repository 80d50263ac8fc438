"""Field types shared by all models of the API."""

import pytest

from tweetmodel_api.status import Summary


def test_a_copy_with_an_unknown_field_is_an_error() -> None:
    summary = Summary(handles="@ada")
    assert summary.model_copy(update={"eta": "5s"}).eta == "5s"
    with pytest.raises(TypeError, match="Summary has no fields progres"):
        summary.model_copy(update={"progres": "100%"})
