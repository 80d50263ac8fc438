"""From texts to tokens: a tokenizer of one's own, how any tokenizer reads a text here, and how many a model reads."""

from collections.abc import Iterable, Sequence

from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tweetmodel_trainer.data.normalize import END_OF_TEXT

UNBOUNDED = 8192
"""As many as training.blockSize may be: for models such as BLOOM and Mamba, whose configuration names no bound."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE like GPT-2's, learnt from these texts.

    Args:
        texts: what to learn from; equal texts in equal order give an equal tokenizer.
        vocabulary: most tokens it may have, the 256 bytes and the end-of-text token included.
    """
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=vocabulary, special_tokens=[END_OF_TEXT], show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT
    )


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, nothing added before or after; a special token that a text spells out is mere text."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)[
        "input_ids"
    ]
    return ids


def context_of(model: PreTrainedModel) -> int:
    """How many tokens a model reads at once."""
    most: int = getattr(model.config.get_text_config(), "max_position_embeddings", UNBOUNDED)
    return most
