"""Scores a model on held-out posts.

Each post is scored separately. The input begins with the end-of-text token, and the end-of-text token after the post
is scored too. The scores therefore do not depend on the packing of posts into training blocks.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tweetmodel_trainer.evaluation.scores import Scores
from tweetmodel_trainer.models.tokens import context_length, encode

MAX_BATCH_TOKENS = 4096
MAX_BATCH_LOGITS = 1 << 26
"""Maximum number of logits in a batch (256 MiB in float32), a limit for large vocabularies."""
MIN_SEQUENCE_TOKENS = 64
"""Length up to which a sequence is not split, even if its logits exceed `MAX_BATCH_LOGITS`."""
IGNORE_INDEX = -100
"""Label of tokens without loss, as in transformers."""


def score_accounts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Mapping[str, Sequence[str]]
) -> dict[str, Scores]:
    """Return the scores of a model on the texts of each account."""
    return {handle: score_texts(model, tokenizer, written) for handle, written in texts.items()}


@torch.inference_mode()
def score_texts(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Scores:
    """Return the scores of a model on texts.

    A text that exceeds the context of the model or the limit of a batch is split. Each piece begins with the last
    token of the previous piece, so that every token is scored once.
    """
    model.eval()
    end = tokenizer.eos_token_id
    max_tokens = min(MAX_BATCH_TOKENS, MAX_BATCH_LOGITS // model.config.get_text_config().vocab_size)
    max_length = min(context_length(model), max(max_tokens, MIN_SEQUENCE_TOKENS))
    closed = ([end, *ids, end] for ids in encode(tokenizer, texts))
    sequences = [ids[at : at + max_length] for ids in closed for at in range(0, len(ids) - 1, max_length - 1)]
    nats, tokens = 0.0, 0
    for batch in _batches(sequences, max_tokens):
        width = max(map(len, batch))
        inputs = torch.tensor([row + [end] * (width - len(row)) for row in batch], device=model.device)
        lengths = torch.tensor([len(row) for row in batch], device=model.device)
        mask = torch.arange(width, device=model.device) < lengths[:, None]
        targets = inputs.masked_fill(~mask, IGNORE_INDEX)[:, 1:]
        logits = model(input_ids=inputs, attention_mask=mask.long()).logits[:, :-1].float()
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE_INDEX, reduction="sum")
        nats += loss.item()
        tokens += int((targets != IGNORE_INDEX).sum())
    return Scores(nats, tokens, sum(len(text.encode()) for text in texts))


def _batches(sequences: list[list[int]], max_tokens: int) -> Iterator[list[list[int]]]:
    """Yield batches of sequences of similar length, with little padding.

    A batch has at most `max_tokens` tokens including padding, or consists of a single sequence.
    """
    batch: list[list[int]] = []
    for sequence in sorted(sequences, key=len):
        if batch and (len(batch) + 1) * len(sequence) > max_tokens:
            yield batch
            batch = []
        batch.append(sequence)
    if batch:
        yield batch
