"""The result of a training: everything about a finished model that does not depend on its samples."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from tweetmodel_api.fields import Identifier, Model
from tweetmodel_api.spec import BaseModelSource, Training
from tweetmodel_trainer.evaluation.scores import ScoreComparison

Precision = Literal["float32", "bfloat16"]


class TrainingResult(Model):
    """Recipe and outcome of a training.

    The result is stored as training.json. New samples of the model are drawn, evaluated and presented from this file,
    even if the spec has changed since the training.
    """

    dataset_digest: Identifier
    """Digest of the data set."""

    base_model: BaseModelSource
    """Base model in the spec, without the reference to a Secret."""

    base_commit: str | None = None
    """Commit of the base model on the Hub; None for other base models."""

    base_license: str | None = None
    """License in the model card of the base model; None if unknown."""

    initial_model: Identifier | None = None
    """Digest of the earlier model that a warm start began from; None without a warm start."""

    settings: Training
    """spec.training of the run."""

    weights: Mapping[str, int]
    """Weights of the accounts, by handle."""

    gpus: int
    """Number of requested GPUs."""

    parameters: int
    """Number of parameters of the model."""

    block_size: int
    """Tokens per block: training.blockSize, or the context of the model if that is shorter."""

    precision: Precision
    """Precision of the computation, in which samples are drawn too. Weights are trained and stored in float32."""

    scores: ScoreComparison
    """Scores on the held-out posts of each account."""

    tokens: Mapping[str, int]
    """Tokens of the training posts of each account, by handle."""

    optimizer_steps: int
    """Number of performed optimizer steps."""

    planned_steps: int
    """Number of optimizer steps in all epochs."""

    kept_step: int
    """Optimizer step of the final weights."""

    log: tuple[Mapping[str, float | None], ...] = Field(repr=False)
    """Rows of metrics.jsonl; None stands for an infinite or undefined value."""

    resumed_from_step: int | None = None
    """Optimizer step of the checkpoint that the last attempt resumed from; None if it started from zero."""

    software: Mapping[str, str]
    """Versions of the packages at the time of the training, by name."""

    @property
    def note(self) -> str:
        """Sentence about early stopping; empty if the final weights are those of the last planned step."""
        if self.kept_step == self.planned_steps:
            return ""
        return (
            f"Early stopping kept the weights of step {self.kept_step} of {self.planned_steps}, which had the lowest "
            "held-out loss."
        )
