"""Tests of the packing of posts into blocks."""

import random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from small_models import TEXTS, TOKENIZER
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.models.tokens import encode
from tweetmodel_trainer.training.blocks import BlockLayout, Blocks, epoch_order


def posts_of(written: dict[str, int]) -> list[Post]:
    """Return posts of accounts in turns, in the given numbers."""
    posts = [Post(handle, str(n), TEXTS[n]) for handle, count in written.items() for n in range(count)]
    return sorted(posts, key=lambda post: post.id)


def indices_of(posts: list[Post]) -> dict[str, list[int]]:
    handles = dict.fromkeys(post.handle for post in posts)
    return {handle: [n for n, post in enumerate(posts) if post.handle == handle] for handle in handles}


accounts = st.dictionaries(st.sampled_from(["ada", "bob", "eve"]), st.integers(1, 30), min_size=1)
weights = st.dictionaries(st.sampled_from(["ada", "bob", "eve"]), st.integers(1, 9))


@given(accounts, weights)
def test_weights_scale_accounts_and_every_post_is_read(written: dict[str, int], weights: dict[str, int]) -> None:
    by_account = indices_of(posts_of(written))
    order = epoch_order(by_account, random.Random(1), weights)
    assert set(order) == set(range(sum(written.values())))
    shares = [sum(n in by_account[handle] for n in order) / weights.get(handle, 1) for handle in written]
    assert max(shares) - min(shares) <= 1


def test_smaller_accounts_are_repeated_up_to_the_size_of_the_largest() -> None:
    by_account = indices_of(posts_of({"ada": 30, "bob": 7}))
    order = epoch_order(by_account, random.Random(1))
    assert sum(n in by_account["ada"] for n in order) == sum(n in by_account["bob"] for n in order) == 30


@settings(max_examples=50)
@given(accounts, weights, st.integers(1, 4), st.integers(2, 80), st.integers(0, 99))
def test_blocks_contain_the_posts_of_all_epochs_in_order(
    written: dict[str, int], weights: dict[str, int], epochs: int, size: int, seed: int
) -> None:
    posts, end = posts_of(written), TOKENIZER.eos_token_id
    blocks = Blocks(posts, TOKENIZER, BlockLayout(epochs, size, seed, weights))
    ids = encode(TOKENIZER, [post.text for post in posts])
    text = [end]
    for number in range(epochs):
        for n in epoch_order(indices_of(posts), random.Random(f"{seed}/{number}"), weights):
            text += [*ids[n], end]
        assert blocks.epoch_ends[number] == max(1, min(-(-len(text) // size), len(blocks)))
    if len(text) < size:
        text *= size
        assert len(blocks) == 1
    else:
        assert len(blocks) == len(text) // size, "only tokens that fill no block are dropped, and there is no padding"
    assert torch.cat([blocks.tokens(n) for n in range(len(blocks))]).tolist() == text[: len(blocks) * size]


@settings(max_examples=30)
@given(st.integers(2, 80), st.randoms(use_true_random=False))
def test_blocks_do_not_depend_on_the_order_of_reading(size: int, generator: random.Random) -> None:
    blocks, again = (Blocks(posts_of({"ada": 30, "bob": 7}), TOKENIZER, BlockLayout(3, size, 1)) for _ in range(2))
    in_order = [blocks.tokens(n) for n in range(len(blocks))]
    for n in generator.sample(range(len(blocks)), len(blocks)):
        assert torch.equal(again.tokens(n), in_order[n])


def test_each_epoch_has_its_own_order() -> None:
    orders = [epoch_order({"ada": [*range(60)]}, random.Random(f"1/{number}")) for number in range(2)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_memory_does_not_grow_with_the_number_of_epochs() -> None:
    blocks = Blocks(posts_of({"ada": 60}), TOKENIZER, BlockLayout(1000, 64, 1))
    for n in range(0, len(blocks), 50):
        blocks.tokens(n)
    stored = [value for value in vars(blocks).values() if hasattr(value, "itemsize")] + [blocks._cached_epoch[1]]
    assert sum(len(value) for value in stored) < 4 * sum(len(ids) + 1 for ids in encode(TOKENIZER, TEXTS))


def test_tokens_by_account_include_the_end_of_text_tokens() -> None:
    blocks = Blocks(posts_of({"ada": 5, "bob": 2}), TOKENIZER, BlockLayout(3, 64, 1))
    lengths = [len(ids) + 1 for ids in encode(TOKENIZER, TEXTS[:5])]
    assert blocks.tokens_by_account == {"ada": sum(lengths), "bob": sum(lengths[:2])}
