"""What a run does between its data set and its model, all of it on the pod's own disk.

The one module of the chain that `pipeline` imports late, since torch and transformers come with it.
"""

import logging
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import TrainerCallback, set_seed
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.spec import BaseModelSource, TweetModelSpec
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.evaluation.assessment import Assessment, assess
from tweetmodel_trainer.evaluation.evaluate import evaluate_each
from tweetmodel_trainer.evaluation.generate import generate, sampling
from tweetmodel_trainer.evaluation.sample import Sampling
from tweetmodel_trainer.evaluation.scores import total
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.models import base_model, lora
from tweetmodel_trainer.models.cache import Cache
from tweetmodel_trainer.models.tokens import context_of
from tweetmodel_trainer.presentation.run_summary import licence_of
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.storage import Storage
from tweetmodel_trainer.training.blocks import Blocks
from tweetmodel_trainer.training.checkpoints import Checkpoints
from tweetmodel_trainer.training.finetune import Trained, finetune, in_bfloat16

logger = logging.getLogger(__name__)

BASE = "base_model.json"
"""In a checkpoint: the base model, with the commit that a revision was when the run began."""


@dataclass(frozen=True)
class Learnt:
    """What a run leaves besides the model's folder."""

    assessment: Assessment
    parameters: int
    base_licence: str | None
    """As the base model's card names it."""
    base_commit: str | None
    """What the base model's revision was on the Hub when the run began."""
    block_size: int
    """Tokens of a block: as many as the spec says, or as the model reads at once."""
    sampling: Sampling
    bfloat16: bool
    """Whether it was trained in it."""
    steps: int
    kept: int
    """The step that the weights are of."""
    log: list[dict[str, float]]
    resumed_from_step: int | None
    remark: str = ""
    """What a person should know besides, as a sentence."""


@contextmanager
def _within_memory() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise Failure(
            Reason.OUT_OF_MEMORY,
            "the GPU's memory is too small for this: set training.gradientCheckpointing, training.method LoRA, or "
            "lower training.blockSize or training.globalBatchSize.",
        ) from None


@_within_memory()
def learn(
    spec: TweetModelSpec,
    posts: Sequence[Post],
    held_out: Sequence[Post],
    storage: Storage,
    checkpoints: Checkpoints,
    workdir: Path,
    progress: Progress,
    cache: Cache,
    callbacks: Sequence[TrainerCallback] = (),
) -> Learnt:
    """Fine-tunes the base model on `posts`, scores it on `held_out`, draws samples; writes `workdir`/model.

    `callbacks` are told of the training.

    Raises:
        Failure: a GPU can't be used, the base model can't be had, training diverged, or memory is too small.
        Interrupted: a stop was asked for; the latest checkpoint is published.
    """
    disable_progress_bar()
    set_verbosity_error()
    training, unseen = spec.training, by_account(held_out)
    device = _device(spec.gpus)
    set_seed(training.seed)
    step = checkpoints.newest(workdir / "resume")
    base = _base(spec.base_model, workdir / "resume" / BASE)
    model, tokenizer = base_model.load(base, storage, [post.text for post in posts], workdir / "base", cache)
    model.to(device)
    context = context_of(model)
    model.generation_config = drawing = sampling(spec.generation, tokenizer, context)
    size = min(training.block_size, context)
    blocks = Blocks(posts, tokenizer, training.epochs, size, training.seed, spec.weights)
    logger.info("%d posts make %d blocks of %d tokens", len(posts), len(blocks), size)
    before = evaluate_each(model, tokenizer, unseen)
    if not math.isfinite(loss := total(before.values()).loss):
        sentence = f"the base model's loss is {loss} before any training, so it is broken: choose another."
        raise Failure(Reason.BASE_MODEL_INVALID, sentence)
    if training.method == "LoRA":
        model = lora.attach(model, training.lora_rank)
    logger.info("going on from step %d", step) if step else logger.info("starting at step 0")
    trained = finetune(
        model,
        blocks,
        training,
        workdir / "checkpoints",
        workdir / "resume" if step else None,
        partial(_publish, checkpoints, base),
        progress,
        share=(5, 90),
        gpus=max(spec.gpus, 1),
        score=lambda: total(evaluate_each(model, tokenizer, unseen).values()).loss,
        callbacks=callbacks,
    )
    shutil.rmtree(workdir / "resume", ignore_errors=True)  # room for the model
    if training.method == "LoRA":
        model = lora.merge(model)
    progress.report(92)
    after = evaluate_each(model, tokenizer, unseen)
    if not math.isfinite((scores := total(after.values())).loss):
        sentence = f"training diverged (the held-out loss is {scores.loss}): lower training.learningRate."
        raise Failure(Reason.DIVERGED, sentence)
    progress.report(95, loss=scores.loss, perplexity=scores.perplexity)
    model.save_pretrained(workdir / "model")
    tokenizer.save_pretrained(workdir / "model")
    if in_bfloat16(training):
        model.to(torch.bfloat16)  # drawing waits for the weights to be read: half as many bytes
    samples = generate(model, tokenizer, spec.generation, training.seed)
    others = [post.text for post in held_out]
    assessment = assess(before, after, samples, by_account(posts), others, blocks.tokens_by_account)
    return Learnt(
        assessment=assessment,
        parameters=model.num_parameters(),
        base_licence=licence_of(workdir / "base"),
        base_commit=base.hub.revision if base.hub else None,
        block_size=size,
        sampling=Sampling(drawing.temperature, drawing.top_p, drawing.max_length),
        bfloat16=in_bfloat16(training),
        steps=trained.steps,
        kept=trained.kept,
        log=trained.log,
        resumed_from_step=step,
        remark=_early(trained),
    )


def _device(asked: int) -> torch.device:
    """Where the model goes. A GPU that can't be used is not held for the hours that the CPU would take."""
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0  # it counts what the driver can't use too
    if there < asked:
        told = f"spec.gpus is {asked}, and CUDA can use {there}"
        raise Failure(Reason.GPU_UNUSABLE, f"{told}. {REASONS[Reason.GPU_UNUSABLE].advice}")
    return torch.device("cuda" if there else "cpu")


def _base(source: BaseModelSource, kept: Path) -> BaseModelSource:
    """The base model of a run, which stays the same when a branch of the Hub moves on between two pods."""
    return BaseModelSource.model_validate_json(kept.read_text()) if kept.is_file() else base_model.pinned(source)


def _publish(checkpoints: Checkpoints, base: BaseModelSource, step: int, folder: Path) -> None:
    (folder / BASE).write_text(base.model_dump_json(exclude={"hub": {"secret_ref"}}))
    checkpoints.publish(step, folder)


def _early(trained: Trained) -> str:
    if trained.kept == trained.planned:
        return ""
    return f" Its weights are those of step {trained.kept} of {trained.planned}, which predicted held-out posts best."


def by_account(posts: Sequence[Post]) -> dict[str, list[str]]:
    """The posts' texts by the account that wrote them."""
    texts: dict[str, list[str]] = {}
    for post in posts:
        texts.setdefault(post.handle, []).append(post.text)
    return texts
