"""A tokenizer, posts and models that are small enough to train within a second."""

import hashlib

import torch
from transformers import GPT2Config, GPT2LMHeadModel, set_seed

from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.models.tokens import train_tokenizer
from tweetmodel_trainer.training.blocks import BlockLayout, Blocks

TEXTS = [f"gull number {n} has taken sandwich {n * 7 % 40}" for n in range(60)]
POSTS = [Post("ada", str(n), text) for n, text in enumerate(TEXTS)]
TOKENIZER = train_tokenizer(TEXTS, 320)
TWELVE_BLOCKS = Blocks(POSTS[:33], TOKENIZER, BlockLayout(3, 64, 1))
"""Twelve blocks of three epochs, which end after blocks 5, 9 and 12."""


def small_model(dropout: float = 0.1) -> GPT2LMHeadModel:
    """Return a GPT-2 of one layer, always with the same weights."""
    set_seed(7)
    end = TOKENIZER.eos_token_id
    shape = {"vocab_size": len(TOKENIZER), "n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 64}
    drop = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
    return GPT2LMHeadModel(GPT2Config(bos_token_id=end, eos_token_id=end, **shape, **drop))


def weights_digest(model: torch.nn.Module) -> str:
    """Return the SHA-256 of all weights."""
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        sha.update(name.encode() + tensor.numpy().tobytes())
    return sha.hexdigest()
