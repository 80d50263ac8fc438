"""One of several runs on a card: reports when it is ready, waits for a line of its input, and trains."""

import json
import time

from parts.bench import Bench, Figures
from parts.models import blocks_of, load_base
from recipes import train_default


def measure(bench: Bench, _: Figures) -> None:
    """Print "ready", wait, train, and print the times."""
    train, _ = bench.posts()
    model, tokenizer = load_base(bench)
    train_default(model, blocks_of(bench, train[: bench.scale.warm_up_posts], tokenizer, epochs=1))
    blocks = blocks_of(bench, train, tokenizer)
    print("ready", flush=True)
    input()
    started = time.time()
    train_default(model, blocks)
    print(json.dumps({"started": started, "ended": time.time(), "tokens": len(blocks) * blocks.size}))
