"""Draws sample tweets from a model, all samples of a prompt at once."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from tweetmodel_api.spec import Generation
from tweetmodel_trainer.clean import collapse_space, strip_controls

SHORTEST_TOKENS = 10
TOP_K = 50
"""Both as huggingtweets drew: min_length=10, and transformers' default top_k."""


@dataclass(frozen=True)
class Sample:
    """One tweet that the model wrote."""

    prompt: str
    text: str
    """The prompt included."""


@torch.inference_mode()
def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, generation: Generation, seed: int
) -> list[Sample]:
    """Draws `generation.samples` tweets for each prompt; the same seed draws the same on the same machine."""
    model.eval()
    set_seed(seed)
    end = tokenizer.eos_token_id
    context = getattr(model.config, "max_position_embeddings", 1024)
    samples = []
    for prompt in generation.prompts:
        words = tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else []
        start = [end, *words][: context - SHORTEST_TOKENS]
        room = min(generation.max_tokens, context - len(start))
        inputs = torch.tensor([start], device=model.device)
        drawn = model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            do_sample=True,
            num_return_sequences=generation.samples,
            max_new_tokens=room,
            min_new_tokens=min(SHORTEST_TOKENS, room),
            temperature=max(float(generation.temperature), 1e-3),
            top_p=min(max(float(generation.top_p), 1e-3), 1.0),
            top_k=TOP_K,
            eos_token_id=end,
            pad_token_id=end,
        )
        texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
        samples += [Sample(prompt, collapse_space(strip_controls(text))) for text in texts]
    return samples
