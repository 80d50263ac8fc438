"""The keys of Secrets that pods have, each by an environment variable: the operator names them and reads none."""

from collections.abc import Iterator
from dataclasses import dataclass

from tweetmodel_api.spec import Source
from tweetmodel_api.trackers import Kind, ReportTo


@dataclass(frozen=True)
class Credential:
    """A key of a Secret, and the environment variable by which a pod has it."""

    variable: str
    key: str
    optional: bool = False
    """Whether the Secret may lack it."""


STORAGE = (Credential("AWS_ACCESS_KEY_ID", "accessKeyID"), Credential("AWS_SECRET_ACCESS_KEY", "secretAccessKey"))
PUBLISH = Credential("HF_TOKEN", "token")
BASE_MODEL = Credential("BASE_MODEL_TOKEN", "token")
SOURCE = "SOURCE_TOKEN_"
"""What the variables of sources' tokens begin with; the account's handle follows."""
TRACKERS: dict[Kind, tuple[Credential, ...]] = {
    "wandb": (Credential("WANDB_API_KEY", "apiKey"),),
    "mlflow": (
        Credential("MLFLOW_TRACKING_USERNAME", "username", optional=True),
        Credential("MLFLOW_TRACKING_PASSWORD", "password", optional=True),
        Credential("MLFLOW_TRACKING_TOKEN", "token", optional=True),
    ),
    "trackio": (Credential("TRACKIO_TOKEN", "token"),),
    "tensorBoard": (),
}

Mounted = Iterator[tuple[Credential, str]]
"""Credentials, each with the name of its Secret."""


def of_source(source: Source) -> Mounted:
    """The token that a source is read by, where it needs one."""
    hub = source.hugging_face
    if source.x_api:
        yield Credential(SOURCE + source.handle, "bearerToken"), source.x_api.secret_ref.name
    elif hub and hub.secret_ref:
        yield Credential(SOURCE + source.handle, "token"), hub.secret_ref.name


def of_trackers(report_to: ReportTo) -> Mounted:
    """The keys that trackers are written by."""
    for kind, secret in report_to.secrets.items():
        yield from ((credential, secret) for credential in TRACKERS[kind])
