"""Tests of tokenizers and of the encoding of texts."""

from hypothesis import given
from hypothesis import strategies as st

from small_models import TEXTS, TOKENIZER
from tweetmodel_trainer.models.tokens import encode, train_tokenizer


def test_equal_texts_train_equal_tokenizers() -> None:
    assert train_tokenizer(TEXTS, 320).get_vocab() == TOKENIZER.get_vocab()


def test_a_special_token_in_a_post_is_plain_text() -> None:
    [ids] = encode(TOKENIZER, ["a gull <|endoftext|> flew"])
    assert TOKENIZER.eos_token_id not in ids
    assert TOKENIZER.decode(ids) == "a gull <|endoftext|> flew"


@given(st.text())
def test_decoding_restores_every_text(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()
    assert TOKENIZER.decode(encode(TOKENIZER, [text])[0]) == text
