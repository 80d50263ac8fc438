"""What the cluster's administrator sets. Read once from the environment; nothing else reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tweetmodel_api.defaults import DefaultsSpec

PREFIX = "TWEETMODEL_"

JsonObject = Mapping[str, Any]
Resources = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Settings:
    """One frozen value, handed down from main."""

    trainer_image: str = "tweetmodel-trainer:latest"
    """Image of the collect and train pods."""

    trainer_image_pull_policy: str = "IfNotPresent"
    """Always, IfNotPresent or Never."""

    trainer_env: tuple[JsonObject, ...] = ()
    """More environment variables of the collect and train pods, as a container has them."""

    trainer_image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets, in each TweetModel's namespace, by which the pods' image is pulled."""

    allowed_images: tuple[str, ...] = ()
    """Images that podTemplate.image may name besides `trainer_image`; * stands for anything."""

    allowed_service_accounts: tuple[str, ...] = ("default",)
    """ServiceAccounts that podTemplate.serviceAccountName may name; * stands for anything."""

    allowed_base_models: tuple[str, ...] = ("*",)
    """Models of the Hugging Face Hub that baseModel.hub may name; * stands for anything, and none are for none."""

    allowed_gpus: int = 8
    """The most GPUs that a TweetModel may ask for."""

    allowed_epochs: int = 1000
    """The most epochs that it may train for."""

    excluded_accounts: tuple[str, ...] = ()
    """Handles of accounts that nobody may learn from, such as of people who asked for it; an @ may precede them."""

    x_api_enabled: bool = False
    """Whether sources may read the X API; its developer agreement is the administrator's to judge."""

    defaults: JsonObject = field(default_factory=dict)
    """What TweetModels of the whole cluster are given where they leave it out, as in a TweetModelDefaults."""

    gpu_resource: str = "nvidia.com/gpu"
    """The extended resource that spec.gpus asks for."""

    progress_url: str = ""
    """Where pods reach the progress server, https://host:port; empty: no live progress."""

    tls_directory: Path | None = None
    """Folder with tls.crt, tls.key and ca.crt of the progress server; None: no live progress."""

    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty: the whole cluster."""

    collect_resources: Resources = field(
        default_factory=lambda: {
            "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
            "limits": {"memory": "2Gi"},
        }
    )
    """Compute resources of collect pods."""

    train_resources: Resources = field(
        default_factory=lambda: {
            "requests": {"cpu": "1", "memory": "3Gi", "ephemeral-storage": "4Gi"},
            "limits": {"memory": "12Gi"},
        }
    )
    """Compute resources of train pods whose TweetModel names none."""

    collect_placement: JsonObject = field(default_factory=dict)
    """nodeSelector, tolerations and the like of collect pods, as a pod's spec has them."""

    train_placement: JsonObject = field(default_factory=dict)
    """The same of train pods; what a TweetModel's podTemplate says takes the place of it."""

    active_deadline_seconds: int = 86_400
    """A Job that takes longer fails. Kubernetes restarts this clock when a suspended Job resumes."""

    backoff_limit: int = 3
    """Attempts that a temporary failure is worth; Kubernetes' own default of 6 is dear on a GPU."""

    ttl_seconds: int = 86_400
    """A finished Job is deleted after this long; its outcome stays in the status."""

    termination_grace_seconds: int = 120
    """Time a pod has to save: the longest step and the upload of a checkpoint (GPT-2: 1.5 GB)."""

    progress_interval_seconds: int = 10
    """A TweetModel's status follows its progress at most this often; pods post every two seconds."""

    workers: int = 8
    """TweetModels that are reconciled at the same time."""

    resync_seconds: int = 60
    """Everything is listed this often, for what no watch has told of; less often where that takes long."""

    metrics_port: int = 8080
    """Port of /metrics, /healthz and /readyz."""

    progress_port: int = 8443
    """Port of the progress server."""

    instance: str = "tweetmodel-operator"
    """Name of the operator's pod: events say who wrote them."""

    log_format: str = "plain"
    """plain or json."""

    @cached_property  # each look asks
    def barred(self) -> tuple[str, ...]:
        """Handles of `excluded_accounts`, as they are compared: in lower case, without an @."""
        return tuple(sorted({handle.lower().removeprefix("@") for handle in self.excluded_accounts}))


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Settings from TWEETMODEL_* variables, defaults for absent and empty ones.

    Raises:
        ValueError: a variable's value can't be read; the message names it.
    """
    values: dict[str, object] = {}
    for name, default in vars(Settings()).items():
        text = environ.get(PREFIX + name.upper(), "")
        if text:
            try:
                values[name] = _parse(name, text, default)
            except ValueError as error:
                raise ValueError(f"{PREFIX}{name.upper()}={text!r} can't be read: {error}") from None
    return Settings(**values)  # type: ignore[arg-type]  # each value was parsed by its field's default


def _parse(name: str, text: str, default: object) -> object:
    if name == "tls_directory":
        return Path(text)
    if isinstance(default, bool):
        return _boolean(text)
    if isinstance(default, int):
        return int(text)
    if name == "defaults":
        return DefaultsSpec.model_validate_json(text).to_json_object()
    if name == "trainer_env":
        return tuple(dict(variable) for variable in json.loads(text))
    if isinstance(default, tuple):
        return tuple(json.loads(text) if text.startswith("[") else filter(None, map(str.strip, text.split(","))))
    if isinstance(default, dict):
        return json.loads(text)
    return text


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("write true or false")
    return text == "true"
