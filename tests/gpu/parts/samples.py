"""Seconds and memory of ten and sixty samples, in batches of different sizes."""

from unittest import mock

import torch

from parts.bench import Bench, Figures
from parts.models import load_base, peak_gib, reset_peak, timed
from tweetmodel_api.spec import Generation
from tweetmodel_trainer.evaluation import sampling

SEED = 1
BATCH_SIZES = (16, 60)


def measure(bench: Bench, figures: Figures) -> None:
    """Draw samples in bfloat16 as a run does."""
    model, tokenizer = load_base(bench)
    model.to(torch.bfloat16)
    scale = bench.scale
    warm_up = Generation(samples_per_prompt=1, prompts=("",), max_new_tokens=8)
    ten = Generation(samples_per_prompt=scale.samples_per_prompt, prompts=("",), max_new_tokens=scale.max_new_tokens)
    sixty = Generation(samples_per_prompt=scale.samples_per_prompt, max_new_tokens=scale.max_new_tokens)
    sampling.draw_samples(model, tokenizer, warm_up, SEED)
    with timed(figures, "ten"):
        sampling.draw_samples(model, tokenizer, ten, SEED)
    for size in BATCH_SIZES:
        with mock.patch.object(sampling, "BATCH_SIZE", size), timed(figures, f"sixty_in_batches_of_{size}"):
            sampling.draw_samples(model, tokenizer, sixty, SEED)
        figures[f"peak_gib_{size}"] = peak_gib()
        reset_peak()
