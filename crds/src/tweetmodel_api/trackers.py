"""Where a run's numbers are reported besides storage: experiment trackers.

A tracker is no part of a run's identity, and one that is away or refuses never stops a run.
"""

from typing import Annotated, Literal

from pydantic import Field

from tweetmodel_api.fields import Address, LocalReference, Model, rule, rules

Kind = Literal["wandb", "mlflow", "trackio", "tensorBoard"]

PROJECT = "tweetmodel"


class Wandb(Model):
    """Weights & Biases."""

    project: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)] = PROJECT
    """The project, created if missing."""

    entity: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)] | None = None
    """The user or team that the project belongs to; the key's owner's default when absent."""

    base_url: Annotated[Address, Field(alias="baseURL")] = "https://api.wandb.ai"
    """Address of the server."""

    secret_ref: LocalReference
    """A Secret with the key apiKey."""


class MLflow(Model):
    """A tracking server of MLflow."""

    tracking_uri: Annotated[Address, Field(alias="trackingURI")]
    """Address of the server."""

    experiment: Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=256)] = PROJECT
    """The experiment, created if missing."""

    secret_ref: LocalReference | None = None
    """A Secret with the keys username and password, or the key token; absent where the server asks for neither."""


class Trackio(Model):
    """Trackio: a Space on the Hugging Face Hub, or a server of your own."""

    model_config = rules(
        rule(
            "has(self.space) != has(self.serverURL)",
            "trackio needs exactly one of space or serverURL: keep one and remove the other",
        )
    )

    project: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=128)] = PROJECT
    """The project, created if missing."""

    space: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", max_length=193)] | None = None
    """A Space such as somebody/trackio, created as a private one if missing."""

    server_url: Annotated[Address | None, Field(alias="serverURL")] = None
    """Address of a server of your own."""

    secret_ref: LocalReference
    """A Secret with the key token: one of the Hub with the right to write, or the server's write token."""


class TensorBoard(Model):
    """TensorBoard's event files, in the run's folder in storage."""


AnyTracker = Wandb | MLflow | Trackio | TensorBoard


class ReportTo(Model):
    """Experiment trackers that follow the training. Changing them trains nothing anew."""

    model_config = rules(
        rule(
            "has(self.wandb) || has(self.mlflow) || has(self.trackio) || has(self.tensorBoard)",
            "reportTo names no tracker: add wandb, mlflow, trackio or tensorBoard",
        )
    )

    wandb: Wandb | None = None

    mlflow: MLflow | None = None

    trackio: Trackio | None = None

    tensor_board: TensorBoard | None = None

    @property
    def kinds(self) -> dict[Kind, AnyTracker]:
        """The trackers that are named, by the names of their fields."""
        named: dict[Kind, AnyTracker | None] = {
            "wandb": self.wandb,
            "mlflow": self.mlflow,
            "trackio": self.trackio,
            "tensorBoard": self.tensor_board,
        }
        return {kind: tracker for kind, tracker in named.items() if tracker is not None}

    @property
    def secrets(self) -> dict[Kind, str]:
        """Names of the Secrets with the keys that they are written by."""
        named: dict[Kind, Wandb | MLflow | Trackio | None] = {
            "wandb": self.wandb,
            "mlflow": self.mlflow,
            "trackio": self.trackio,
        }
        return {kind: to.secret_ref.name for kind, to in named.items() if to and to.secret_ref}
