"""Draws sample tweets from a model, all samples of a prompt at once."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from tweetmodel_api.spec import Generation
from tweetmodel_trainer.clean import collapse_space
from tweetmodel_trainer.tokens import encode

SHORTEST_TOKENS = 10
TOP_K = 50
"""Both as huggingtweets drew: min_length=10, and transformers' default top_k."""
TOGETHER = 16
"""Samples drawn at a time: more would take memory for little speed."""
DRAWS = 3
"""How often a sample that says nothing is drawn anew."""

_MARKS = {"\ufffd", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


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
    """Draws `generation.samples` tweets for each prompt; the same seed draws the same on the same machine.

    Of a prompt that leaves no room in the model's context its end is read alone.
    """
    model.eval()
    set_seed(seed)
    return [
        Sample(prompt, text) for prompt in generation.prompts for text in _texts(model, tokenizer, generation, prompt)
    ]


def _texts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, generation: Generation, prompt: str
) -> list[str]:
    """Tweets that begin with the prompt; those that add nothing to it are drawn anew a few times, then left out."""
    texts: list[str] = []
    for _ in range(DRAWS):
        wanted = generation.samples - len(texts)
        for count in (min(TOGETHER, wanted - done) for done in range(0, wanted, TOGETHER)):
            texts += [text for text in _draw(model, tokenizer, generation, prompt, count) if text]
        if len(texts) == generation.samples:
            break
    return texts


def _draw(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, generation: Generation, prompt: str, count: int
) -> Iterable[str]:
    end = tokenizer.eos_token_id
    context = getattr(model.config, "max_position_embeddings", 1024)
    room = min(generation.max_tokens, context // 2)
    start = [end, *encode(tokenizer, [prompt])[0][-(context - room - 1) :]]
    inputs = torch.tensor([start], device=model.device)
    drawn = model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        do_sample=True,
        num_return_sequences=count,
        max_new_tokens=room,
        min_new_tokens=min(SHORTEST_TOKENS, room),
        temperature=max(float(generation.temperature), 1e-3),
        top_p=min(max(float(generation.top_p), 1e-3), 1.0),
        top_k=TOP_K,
        eos_token_id=end,
        pad_token_id=end,
    )
    written = tokenizer.batch_decode(drawn[:, len(start) :], skip_special_tokens=True)
    return (printable(prompt + text) if printable(text) else "" for text in written)


def printable(text: str) -> str:
    """One line without control characters, without marks that turn a line's direction or of broken bytes."""
    return "".join(c for c in collapse_space(text) if unicodedata.category(c) not in ("Cc", "Cs") and c not in _MARKS)
