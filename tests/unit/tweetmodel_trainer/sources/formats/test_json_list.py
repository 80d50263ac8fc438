import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_trainer.sources.formats import json_list
from tweetmodel_trainer.sources.formats.json_list import MalformedList, iter_elements

ANY = st.recursive(
    st.none() | st.booleans() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=20
)


@given(st.lists(ANY), st.integers(1, 50))
def test_elements_equal_those_of_the_json_module(values: list[object], window: int) -> None:
    document = json.dumps(values, ensure_ascii=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "WINDOW_CHARACTERS", window)
        assert list(iter_elements(io.StringIO(document))) == values


def test_list_of_many_windows_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_list, "WINDOW_CHARACTERS", 40)
    texts = [f"post {n} \u2028 with 🌊 and \\ and [" for n in range(50)]
    document = f"window.YTD.tweets.part0 = {json.dumps(texts)};"
    assert list(iter_elements(io.StringIO(document))) == texts
    with pytest.raises(MalformedList, match="is truncated or not valid JSON at line 3"):
        list(iter_elements(io.StringIO('[\n{"full_text": "one"},\n{"full_text": "tw')))


@pytest.mark.parametrize("document", ['["123456789"]', '["1234567890123'])
def test_long_element_is_rejected(document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_list, "WINDOW_CHARACTERS", 4)
    with pytest.raises(MalformedList, match="has an element of more than 10 characters"):
        list(iter_elements(io.StringIO(document), max_characters=10))
