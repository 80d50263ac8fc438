"""Lays the text of all epochs out beforehand, as blocks of tokens that are then read in order.

As in huggingtweets each epoch shuffles the posts anew and writes them one after the other with the end-of-text
token between them, so no token is padding. The order is a pure function of (seed, posts): whoever resumes at
block n reads what the interrupted run would have read.
"""

import random
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tweetmodel_trainer.clean import END_OF_TEXT
from tweetmodel_trainer.post import Post

EQUAL: Mapping[str, int] = {}
"""No account weighs more than another."""


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


def epoch(posts: Sequence[Post], generator: random.Random, weights: Mapping[str, int] = EQUAL) -> list[int]:
    """Indices of the posts in the order of one epoch.

    Of several accounts of one weight each gets as many posts as the longest: the shorter ones are repeated, as
    huggingtweets did, with the last, partial repetition drawn at random. Other weights are shares of that: each post
    is read once at least.
    """
    accounts: dict[str, list[int]] = {}
    for index, post in enumerate(posts):
        accounts.setdefault(post.handle, []).append(index)
    unit = max(len(indices) / weights.get(handle, 1) for handle, indices in accounts.items())
    order: list[int] = []
    for handle, indices in accounts.items():
        whole, part = divmod(round(unit * weights.get(handle, 1)), len(indices))
        order += indices * whole + generator.sample(indices, part)
    generator.shuffle(order)
    return order


def blocks(
    posts: Sequence[Post],
    tokenizer: PreTrainedTokenizerBase,
    epochs: int,
    size: int,
    seed: int,
    weights: Mapping[str, int] = EQUAL,
) -> torch.Tensor:
    """The text of all epochs in blocks.

    Args:
        posts: to train on, at least one.
        tokenizer: with an end-of-text token.
        epochs: how often each post of the longest account is read.
        size: tokens in a block.
        seed: of the order.
        weights: of the accounts, by handle; 1 where one is missing.

    Returns:
        int32 of shape (blocks, size). The rest that fills no block is left out; where not even one is filled,
        the text is repeated until it fills one.
    """
    ids = encode(tokenizer, [post.text for post in posts])
    end = tokenizer.eos_token_id
    orders = (epoch(posts, random.Random(f"{seed}/{number}"), weights) for number in range(epochs))
    stream = array("i", _stream(orders, ids, end))
    if len(stream) < size:
        stream *= size // len(stream) + 1
    count = len(stream) // size
    return torch.frombuffer(stream, dtype=torch.int32)[: count * size].view(count, size)


def _stream(orders: Iterable[list[int]], ids: list[list[int]], end: int) -> Iterator[int]:
    yield end
    for order in orders:
        for index in order:
            yield from ids[index]
            yield end
