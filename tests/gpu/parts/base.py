"""A base model for the other parts: a GPT-2 that has read text of this machine for a minute.

The GPU machine has no network and so no pre-trained weights, and losses of random weights mean nothing. The tokenizer
has as many tokens as GPT-2's.
"""

import sysconfig
import time
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, set_seed

from parts.bench import Bench, Figures
from parts.models import peak_gib, timed
from recipes import DEVICE, synchronize
from tweetmodel_trainer.models.tokens import encode, train_tokenizer

PEAK_LEARNING_RATE = 6e-4
WARM_UP_STEPS = 50
MAX_FILE_CHARACTERS = 40_000
MAX_TOKENIZER_CHARACTERS = 12_000_000


def measure(bench: Bench, figures: Figures) -> None:
    """Train tokenizer and model, and store both for the other parts."""
    train, _ = bench.posts()
    text = _local_text(bench.scale.base_characters)
    with timed(figures, "tokenizer_seconds"):
        sample = [text[at : at + 2000] for at in range(0, min(len(text), MAX_TOKENIZER_CHARACTERS), 2000)]
        tokenizer = train_tokenizer([*sample, *(post.text for post in train[:50])], bench.scale.vocabulary)
        chunks = [text[at : at + 20_000] for at in range(0, len(text), 20_000)]
        ids = torch.tensor([token for row in encode(tokenizer, chunks) for token in row])
    set_seed(1)
    vocabulary = max(len(tokenizer), bench.scale.vocabulary)
    model = GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0, vocab_size=vocabulary, **bench.scale.shape)).to(
        DEVICE
    )
    _pretrain(model, ids, bench, figures)
    model.save_pretrained(bench.base)
    tokenizer.save_pretrained(bench.base)


def _local_text(characters: int) -> str:
    """Return Python code and prose of the installed packages."""
    pieces, size = [], 0
    for path in sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py")):
        text = path.read_text(errors="ignore")[:MAX_FILE_CHARACTERS]
        pieces.append(text)
        size += len(text)
        if size > characters:
            break
    return "\n".join(pieces)


def _pretrain(model: GPT2LMHeadModel, ids: torch.Tensor, bench: Bench, figures: Figures) -> None:
    scale = bench.scale
    settings = {"lr": PEAK_LEARNING_RATE, "weight_decay": 0.1, "betas": (0.9, 0.95), "fused": True}
    optimizer = torch.optim.AdamW(model.parameters(), **settings)
    losses: list[float] = []
    steps = 0
    model.train()
    model.config.use_cache = False
    deadline = time.perf_counter() + scale.base_seconds
    while time.perf_counter() < deadline:
        starts = torch.randint(0, len(ids) - scale.block_size - 1, (scale.base_batch,))
        batch = torch.stack([ids[start : start + scale.block_size] for start in starts]).to(DEVICE)
        with torch.autocast(DEVICE, torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps += 1
        optimizer.param_groups[0]["lr"] = PEAK_LEARNING_RATE * min(1, steps / WARM_UP_STEPS)
        optimizer.step()
        optimizer.zero_grad()
        if steps % 20 == 0:
            losses.append(round(loss.item(), 3))
    synchronize()
    model.config.use_cache = True
    figures["optimizer_steps"] = steps
    figures["tokens"] = steps * scale.base_batch * scale.block_size
    figures["losses"] = losses[:: max(1, len(losses) // 10)]
    figures["peak_gib"] = peak_gib()
