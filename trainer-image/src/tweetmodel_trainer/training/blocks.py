"""The text of all epochs as blocks of tokens in the order in which they are read, laid out one epoch at a time.

As in huggingtweets each epoch shuffles the posts anew and writes them one after the other with the end-of-text
token between them, and a block begins where the one before ended: no token is padding. Each epoch's order is a pure
function of (seed, epoch, posts): whoever resumes at block n reads what the interrupted run would have read.
"""

import random
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.models.tokens import encode

EQUAL: Mapping[str, int] = {}
"""No account weighs more than another."""

TOGETHER = 1024
"""Posts that are given to the tokenizer at once, which keeps much beside their tokens."""


def epoch(
    by_account: Mapping[str, Sequence[int]], generator: random.Random, weights: Mapping[str, int] = EQUAL
) -> list[int]:
    """The posts of each account, by their indices, in the order of one epoch; `weights` are 1 where one is missing."""
    order = _chosen(by_account, generator, weights)
    generator.shuffle(order)
    return order


def _chosen(by_account: Mapping[str, Sequence[int]], generator: random.Random, weights: Mapping[str, int]) -> list[int]:
    """The posts of one epoch, one account after the other.

    Of several accounts of one weight each gets as many posts as the longest: the shorter ones are repeated, as
    huggingtweets did, with the last, partial repetition drawn at random. Other weights are shares of that: each post
    is read once at least.
    """
    unit = max(len(indices) / weights.get(account, 1) for account, indices in by_account.items())
    chosen: list[int] = []
    for account, indices in by_account.items():
        whole, part = divmod(round(unit * weights.get(account, 1)), len(indices))
        chosen += [*indices] * whole + generator.sample(indices, part)
    return chosen


class Blocks(Dataset[dict[str, torch.Tensor]]):
    """Blocks of tokens, each its own target: the model shifts them.

    The rest that fills no block is left out; where not even one is filled, the text is repeated until it fills one.
    Memory holds the tokens of each post once, and of one epoch in its order.
    """

    def __init__(
        self,
        posts: Sequence[Post],
        tokenizer: PreTrainedTokenizerBase,
        epochs: int,
        size: int,
        seed: int,
        weights: Mapping[str, int] = EQUAL,
    ) -> None:
        """Lays them out.

        Args:
            posts: to train on, at least one.
            tokenizer: with an end-of-text token.
            epochs: how often each post of the longest account is read.
            size: tokens in a block.
            seed: of the order.
            weights: of the accounts, by handle; 1 where one is missing.
        """
        self.size, self._seed, self._weights, self._end = size, seed, weights, tokenizer.eos_token_id
        self._by_account: dict[str, list[int]] = {}
        for index, post in enumerate(posts):
            self._by_account.setdefault(post.handle, []).append(index)
        self._tokens, self._starts = array("i"), array("q", [0])
        for at in range(0, len(posts), TOGETHER):
            for ids in encode(tokenizer, [post.text for post in posts[at : at + TOGETHER]]):
                self._tokens.extend([*ids, self._end])
                self._starts.append(len(self._tokens))
        lengths = [self._length(number) for number in range(epochs)]
        lengths[0] += 1  # the end-of-text token that the first post comes after
        self._bounds = list(accumulate(lengths, initial=0))
        self._laid_out: tuple[int, array[int]] = (-1, array("i"))

    def __len__(self) -> int:
        return max(1, self._bounds[-1] // self.size)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        block = self.tokens(index).long()
        return {"input_ids": block, "labels": block}

    def tokens(self, index: int) -> torch.Tensor:
        """A block's tokens, int32 of shape (size,)."""
        block = array("i")
        while len(block) < self.size:
            at = (index * self.size + len(block)) % self._bounds[-1]
            number = bisect_right(self._bounds, at) - 1
            begin = at - self._bounds[number]
            block += self._epoch(number)[begin : begin + self.size - len(block)]
        return torch.frombuffer(block, dtype=torch.int32)

    @property
    def tokens_by_account(self) -> dict[str, int]:
        """Tokens of each account's posts, read once, the closing one of each included."""
        return {
            account: sum(self._starts[index + 1] - self._starts[index] for index in indices)
            for account, indices in self._by_account.items()
        }

    @property
    def ends(self) -> list[int]:
        """For each epoch the blocks after which it has been read whole."""
        return [min(-(-bound // self.size), len(self)) for bound in self._bounds[1:]]

    def _length(self, number: int) -> int:
        chosen = _chosen(self._by_account, self._generator(number), self._weights)
        return sum(self._starts[index + 1] - self._starts[index] for index in chosen)

    def _epoch(self, number: int) -> "array[int]":
        if self._laid_out[0] != number:
            text = array("i", [] if number else [self._end])
            for index in epoch(self._by_account, self._generator(number), self._weights):
                text += self._tokens[self._starts[index] : self._starts[index + 1]]
            self._laid_out = number, text
        return self._laid_out[1]

    def _generator(self, number: int) -> random.Random:
        return random.Random(f"{self._seed}/{number}")
