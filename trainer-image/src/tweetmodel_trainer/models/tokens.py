"""Tokenization: trains the tokenizer of a new model, encodes texts, and determines the context of a model."""

from collections.abc import Iterable, Sequence

from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tweetmodel_trainer.data.normalize import END_OF_TEXT

DEFAULT_CONTEXT_LENGTH = 8192
"""Context of models without a limit in their configuration, such as BLOOM and Mamba: the maximum of
training.blockSize."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer like GPT-2's.

    Args:
        texts: training texts; equal texts in equal order give an equal tokenizer.
        vocabulary: maximum number of tokens, including the 256 bytes and the end-of-text token.
    """
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=vocabulary, special_tokens=[END_OF_TEXT], show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT
    )


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text, without added tokens and with special tokens in a text as plain text."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)[
        "input_ids"
    ]
    return ids


def context_length(model: PreTrainedModel) -> int:
    """Return the maximum number of input tokens of a model."""
    length: int = getattr(model.config.get_text_config(), "max_position_embeddings", DEFAULT_CONTEXT_LENGTH)
    return length
