"""Bodies of server-side apply."""

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tweetmodel_operator.api_server import as_yaml


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("a gull \U0001f426, a flag \U0001f1e9\U0001f1ea and a family \U0001f468\u200d\U0001f469\u200d\U0001f467")
@example("NUL \x00, DEL \x7f, next line \x85, line \u2028 and paragraph \u2029, byte order \ufeff, none \uffff")
@example('quote " backslash \\ and text like escapes: \\ud83d\\udc26 \\n')
@example("key: [not, yaml] # no comment - 'no' |")
def test_any_text_is_unchanged_by_server_side_apply(text: str) -> None:
    assert yaml.safe_load(as_yaml({"status": {"samples": [text]}})) == {"status": {"samples": [text]}}


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert yaml.safe_load(as_yaml({"text": "half \ud83d of it"})) == {"text": "half \ufffd of it"}
