"""Lays the text of all epochs out beforehand, as blocks of tokens that are then read in order.

As in huggingtweets each epoch shuffles the posts anew and writes them one after the other with the end-of-text
token between them, so no token is padding. The order is a pure function of (seed, posts): whoever resumes at
block n reads what the interrupted run would have read.
"""

import random
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tweetmodel_trainer.clean import END_OF_TEXT
from tweetmodel_trainer.post import Post


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


def epoch(posts: Sequence[Post], generator: random.Random) -> list[int]:
    """Indices of the posts in the order of one epoch.

    Of several accounts each gets as many posts as the longest: the shorter ones are repeated, as huggingtweets
    did, with the last, partial repetition drawn at random.
    """
    accounts: dict[str, list[int]] = {}
    for index, post in enumerate(posts):
        accounts.setdefault(post.handle, []).append(index)
    longest = max(map(len, accounts.values()))
    order: list[int] = []
    for indices in accounts.values():
        whole, part = divmod(longest, len(indices))
        order += indices * whole + generator.sample(indices, part)
    generator.shuffle(order)
    return order


def blocks(
    posts: Sequence[Post], tokenizer: PreTrainedTokenizerBase, epochs: int, size: int, seed: int
) -> torch.Tensor:
    """The text of all epochs in blocks.

    Args:
        posts: to train on, at least one.
        tokenizer: with an end-of-text token.
        epochs: how often each post of the longest account is read.
        size: tokens in a block.
        seed: of the order.

    Returns:
        int32 of shape (blocks, size). The rest that fills no block is left out; where not even one is filled,
        the text is repeated until it fills one.
    """
    ids = encode(tokenizer, [post.text for post in posts])
    end = tokenizer.eos_token_id
    stream = array("i", _stream(lambda number: epoch(posts, random.Random(f"{seed}/{number}")), ids, end, epochs))
    if len(stream) < size:
        stream *= size // len(stream) + 1
    count = len(stream) // size
    return torch.frombuffer(stream, dtype=torch.int32)[: count * size].view(count, size)


def _stream(order: Callable[[int], list[int]], ids: list[list[int]], end: int, epochs: int) -> Iterator[int]:
    yield end
    for number in range(epochs):
        for index in order(number):
            yield from ids[index]
            yield end
