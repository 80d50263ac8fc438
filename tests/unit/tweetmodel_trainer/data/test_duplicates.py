from hypothesis import given
from hypothesis import strategies as st

from tweetmodel_trainer.data.duplicates import SeenTexts, word_key


@given(st.lists(st.text(max_size=3)))
def test_seen_texts_equal_a_set(texts: list[str]) -> None:
    seen, known = SeenTexts(), set()
    for text in texts * 2:
        assert seen.check_and_add(text) is (text in known)
        known.add(text)


def test_table_grows() -> None:
    seen = SeenTexts()
    assert not any(seen.check_and_add(str(number)) for number in range(5000))
    assert all(seen.check_and_add(str(number)) for number in range(5000))


def test_near_duplicates_have_the_same_word_key() -> None:
    assert word_key("The FOG, @bob, is https://t.co/x back!") == word_key("the fog is back") == "the fog is back"
    assert word_key("🌊🌊") == "🌊🌊"
