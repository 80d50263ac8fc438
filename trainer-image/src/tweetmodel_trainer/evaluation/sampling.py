"""Draws sample tweets from a model: all prompts in batches, each prompt padded on the left.

Empty samples and samples with a blocked word are drawn again, up to `MAX_DRAWS` draws. Samples are a function of
weights, precision, spec.generation and seed on the same hardware and software, so the train step and the sample step
draw the same samples.
"""

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
from tweetmodel_trainer.evaluation.sample import Sample, SamplingSettings, contains_blocked_word, printable
from tweetmodel_trainer.models.tokens import context_length, encode

MIN_TOKENS = 10
"""Minimum length of a sample, including prompt and end-of-text token (min_length=10 in huggingtweets)."""
TOP_K = 50
"""Default of transformers at the time of huggingtweets."""
MAX_DRAWS = 3
BATCH_SIZE = 16
"""Samples per batch: all samples of a batch share each read of the weights; more would take memory for little speed."""


@dataclass(frozen=True)
class TopKTopPSampler:
    """Samples the next token by temperature, top-k and top-p; a LogitsProcessor of transformers.

    The processor masks all tokens except the sampled token, which greedy decoding then chooses. The distribution equals
    that of transformers (top-p: Holtzman et al., arXiv:1904.09751). transformers sorts the whole vocabulary, whereas
    this class processes only the tokens after top-k and saves a CPU most of the time.
    """

    temperature: float
    top_p: float
    top_k: int = TOP_K

    def __call__(self, _: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores of shape [batch, vocabulary] with a single finite value per row."""
        top_scores, tokens = scores.topk(min(self.top_k, scores.shape[-1]))
        probabilities = (top_scores / self.temperature).softmax(-1)
        preceding = probabilities.cumsum(-1) - probabilities
        sampled = torch.multinomial(probabilities.masked_fill(preceding >= self.top_p, 0.0), 1)
        return torch.full_like(scores, -torch.inf).scatter(-1, tokens.gather(-1, sampled), 0.0)


@dataclass(frozen=True)
class MinLengthProcessor:
    """Masks the end-of-text token in rows that are too short; a LogitsProcessor of transformers.

    The processor of the same purpose in transformers counts padding as text.
    """

    end: int
    """Id of the end-of-text token."""
    padding: torch.Tensor
    """Number of padding tokens before each row, shape [batch]."""
    min_tokens: int = MIN_TOKENS

    def __call__(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores of shape [batch, vocabulary]."""
        too_short = tokens.shape[-1] - self.padding < self.min_tokens
        scores[:, self.end].masked_fill_(too_short, -torch.inf)
        return scores


def generation_config(
    generation: Generation, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> GenerationConfig:
    """Return the configuration with which transformers samples as spec.generation requests.

    The configuration of the base model has no effect.
    """
    settings, end = SamplingSettings.of(generation, context_length(model)), tokenizer.eos_token_id
    return GenerationConfig(
        do_sample=True,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=TOP_K,
        min_length=min(MIN_TOKENS, settings.max_new_tokens),
        max_new_tokens=settings.max_new_tokens,
        bos_token_id=end,  # in training every post follows an end-of-text token
        eos_token_id=end,
        pad_token_id=end,
    )


@torch.inference_mode()
def draw_samples(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, generation: Generation, seed: int
) -> list[Sample]:
    """Return `generation.samples_per_prompt` samples for each prompt.

    The model reads only the end of a prompt beyond the context. After the last draw, samples with a blocked word are
    left out, and empty samples consist of their prompts.

    Args:
        model: model in the precision of the samples; the generation configuration of the model is replaced.
        tokenizer: tokenizer of the model.
        generation: spec.generation.
        seed: seed of the random number generators.
    """
    model.eval()
    model.generation_config = generation_config(generation, model, tokenizer)
    set_seed(seed)
    blocked = generation.blocked_words
    prompts = [prompt for prompt in generation.prompts for _ in range(generation.samples_per_prompt)]
    texts = [""] * len(prompts)
    for _ in range(MAX_DRAWS):
        rejected = [index for index, text in enumerate(texts) if not text or contains_blocked_word(text, blocked)]
        redrawn = _draw_texts(model, tokenizer, generation, [prompts[index] for index in rejected])
        for index, text in zip(rejected, redrawn, strict=True):
            texts[index] = text
    return _to_samples(prompts, texts, blocked)


def _to_samples(prompts: Sequence[str], texts: Sequence[str], blocked: Sequence[str]) -> list[Sample]:
    samples = (Sample(prompt, text or printable(prompt)) for prompt, text in zip(prompts, texts, strict=True))
    return [sample for sample in samples if not contains_blocked_word(sample.text, blocked)]


def _draw_texts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, generation: Generation, prompts: Sequence[str]
) -> Iterator[str]:
    """Yield a text for each prompt, including the prompt; an empty text if the model added nothing printable."""
    end, context = tokenizer.eos_token_id, context_length(model)
    settings = SamplingSettings.of(generation, context)
    sampler = TopKTopPSampler(settings.temperature, settings.top_p)
    max_prompt_tokens = context - settings.max_new_tokens - 1
    rows = [[end, *ids[-max_prompt_tokens:]] for ids in encode(tokenizer, list(prompts))]
    for start in range(0, len(rows), BATCH_SIZE):
        batch = rows[start : start + BATCH_SIZE]
        width = max(map(len, batch))
        inputs = torch.tensor([[end] * (width - len(row)) + row for row in batch], device=model.device)
        padding = torch.tensor([width - len(row) for row in batch], device=model.device)
        outputs = model.generate(
            inputs,
            attention_mask=(torch.arange(width, device=model.device) >= padding[:, None]).long(),
            generation_config=GenerationConfig(
                do_sample=False,  # the sampler leaves a single token
                max_new_tokens=settings.max_new_tokens,
                eos_token_id=end,
                pad_token_id=end,
            ),
            logits_processor=LogitsProcessorList([MinLengthProcessor(end, padding), sampler]),
        )
        # Tokenizers like Llama's decode a leading space only within a text, so new tokens are not decoded separately.
        decoded = zip(_decode(tokenizer, inputs), _decode(tokenizer, outputs), strict=True)
        for prompt, (beginning, whole) in zip(prompts[start : start + BATCH_SIZE], decoded, strict=True):
            new_text = whole[len(beginning) :]
            yield printable(prompt + new_text) if printable(new_text) else ""


def _decode(tokenizer: PreTrainedTokenizerBase, tokens: torch.Tensor) -> list[str]:
    texts: list[str] = tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return texts
