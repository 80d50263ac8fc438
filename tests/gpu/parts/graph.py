"""The optimizer step as one CUDA graph: forward, backward, clipping and AdamW, captured once and replayed.

The learning rate is a tensor, so it can change between replays. The eager step is the baseline.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from parts.bench import LEARNING_RATE, SEED, Bench, Figures
from parts.models import blocks_of, load_base, peak_gib, reset_peak, timed
from recipes import DEVICE
from tweetmodel_trainer.evaluation.scoring import score_texts

WARM_UP_STEPS = 3


def measure(bench: Bench, figures: Figures) -> None:
    """Train with the eager step and with the captured step, and compare speed and held-out loss."""
    train, held_out = bench.posts()
    _, tokenizer = load_base(bench)
    blocks = blocks_of(bench, train, tokenizer)
    rows = [blocks.tokens(number).long().to(DEVICE) for number in range(len(blocks))]
    # Under another name transformers creates no mask, whose check for padding would wait for the device.
    AttentionInterface.register("causal_sdpa", sdpa_attention_forward)
    for mode in ("eager", "graph") if DEVICE == "cuda" else ("eager",):
        model, _ = load_base(bench)
        model.set_attn_implementation("causal_sdpa")
        seconds = _train(model, rows, captured=mode == "graph", figures=figures)
        model.set_attn_implementation("sdpa")
        figures[mode] = {
            "seconds": seconds,
            "tokens_per_second": round(len(rows) * blocks.size / seconds),
            "heldout_loss": round(score_texts(model, tokenizer, held_out).loss, 4),
            "peak_gib": peak_gib(),
        }
        reset_peak()


class Step:
    """One optimizer step with a static input."""

    def __init__(self, model: PreTrainedModel, size: int) -> None:
        self.model = model
        self.weights = list(model.parameters())
        self.rate = torch.tensor(LEARNING_RATE, device=DEVICE)
        self.input = torch.zeros(1, size, dtype=torch.long, device=DEVICE)
        self.optimizer = torch.optim.AdamW(self.weights, lr=self.rate, fused=True, capturable=DEVICE == "cuda")

    def __call__(self) -> None:
        with torch.autocast(DEVICE, torch.bfloat16):
            loss = self.model(input_ids=self.input, labels=self.input).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()

    def clear_gradients(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)


def _train(model: PreTrainedModel, rows: list[torch.Tensor], captured: bool, figures: Figures) -> float:
    """Train on all rows; return the seconds of the loop."""
    model.config.use_cache = False
    model.train()
    torch.manual_seed(SEED)
    step = Step(model, len(rows[0]))
    play: Callable[[], Any] = _capture(step, figures) if captured else step
    seconds: dict[str, float] = {}
    with timed(seconds, "loop"):
        for number, row in enumerate(rows):
            step.input.copy_(row[None], non_blocking=True)
            step.rate.fill_(LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * number / len(rows))))
            play()
            if not captured:
                step.clear_gradients()
    return seconds["loop"]


def _capture(step: Step, figures: Figures) -> Callable[[], Any]:
    """Return the replay of the captured step. Warming up leaves weights, moments and random state unchanged."""
    weights = [weight.detach().clone() for weight in step.weights]
    step.rate.zero_()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_STEPS):
            step()
            step.clear_gradients()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with timed(figures, "capture_seconds"), torch.cuda.graph(graph):
        step()
    for state in step.optimizer.state.values():
        for value in state.values():
            value.zero_()
    with torch.no_grad():
        for weight, original in zip(step.weights, weights, strict=True):
            weight.copy_(original)
    torch.manual_seed(SEED)
    return graph.replay
