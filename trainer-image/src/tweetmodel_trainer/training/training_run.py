"""The training stages of a run: load the base model, tokenize, score, fine-tune, score again, and save the model."""

import logging
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, set_seed

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import BaseModelSource, Generation, Training
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.evaluation.sampling import generation_config
from tweetmodel_trainer.evaluation.scores import ScoreComparison, Scores, total
from tweetmodel_trainer.evaluation.scoring import score_accounts
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.models import base_model, lora
from tweetmodel_trainer.models.device import out_of_gpu_memory_failure, select_device
from tweetmodel_trainer.models.license import read_license
from tweetmodel_trainer.models.silence import silence_transformers
from tweetmodel_trainer.models.tokens import context_length
from tweetmodel_trainer.run_store import MODEL
from tweetmodel_trainer.step_context import StepContext
from tweetmodel_trainer.training.blocks import BlockLayout, Blocks
from tweetmodel_trainer.training.checkpoints import Checkpoints
from tweetmodel_trainer.training.fine_tuning import FineTuningConfig, FineTuningResult, fine_tune, uses_bfloat16
from tweetmodel_trainer.training.loss_log import json_row
from tweetmodel_trainer.training.result import TrainingResult

logger = logging.getLogger(__name__)

BASE_MODEL_FILE = "base_model.json"
"""File in a checkpoint: the base model of the run, with the commit of its revision when the run began."""

SOFTWARE = ("tweetmodel-trainer", "transformers", "torch", "tokenizers")

MEMORY_ADVICE = (
    "set training.gradientCheckpointing or training.method LoRA, or lower training.blockSize or "
    "training.globalBatchSize"
)


@dataclass(frozen=True)
class SplitPosts:
    """The posts of a data set."""

    train: Sequence[Post]
    held_out: Sequence[Post]

    @classmethod
    def read(cls, folder: Path) -> "SplitPosts":
        """Read the files of a data set."""
        return cls(dataset.read_posts(folder / dataset.TRAIN), dataset.read_posts(folder / dataset.HELD_OUT))


@dataclass(frozen=True)
class LoadedModel:
    """A trained model in memory, with its training result; the weights are float32 at first."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    result: TrainingResult

    def convert_to_training_precision(self) -> None:
        """Convert the weights to the precision of the training.

        Reading the weights limits the speed of sampling, and bfloat16 halves their size.
        """
        self.model.to(getattr(torch, self.result.precision))


@dataclass(frozen=True)
class _BaseModel:
    """The base model of a run in memory, and the checkpoint to resume from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source: BaseModelSource
    """Source with a commit instead of a branch or tag of the Hub."""
    license: str | None
    """License in the model card; None if unknown."""
    resumed_from_step: int | None
    """Optimizer step of the checkpoint to resume from; None in a new run."""


@dataclass(frozen=True)
class TrainingRun:
    """The training stages of a run, in the order of `run`."""

    context: StepContext
    base_model: BaseModelSource
    """Base model, or initial model of a warm start."""
    posts: SplitPosts
    callbacks: Sequence[TrainerCallback] = ()
    """Additional callbacks of the training loop."""

    @out_of_gpu_memory_failure(MEMORY_ADVICE)
    def run(self) -> LoadedModel:
        """Train the model, and save it in the folder `model` of the work folder.

        Raises:
            Failure: GPUUnusable, Diverged, OutOfMemory, or a failure to load the base model.
            Interrupted: the training stopped on request after uploading a checkpoint.
        """
        silence_transformers()
        base = self._load_base_model()
        blocks = self._tokenize(base)
        before = self._score_base_model(base)
        model, loop = self._fine_tune(base, blocks)
        after = self._score_trained_model(model, base.tokenizer)
        self._save(model, base.tokenizer)
        result = self._result(base, blocks, loop, ScoreComparison(before, after))
        return LoadedModel(model, base.tokenizer, result)

    @property
    def _training(self) -> Training:
        return self.context.plan.spec.training

    @property
    def _checkpoint(self) -> Path:
        """Folder of the checkpoint to resume from."""
        return self.context.workdir / "resume"

    @cached_property
    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(self.context.storage, self.context.layout, self.context.run, self.context.pod_id)

    @cached_property
    def _held_out(self) -> dict[str, list[str]]:
        return texts_by_account(self.posts.held_out)

    def _load_base_model(self) -> _BaseModel:
        """Load the base model onto the device, in the revision of the first attempt of the run."""
        context = self.context
        device = select_device(context.plan.spec.gpus)
        set_seed(self._training.seed)
        step = self._checkpoints.download_newest(self._checkpoint)
        source = resume_base_model(self.base_model, self._checkpoint)
        texts = [post.text for post in self.posts.train]
        folder = context.workdir / "base"
        model, tokenizer = base_model.load(source, context.storage, texts, folder, context.cache)
        model.to(device)
        # The stored model must be a function of the run, so its generation config has the defaults of spec.generation.
        model.generation_config = generation_config(Generation(), model, tokenizer)
        return _BaseModel(model, tokenizer, source, read_license(folder), step)

    def _tokenize(self, base: _BaseModel) -> Blocks:
        training = self._training
        size = min(training.block_size, context_length(base.model))
        layout = BlockLayout(training.epochs, size, training.seed, self.context.plan.spec.weights)
        blocks = Blocks(self.posts.train, base.tokenizer, layout)
        logger.info("%d posts fill %d blocks of %d tokens", len(self.posts.train), len(blocks), size)
        return blocks

    def _score_base_model(self, base: _BaseModel) -> dict[str, Scores]:
        scores = score_accounts(base.model, base.tokenizer, self._held_out)
        loss = total(scores.values()).loss
        if not math.isfinite(loss):
            message = f"the base model is broken (its loss before training is {loss}): choose another base model."
            raise Failure(Reason.BASE_MODEL_INVALID, message)
        return scores

    def _fine_tune(self, base: _BaseModel, blocks: Blocks) -> tuple[PreTrainedModel, FineTuningResult]:
        """Train the weights, or with LoRA adapters that are merged into the weights afterwards."""
        training, step = self._training, base.resumed_from_step
        is_lora = training.method == "LoRA"
        model = lora.attach(base.model, training.lora_rank) if is_lora else base.model
        logger.info("training starts at step %d", step or 0)
        config = FineTuningConfig(
            training,
            self.context.workdir / "checkpoints",
            partial(upload_checkpoint, self._checkpoints, base.source),
            self.context.progress,
            progress_range=(5, 90),
            resume_from=self._checkpoint if step else None,
            gpus=max(self.context.plan.spec.gpus, 1),
            evaluate_loss=lambda: total(score_accounts(model, base.tokenizer, self._held_out).values()).loss,
            callbacks=self.callbacks,
        )
        result = fine_tune(model, blocks, config)
        shutil.rmtree(self._checkpoint, ignore_errors=True)  # disk space for the model
        return lora.merge(model) if is_lora else model, result

    def _score_trained_model(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Scores]:
        self.context.progress.report(92)
        scores = score_accounts(model, tokenizer, self._held_out)
        all_scores = total(scores.values())
        if not math.isfinite(all_scores.loss):
            message = f"training diverged (the held-out loss is {all_scores.loss}): lower training.learningRate."
            raise Failure(Reason.DIVERGED, message)
        self.context.progress.report(95, loss=all_scores.loss, perplexity=all_scores.perplexity)
        return scores

    def _save(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        model.save_pretrained(self.context.workdir / MODEL)
        tokenizer.save_pretrained(self.context.workdir / MODEL)

    def _result(
        self, base: _BaseModel, blocks: Blocks, loop: FineTuningResult, scores: ScoreComparison
    ) -> TrainingResult:
        plan, hub = self.context.plan, base.source.hub
        assert plan.dataset is not None  # the train step checks the plan
        return TrainingResult(
            dataset_digest=plan.dataset.digest,
            base_model=plan.spec.base_model.without_secret(),
            base_commit=hub.revision if hub else None,
            base_license=base.license,
            initial_model=plan.initial_model.digest if plan.initial_model else None,
            settings=self._training,
            weights=plan.spec.weights,
            gpus=plan.spec.gpus,
            parameters=base.model.num_parameters(),
            block_size=blocks.size,
            precision="bfloat16" if uses_bfloat16(self._training) else "float32",
            scores=scores,
            tokens=blocks.tokens_by_account,
            optimizer_steps=loop.steps,
            planned_steps=loop.planned_steps,
            kept_step=loop.kept_step,
            log=tuple(map(json_row, loop.log)),
            resumed_from_step=base.resumed_from_step,
            software={name: version(name) for name in SOFTWARE},
        )


def resume_base_model(source: BaseModelSource, checkpoint: Path) -> BaseModelSource:
    """Return the base model in a checkpoint, or in a new run the source with the present commit of its revision.

    The base model of a run thus stays the same if a branch of the Hub changes between two attempts.
    """
    stored = checkpoint / BASE_MODEL_FILE
    if stored.is_file():
        return BaseModelSource.model_validate_json(stored.read_text())
    return base_model.pin_revision(source)


def upload_checkpoint(checkpoints: Checkpoints, source: BaseModelSource, step: int, folder: Path) -> None:
    """Add the base model to a checkpoint, and upload the checkpoint."""
    (folder / BASE_MODEL_FILE).write_text(source.without_secret().model_dump_json())
    checkpoints.upload(step, folder)


def texts_by_account(posts: Sequence[Post]) -> dict[str, list[str]]:
    """Return the texts of the posts of each account, by handle."""
    texts: dict[str, list[str]] = {}
    for post in posts:
        texts.setdefault(post.handle, []).append(post.text)
    return texts
