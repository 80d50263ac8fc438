"""Brings the model to start from: from the Hub, from a bucket, or a new one.

Weights come as safetensors alone. A pickle runs code when it is read, so a folder that has only such is refused.
What transformers would load with a warning is refused too: weights that are missing would be random, and a model
that sees the tokens to come would score perfectly and write nothing.
"""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import BaseModelSource, S3Model, ScratchModel
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.models import hub_model
from tweetmodel_trainer.models.cache import NO_CACHE, Cache
from tweetmodel_trainer.models.tokens import train_tokenizer
from tweetmodel_trainer.storage import IncompleteFolder, Storage

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]

PRESETS = {
    "Tiny": {"vocabulary": 1024, "n_layer": 2, "n_head": 4, "n_embd": 128, "n_positions": 256},
    "Small": {"vocabulary": 4096, "n_layer": 6, "n_head": 6, "n_embd": 192, "n_positions": 512},
}

NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
"""A new model is too small and reads its posts too few times to learn them by heart: dropout only slows it."""


def pinned(source: BaseModelSource) -> BaseModelSource:
    """The source with a commit in place of a branch or tag of the Hub, which may come to mean another model.

    Raises:
        Failure: BaseModelMissing or HubUnreachable.
    """
    if not source.hub:
        return source
    return BaseModelSource(hub=source.hub.model_copy(update={"revision": hub_model.commit_of(source.hub)}))


def load(
    source: BaseModelSource, storage: Storage, texts: Sequence[str], folder: Path, cache: Cache = NO_CACHE
) -> Loaded:
    """The model and its tokenizer, weights in float32.

    Args:
        source: spec.baseModel.
        storage: where `s3` is read.
        texts: what a new tokenizer is learnt from.
        folder: where downloads go.
        cache: what was downloaded before, by any pod.

    Raises:
        Failure: BaseModelMissing, BaseModelInvalid, HubUnreachable, or what `storage` raises.
    """
    if source.hub:
        hub_model.fetch(source.hub, folder, cache)
        return _read(folder, source.hub.name)
    if source.s3:
        _from_s3(source.s3, storage, folder, cache)
        return _read(folder, source.s3.uri)
    return _scratch(source.scratch or ScratchModel(), texts)


def _scratch(source: ScratchModel, texts: Sequence[str]) -> Loaded:
    shape = dict(PRESETS[source.preset])
    tokenizer = train_tokenizer(texts, shape.pop("vocabulary"))
    end = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end, pad_token_id=end, **NO_DROPOUT, **shape
    )
    return GPT2LMHeadModel(config), tokenizer


def _from_s3(source: S3Model, storage: Storage, folder: Path, cache: Cache) -> None:
    found = (name for name in storage.names(source.uri) if "/" not in name)
    names = [name for name in found if any(fnmatch(name, pattern) for pattern in hub_model.FILES)]
    if "config.json" not in names:
        sentence = f"{source.uri} holds no config.json: correct baseModel.s3.uri, or upload the model's folder."
        raise Failure(Reason.BASE_MODEL_MISSING, sentence)
    uri = source.uri.rstrip("/")
    if storage.manifest(uri):  # a model that was made here
        try:
            storage.fetch(uri, folder, cache)
        except IncompleteFolder as error:
            sentence = f"the model is damaged ({error}): choose another, or set training.warmStart to false."
            raise Failure(Reason.BASE_MODEL_INVALID, sentence) from None
        return
    for name in names:
        storage.download(f"{uri}/{name}", folder / name, missing=Reason.BASE_MODEL_MISSING)


def _read(folder: Path, named: str) -> Loaded:
    if not list(folder.glob("*.safetensors")):
        sentence = f"{named} has no safetensors weights: save it again with save_pretrained, or choose another."
        raise Failure(Reason.BASE_MODEL_INVALID, sentence)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model, loading = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # transformers raises whatever its parts raise; for a user it is one thing
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        sentence = f"{named} can't be loaded as a causal language model ({why[:300]}): choose another."
        raise Failure(Reason.BASE_MODEL_INVALID, sentence) from None
    if tokenizer.eos_token_id is None:
        raise Failure(Reason.BASE_MODEL_INVALID, f"the tokenizer of {named} has no end-of-text token: choose another.")
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        sentence = f"the tokenizer of {named} has more tokens than its model: put both from one source there."
        raise Failure(Reason.BASE_MODEL_INVALID, sentence)
    absent = sorted({*loading["missing_keys"], *loading["mismatched_keys"]}, key=str)
    if absent:
        sentence = f"{named} lacks {len(absent)} of its weights, such as {absent[0]}: choose another."
        raise Failure(Reason.BASE_MODEL_INVALID, sentence)
    try:
        forward = reads_forward(model)
    except Exception as error:  # as above: whatever its parts raise
        sentence = f"{named} can't be run ({type(error).__name__}): choose another."
        raise Failure(Reason.BASE_MODEL_INVALID, sentence) from None
    if not forward:
        sentence = f"{named} sees the words to come, so it can't write: choose a causal language model."
        raise Failure(Reason.BASE_MODEL_INVALID, sentence)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


@torch.inference_mode()
def reads_forward(model: PreTrainedModel) -> bool:
    """Whether what a model expects at each place is the same whatever comes later."""
    tokens = torch.arange(8) % model.get_input_embeddings().num_embeddings
    model.eval()
    first, second = (
        model(input_ids=ids[None]).logits[0, :-1]
        for ids in (tokens, tokens.clone().index_fill_(0, torch.tensor([7]), 0))
    )
    # A model that looks ahead differs by its logits' own size; a mixture of experts by rounding.
    return bool((first - second).abs().max().nan_to_num() <= 1e-4 * first.abs().max().nan_to_num(posinf=0) + 1e-6)
