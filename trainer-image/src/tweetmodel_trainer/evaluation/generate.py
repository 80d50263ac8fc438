"""Draws sample tweets from a model: all prompts side by side, in batches, each prompt padded on its left.

A sample that says nothing, or that says a blocked word, is drawn anew a few times.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from tweetmodel_api.spec import Generation
from tweetmodel_trainer.data.normalize import collapse_whitespace
from tweetmodel_trainer.evaluation.sample import Sample
from tweetmodel_trainer.models.tokens import context_of, encode

SHORTEST_TOKENS = 10
TOP_K = 50
"""Both as huggingtweets drew: min_length=10, prompt and <|endoftext|> included, and transformers' default top_k."""
DRAWS = 3
"""How often a sample is drawn at most."""
BATCH = 16
"""Samples drawn side by side: one pass over the weights serves them all; more would take memory for little speed."""

_BIDI_CONTROLS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Embeddings, overrides and isolates: left open they turn round the text that follows (Trojan Source, 2021)."""


@dataclass(frozen=True)
class Draw:
    """Draws the next token by temperature, top-k and top-p, and leaves no other: a LogitsProcessor of transformers.

    The distribution is that of transformers' own (top-p: Holtzman et al., arXiv:1904.09751), which sorts the whole
    vocabulary and draws from it; here both are done to the few that top-k leaves, which saves a CPU much of its time.
    """

    temperature: float
    top_p: float
    top_k: int = TOP_K

    def __call__(self, _: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of [batch, vocabulary], of which one in each row stays finite."""
        likeliest, tokens = scores.topk(min(self.top_k, scores.shape[-1]))
        shares = (likeliest / self.temperature).softmax(-1)
        likelier = shares.cumsum(-1) - shares
        drawn = torch.multinomial(shares.masked_fill(likelier >= self.top_p, 0.0), 1)
        return torch.full_like(scores, -torch.inf).scatter(-1, tokens.gather(-1, drawn), 0.0)


@dataclass(frozen=True)
class LongEnough:
    """Forbids the end of a row that is too short: a LogitsProcessor of transformers, whose own counts padding too."""

    end: int
    padding: torch.Tensor
    """Tokens before each row, which count for nothing."""
    shortest: int = SHORTEST_TOKENS

    def __call__(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of [batch, vocabulary]."""
        short = tokens.shape[-1] - self.padding < self.shortest
        scores[:, self.end].masked_fill_(short, -torch.inf)
        return scores


def sampling(generation: Generation, tokenizer: PreTrainedTokenizerBase, context: int) -> GenerationConfig:
    """How a model draws by itself, as huggingtweets' did; what the base model's settings were does not matter."""
    longest, end = min(generation.max_new_tokens, context), tokenizer.eos_token_id
    return GenerationConfig(
        do_sample=True,
        temperature=max(float(generation.temperature), 1e-3),
        top_p=min(max(float(generation.top_p), 1e-3), 1.0),
        top_k=TOP_K,
        min_length=min(SHORTEST_TOKENS, longest),
        max_length=longest,
        bos_token_id=end,  # posts come after it
        eos_token_id=end,
        pad_token_id=end,
    )


@torch.inference_mode()
def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, generation: Generation, seed: int
) -> list[Sample]:
    """Draws `generation.samples_per_prompt` tweets for each prompt; the same seed draws the same on the same machine.

    Of a prompt that leaves no room in the model's context its end is read alone. A sample that still says a
    blocked word at the last draw is left out; one that still says nothing is its prompt.
    """
    model.eval()
    set_seed(seed)
    prompts = [prompt for prompt in generation.prompts for _ in range(generation.samples_per_prompt)]
    texts = [""] * len(prompts)
    for _ in range(DRAWS):
        open_ = [index for index, text in enumerate(texts) if not text or is_blocked(text, generation.blocked_words)]
        for index, text in zip(open_, _draw(model, tokenizer, generation, [prompts[i] for i in open_]), strict=True):
            texts[index] = text
    told = (Sample(prompt, text or printable(prompt)) for prompt, text in zip(prompts, texts, strict=True))
    return [sample for sample in told if not is_blocked(sample.text, generation.blocked_words)]


def _draw(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, generation: Generation, prompts: Sequence[str]
) -> Iterator[str]:
    """A tweet for each prompt, which it begins with; an empty text where the model added nothing."""
    end = tokenizer.eos_token_id
    context = context_of(model)
    room = min(generation.max_new_tokens, context // 2)
    how = sampling(generation, tokenizer, context)
    draw = Draw(how.temperature, how.top_p, how.top_k)
    starts = [[end, *ids[-(context - room - 1) :]] for ids in encode(tokenizer, list(prompts))]
    for at in range(0, len(starts), BATCH):
        batch = starts[at : at + BATCH]
        width = max(map(len, batch))
        given = torch.tensor([[end] * (width - len(row)) + row for row in batch], device=model.device)
        padding = torch.tensor([width - len(row) for row in batch], device=model.device)
        drawn = model.generate(
            given,
            attention_mask=(torch.arange(width, device=model.device) >= padding[:, None]).long(),
            generation_config=GenerationConfig(
                do_sample=False,  # `draw` has left one token to choose
                max_new_tokens=room,
                eos_token_id=end,
                pad_token_id=end,
            ),
            logits_processor=LogitsProcessorList([LongEnough(end, padding), draw]),
        )
        # A tokenizer like Llama's puts a space before a word unless the text begins with it: new tokens are no text.
        read, said = (_texts(tokenizer, tokens) for tokens in (given, drawn))
        for prompt, begin, whole in zip(prompts[at : at + BATCH], read, said, strict=True):
            text = whole[len(begin) :]
            yield printable(prompt + text) if printable(text) else ""


def _texts(tokenizer: PreTrainedTokenizerBase, tokens: torch.Tensor) -> list[str]:
    told: list[str] = tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return told


def is_blocked(text: str, words: Sequence[str]) -> bool:
    """Whether a text says one of these words: whole words, whatever their case."""
    said = text.casefold()
    return any(re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", said) for word in words)


def printable(text: str) -> str:
    """One line without control characters, turns of direction, and the marks of bytes that are no character."""
    return collapse_whitespace("".join(c for c in collapse_whitespace(text) if _is_printable(c)))


def _is_printable(character: str) -> bool:
    if character == "\ufffd" or ord(character) in _BIDI_CONTROLS:
        return False
    return unicodedata.category(character) not in ("Cc", "Cs")
