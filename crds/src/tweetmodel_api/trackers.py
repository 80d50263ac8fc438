"""Experiment trackers that receive the metrics of a run, in addition to storage.

A tracker is not part of the identity of a run, and an unavailable tracker or a rejected request never stops a run.
"""

from typing import Annotated, Literal

from pydantic import Field

from tweetmodel_api.fields import LocalReference, Model, ServiceUrl, cel_rule, with_cel_rules

TrackerKind = Literal["wandb", "mlflow", "trackio", "tensorBoard"]

DEFAULT_PROJECT = "tweetmodel"


class Wandb(Model):
    """Weights & Biases."""

    project: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)] = DEFAULT_PROJECT
    """Project, created if missing."""

    entity: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)] | None = None
    """User or team that owns the project; default: the default entity of the user of the API key."""

    base_url: Annotated[ServiceUrl, Field(alias="baseURL")] = "https://api.wandb.ai"
    """URL of the server."""

    secret_ref: LocalReference
    """Secret with the key apiKey."""


class MLflow(Model):
    """An MLflow tracking server."""

    tracking_uri: Annotated[ServiceUrl, Field(alias="trackingURI")]
    """URL of the server."""

    experiment: Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=256)] = DEFAULT_PROJECT
    """Experiment, created if missing."""

    secret_ref: LocalReference | None = None
    """Secret with the keys username and password, or the key token; not needed for a server without
    authentication."""


class Trackio(Model):
    """Trackio: a Space on the Hugging Face Hub, or a self-hosted server."""

    model_config = with_cel_rules(
        cel_rule(
            "has(self.space) != has(self.serverURL)",
            "trackio needs exactly one of space or serverURL: keep one and remove the other",
        )
    )

    project: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=128)] = DEFAULT_PROJECT
    """Project, created if missing."""

    space: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", max_length=193)] | None = None
    """Space such as somebody/trackio, created as a private Space if missing."""

    server_url: Annotated[ServiceUrl | None, Field(alias="serverURL")] = None
    """URL of a self-hosted server."""

    secret_ref: LocalReference
    """Secret with the key token: a token of the Hub with write permission, or the write token of the server."""


class TensorBoard(Model):
    """TensorBoard event files, in the folder of the run in storage."""


AnyTracker = Wandb | MLflow | Trackio | TensorBoard


class ReportTo(Model):
    """Experiment trackers that receive the metrics of the training. A change trains nothing."""

    model_config = with_cel_rules(
        cel_rule(
            "has(self.wandb) || has(self.mlflow) || has(self.trackio) || has(self.tensorBoard)",
            "reportTo names no tracker: add wandb, mlflow, trackio or tensorBoard",
        )
    )

    wandb: Wandb | None = None

    mlflow: MLflow | None = None

    trackio: Trackio | None = None

    tensor_board: TensorBoard | None = None

    @property
    def kinds(self) -> dict[TrackerKind, AnyTracker]:
        """The configured trackers, by field name."""
        trackers: dict[TrackerKind, AnyTracker | None] = {
            "wandb": self.wandb,
            "mlflow": self.mlflow,
            "trackio": self.trackio,
            "tensorBoard": self.tensor_board,
        }
        return {kind: tracker for kind, tracker in trackers.items() if tracker is not None}

    @property
    def secrets(self) -> dict[TrackerKind, str]:
        """Names of the Secrets with the trackers' keys."""
        trackers: dict[TrackerKind, Wandb | MLflow | Trackio | None] = {
            "wandb": self.wandb,
            "mlflow": self.mlflow,
            "trackio": self.trackio,
        }
        return {kind: to.secret_ref.name for kind, to in trackers.items() if to and to.secret_ref}
