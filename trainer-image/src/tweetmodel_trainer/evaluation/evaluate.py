"""How well a model predicts posts it has not seen.

Each post is read on its own after the end-of-text token and scored up to and including the one that closes it,
so the figure does not depend on how posts were packed for training.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tweetmodel_trainer.evaluation.scores import Scores
from tweetmodel_trainer.models.tokens import context_of, encode

BATCH_TOKENS = 4096
BATCH_LOGITS = 1 << 26
"""At most so many at a time, 256 MiB of float32, however large the vocabulary."""
IGNORED = -100


def evaluate_each(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Mapping[str, Sequence[str]]
) -> dict[str, Scores]:
    """Scores a model on the texts of each account."""
    return {handle: evaluate(model, tokenizer, written) for handle, written in texts.items()}


@torch.inference_mode()
def evaluate(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Scores:
    """Scores a model on texts.

    A text that is longer than the model's context, or than fits memory at once, is read in pieces, each after the
    last token of the one before, so that every token is scored once.
    """
    model.eval()
    end = tokenizer.eos_token_id
    most = min(BATCH_TOKENS, BATCH_LOGITS // model.config.get_text_config().vocab_size)
    longest = min(context_of(model), max(most, 64))
    whole = ([end, *ids, end] for ids in encode(tokenizer, texts))
    sequences = [ids[at : at + longest] for ids in whole for at in range(0, len(ids) - 1, longest - 1)]
    nats, tokens = 0.0, 0
    for batch in _batches(sequences, most):
        width = max(map(len, batch))
        inputs = torch.tensor([row + [end] * (width - len(row)) for row in batch], device=model.device)
        lengths = torch.tensor([len(row) for row in batch], device=model.device)
        mask = torch.arange(width, device=model.device) < lengths[:, None]
        targets = inputs.masked_fill(~mask, IGNORED)[:, 1:]
        logits = model(input_ids=inputs, attention_mask=mask.long()).logits[:, :-1].float()
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
        nats += loss.item()
        tokens += int((targets != IGNORED).sum())
    return Scores(nats, tokens, sum(len(text.encode()) for text in texts))


def _batches(sequences: list[list[int]], most: int) -> Iterator[list[list[int]]]:
    """Sequences of like length together, so that little is padding; at most `most` tokens, or one sequence."""
    batch: list[list[int]] = []
    for sequence in sorted(sequences, key=len):
        if batch and (len(batch) + 1) * len(sequence) > most:
            yield batch
            batch = []
        batch.append(sequence)
    if batch:
        yield batch
