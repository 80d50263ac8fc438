"""Loads the base model of a run: from the Hugging Face Hub, from a bucket, or newly initialized.

Only safetensors weights are loaded, since unpickling executes code. The module also rejects models that transformers
loads with a warning or without one: missing weights would be random, and a model that attends to future tokens would
have a perfect score and generate nothing useful.
"""

from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

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
from tweetmodel_trainer.model_cache import NO_CACHE, Cache
from tweetmodel_trainer.models import hub_model
from tweetmodel_trainer.models.license import CARD
from tweetmodel_trainer.models.tokens import train_tokenizer
from tweetmodel_trainer.storage import IncompleteFolder, Storage

ModelAndTokenizer = tuple[PreTrainedModel, PreTrainedTokenizerBase]

PRESETS = {
    "Tiny": {"vocabulary": 1024, "n_layer": 2, "n_head": 4, "n_embd": 128, "n_positions": 256},
    "Small": {"vocabulary": 4096, "n_layer": 6, "n_head": 6, "n_embd": 192, "n_positions": 512},
}

NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
"""A new model is small and reads each post a few times: dropout would slow the training without other effects."""

MAX_CAUSE_CHARACTERS = 300


def pin_revision(source: BaseModelSource) -> BaseModelSource:
    """Return the source with a commit instead of a branch or tag of the Hub, which may change later.

    Raises:
        Failure: BaseModelMissing or HubUnreachable.
    """
    if not source.hub:
        return source
    return BaseModelSource(hub=source.hub.model_copy(update={"revision": hub_model.resolve_commit(source.hub)}))


def load(
    source: BaseModelSource, storage: Storage, texts: Sequence[str], folder: Path, cache: Cache = NO_CACHE
) -> ModelAndTokenizer:
    """Return the base model with float32 weights, and its tokenizer.

    Args:
        source: spec.baseModel.
        storage: storage of the spec, for `s3`.
        texts: training texts of the tokenizer of a new model.
        folder: folder for downloaded files.
        cache: model files of earlier downloads.

    Raises:
        Failure: BaseModelMissing, BaseModelInvalid, HubUnreachable, or a failure of the storage.
    """
    if source.hub:
        hub_model.download(source.hub, folder, cache)
        return _load_and_check(folder, source.hub.name)
    if source.s3:
        _download_from_s3(source.s3, storage, folder, cache)
        return _load_and_check(folder, source.s3.uri)
    return _new_model(source.scratch or ScratchModel(), texts)


def load_folder(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Any]]:
    """Return the model in a folder with float32 weights, the tokenizer, and the loading info of transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model, loading_info = AutoModelForCausalLM.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
    )
    return model, tokenizer, loading_info


def _new_model(source: ScratchModel, texts: Sequence[str]) -> ModelAndTokenizer:
    shape = dict(PRESETS[source.preset])
    tokenizer = train_tokenizer(texts, shape.pop("vocabulary"))
    end = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end, pad_token_id=end, **NO_DROPOUT, **shape
    )
    return GPT2LMHeadModel(config), tokenizer


def _download_from_s3(source: S3Model, storage: Storage, folder: Path, cache: Cache) -> None:
    found = (name for name in storage.names(source.uri) if "/" not in name)
    names = [name for name in found if any(fnmatch(name, pattern) for pattern in hub_model.FILE_PATTERNS)]
    if "config.json" not in names:
        message = f"{source.uri} has no config.json: correct baseModel.s3.uri, or upload the folder of the model."
        raise Failure(Reason.BASE_MODEL_MISSING, message)
    uri = source.uri.rstrip("/")
    if storage.manifest(uri):
        _download_run(uri, storage, folder, cache)
        return
    for name in names:
        storage.download_object(f"{uri}/{name}", folder / name, missing=Reason.BASE_MODEL_MISSING)


def _download_run(uri: str, storage: Storage, folder: Path, cache: Cache) -> None:
    """Download the model of a TweetModel's run, and the model card with the license."""
    try:
        storage.download_folder(uri, folder, cache)
    except IncompleteFolder as error:
        message = f"the base model is damaged ({error}): choose another base model, or set training.warmStart to false."
        raise Failure(Reason.BASE_MODEL_INVALID, message) from None
    with suppress(Failure):  # the license is optional
        storage.download_object(f"{uri.rpartition('/')[0]}/page/{CARD}", folder / CARD)


def _load_and_check(folder: Path, name: str) -> ModelAndTokenizer:
    if not list(folder.glob("*.safetensors")):
        message = f"{name} has no safetensors weights: save it again with save_pretrained, or choose another model."
        raise Failure(Reason.BASE_MODEL_INVALID, message)
    try:
        model, tokenizer, loading_info = load_folder(folder)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # transformers raises errors of all its dependencies
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        cause = cause[:MAX_CAUSE_CHARACTERS]
        message = f"{name} can't be loaded as a causal language model ({cause}): choose another model."
        raise Failure(Reason.BASE_MODEL_INVALID, message) from None
    _check_tokenizer(name, model, tokenizer)
    _check_weights(name, loading_info)
    _check_causal(name, model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def _check_tokenizer(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    if tokenizer.eos_token_id is None:
        message = f"the tokenizer of {name} has no end-of-text token: choose another model."
        raise Failure(Reason.BASE_MODEL_INVALID, message)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        message = f"the tokenizer of {name} has more tokens than the model: upload both from the same source."
        raise Failure(Reason.BASE_MODEL_INVALID, message)


def _check_weights(name: str, loading_info: dict[str, Any]) -> None:
    absent = sorted({*loading_info["missing_keys"], *loading_info["mismatched_keys"]}, key=str)
    if absent:
        message = f"{name} lacks {len(absent)} of its weights, such as {absent[0]}: choose another model."
        raise Failure(Reason.BASE_MODEL_INVALID, message)


def _check_causal(name: str, model: PreTrainedModel) -> None:
    try:
        causal = is_causal(model)
    except Exception as error:  # transformers raises errors of all its dependencies
        message = f"{name} can't be run ({type(error).__name__}): choose another model."
        raise Failure(Reason.BASE_MODEL_INVALID, message) from None
    if not causal:
        message = f"{name} is not a causal language model (it attends to future tokens): choose another model."
        raise Failure(Reason.BASE_MODEL_INVALID, message)


@torch.inference_mode()
def is_causal(model: PreTrainedModel) -> bool:
    """Return whether the predictions of a model do not depend on later tokens."""
    tokens = torch.arange(8) % model.get_input_embeddings().num_embeddings
    changed = tokens.clone().index_fill_(0, torch.tensor([7]), 0)
    model.eval()
    first, second = (model(input_ids=ids[None]).logits[0, :-1] for ids in (tokens, changed))
    difference = (first - second).abs().max().nan_to_num()
    magnitude = first.abs().max().nan_to_num(posinf=0)
    # Attention to later tokens changes logits by their own magnitude; mixtures of experts differ by rounding errors.
    return bool(difference <= 1e-4 * magnitude + 1e-6)
