"""The training text as blocks of tokens in reading order, laid out one epoch at a time.

As in huggingtweets, each epoch shuffles the posts and concatenates them, separated by the end-of-text token. Blocks
follow each other without gaps or padding. The order of an epoch is a pure function of seed, epoch and posts, so a
resumed run reads the same blocks as an uninterrupted run.
"""

import random
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.models.tokens import encode

EQUAL_WEIGHTS: Mapping[str, int] = {}

TOKENIZER_BATCH = 1024
"""Posts per call of the tokenizer, whose output takes much more memory than the tokens."""


def epoch_order(
    by_account: Mapping[str, Sequence[int]], generator: random.Random, weights: Mapping[str, int] = EQUAL_WEIGHTS
) -> list[int]:
    """Return the indices of the posts of one epoch in reading order.

    Args:
        by_account: indices of the posts of each account, by handle.
        generator: random number generator of the epoch.
        weights: weights of the accounts, by handle; default 1.
    """
    order = _select_posts(by_account, generator, weights)
    generator.shuffle(order)
    return order


def _select_posts(
    by_account: Mapping[str, Sequence[int]], generator: random.Random, weights: Mapping[str, int]
) -> list[int]:
    """Return the indices of the posts of one epoch, account by account.

    With equal weights, each account gets as many posts as the longest account: posts of shorter accounts are repeated,
    as in huggingtweets, with a random selection in the last, partial repetition. Other weights scale these numbers.
    Every post is included at least once.
    """
    unit = max(len(indices) / weights.get(account, 1) for account, indices in by_account.items())
    selected: list[int] = []
    for account, indices in by_account.items():
        repetitions, rest = divmod(round(unit * weights.get(account, 1)), len(indices))
        selected += [*indices] * repetitions + generator.sample(indices, rest)
    return selected


@dataclass(frozen=True)
class BlockLayout:
    """Settings of the blocks of a training."""

    epochs: int
    """Number of passes over the longest account."""
    size: int
    """Tokens per block."""
    seed: int
    """Seed of the order."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Weights of the accounts, by handle; default 1."""


class Blocks(Dataset[dict[str, torch.Tensor]]):
    """Blocks of tokens, whose labels equal the inputs because the model shifts labels.

    Tokens that do not fill a last block are dropped. Text that is shorter than one block is repeated to fill it.
    Memory holds the tokens of each post once, and the text of one epoch.
    """

    def __init__(self, posts: Sequence[Post], tokenizer: PreTrainedTokenizerBase, layout: BlockLayout) -> None:
        """Tokenize the posts.

        Args:
            posts: training posts, at least one.
            tokenizer: tokenizer with an end-of-text token.
            layout: settings of the blocks.
        """
        self._layout, self._end = layout, tokenizer.eos_token_id
        self._by_account: dict[str, list[int]] = {}
        for index, post in enumerate(posts):
            self._by_account.setdefault(post.handle, []).append(index)
        self._tokens, self._starts = array("i"), array("q", [0])
        for start in range(0, len(posts), TOKENIZER_BATCH):
            for ids in encode(tokenizer, [post.text for post in posts[start : start + TOKENIZER_BATCH]]):
                self._tokens.extend([*ids, self._end])
                self._starts.append(len(self._tokens))
        lengths = [self._epoch_length(epoch) for epoch in range(layout.epochs)]
        lengths[0] += 1  # the end-of-text token before the first post
        self._bounds = list(accumulate(lengths, initial=0))
        self._cached_epoch: tuple[int, array[int]] = (-1, array("i"))

    @property
    def size(self) -> int:
        """Tokens per block."""
        return self._layout.size

    def __len__(self) -> int:
        return max(1, self._bounds[-1] // self.size)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        block = self.tokens(index).long()
        return {"input_ids": block, "labels": block}

    def tokens(self, index: int) -> torch.Tensor:
        """Return the tokens of a block, int32 of shape (size,)."""
        block = array("i")
        while len(block) < self.size:
            position = (index * self.size + len(block)) % self._bounds[-1]
            epoch = bisect_right(self._bounds, position) - 1
            start = position - self._bounds[epoch]
            block += self._epoch_text(epoch)[start : start + self.size - len(block)]
        return torch.frombuffer(block, dtype=torch.int32)

    @property
    def tokens_by_account(self) -> dict[str, int]:
        """Tokens of the distinct posts of each account, by handle, including the end-of-text token of each post."""
        return {
            account: sum(self._starts[index + 1] - self._starts[index] for index in indices)
            for account, indices in self._by_account.items()
        }

    @property
    def epoch_ends(self) -> list[int]:
        """Number of blocks after which each epoch has been read completely."""
        return [min(-(-bound // self.size), len(self)) for bound in self._bounds[1:]]

    def _epoch_length(self, epoch: int) -> int:
        selected = _select_posts(self._by_account, self._generator(epoch), self._layout.weights)
        return sum(self._starts[index + 1] - self._starts[index] for index in selected)

    def _epoch_text(self, epoch: int) -> "array[int]":
        if self._cached_epoch[0] != epoch:
            text = array("i", [] if epoch else [self._end])
            for index in epoch_order(self._by_account, self._generator(epoch), self._layout.weights):
                text += self._tokens[self._starts[index] : self._starts[index + 1]]
            self._cached_epoch = epoch, text
        return self._cached_epoch[1]

    def _generator(self, epoch: int) -> random.Random:
        return random.Random(f"{self._layout.seed}/{epoch}")
