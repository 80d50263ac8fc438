"""Keys of Secrets, and the environment variables by which pods receive them: the operator never reads a Secret."""

from collections.abc import Iterator
from dataclasses import dataclass

from tweetmodel_api.spec import Source
from tweetmodel_api.trackers import ReportTo, TrackerKind


@dataclass(frozen=True)
class Credential:
    """A key of a Secret, and the environment variable of the pod."""

    variable: str
    key: str
    optional: bool = False
    """True if the Secret may lack the key."""


STORAGE = (Credential("AWS_ACCESS_KEY_ID", "accessKeyID"), Credential("AWS_SECRET_ACCESS_KEY", "secretAccessKey"))
PUBLISH = Credential("HF_TOKEN", "token")
BASE_MODEL = Credential("BASE_MODEL_TOKEN", "token")
SOURCE_PREFIX = "SOURCE_TOKEN_"
"""Prefix of the variables of source tokens; the handle of the account follows."""
TRACKERS: dict[TrackerKind, tuple[Credential, ...]] = {
    "wandb": (Credential("WANDB_API_KEY", "apiKey"),),
    "mlflow": (
        Credential("MLFLOW_TRACKING_USERNAME", "username", optional=True),
        Credential("MLFLOW_TRACKING_PASSWORD", "password", optional=True),
        Credential("MLFLOW_TRACKING_TOKEN", "token", optional=True),
    ),
    "trackio": (Credential("TRACKIO_TOKEN", "token"),),
    "tensorBoard": (),
}

CredentialSources = Iterator[tuple[Credential, str]]
"""Credentials, each with the name of a Secret."""


def source_credentials(source: Source) -> CredentialSources:
    """Yield the token of a source, if the source uses one."""
    hub = source.hugging_face
    if source.x_api:
        yield Credential(SOURCE_PREFIX + source.handle, "bearerToken"), source.x_api.secret_ref.name
    elif hub and hub.secret_ref:
        yield Credential(SOURCE_PREFIX + source.handle, "token"), hub.secret_ref.name


def tracker_credentials(report_to: ReportTo) -> CredentialSources:
    """Yield the keys of the experiment trackers."""
    for kind, secret in report_to.secrets.items():
        yield from ((credential, secret) for credential in TRACKERS[kind])
