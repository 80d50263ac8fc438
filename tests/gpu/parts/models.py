"""Models and clocks of the parts that train. Importing this module loads PyTorch and the trainer."""

import gc
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from parts.bench import SEED, Bench
from recipes import DEVICE, synchronize
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.training.blocks import BlockLayout, Blocks

disable_progress_bar()
set_verbosity_error()


def load_base(bench: Bench) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a new copy of the base model on the device, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(bench.base).to(DEVICE)
    return model, AutoTokenizer.from_pretrained(bench.base)


def blocks_of(bench: Bench, posts: list[Post], tokenizer: PreTrainedTokenizerBase, epochs: int | None = None) -> Blocks:
    """Return the blocks of posts over all epochs, or over a number of epochs."""
    layout = BlockLayout(epochs or bench.scale.epochs, bench.scale.block_size, SEED)
    return Blocks(posts, tokenizer, layout)


@contextmanager
def timed(figures: MutableMapping[str, Any], name: str) -> Iterator[None]:
    """Store the seconds of the body, until the device has finished."""
    synchronize()
    started = time.perf_counter()
    yield
    synchronize()
    figures[name] = round(time.perf_counter() - started, 3)


def peak_gib() -> float:
    """Return the peak of allocated GPU memory in GiB since the last reset; 0 on a CPU."""
    if DEVICE == "cpu":
        return 0.0
    return round(torch.cuda.max_memory_allocated() / 2**30, 2)


def reset_peak() -> None:
    """Free unused memory and start a new measurement of the peak."""
    gc.collect()  # a Trainer and its model refer to each other
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
