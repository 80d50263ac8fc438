"""Settings of the cluster's administrator, read once from the environment; no other module reads the environment."""

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
    """Settings of the operator."""

    trainer_image: str = "tweetmodel-trainer:latest"
    """Default image of all pods."""

    trainer_image_pull_policy: str = "IfNotPresent"
    """Always, IfNotPresent or Never."""

    trainer_env: tuple[JsonObject, ...] = ()
    """Additional environment variables of all pods, as in a container."""

    trainer_image_pull_secrets: tuple[str, ...] = ()
    """Names of image pull Secrets in the namespace of each TweetModel."""

    allowed_images: tuple[str, ...] = ()
    """Images allowed in podTemplate.image besides `trainer_image`, with * as wildcard."""

    allowed_service_accounts: tuple[str, ...] = ("default",)
    """ServiceAccounts allowed in podTemplate.serviceAccountName, with * as wildcard."""

    allowed_base_models: tuple[str, ...] = ("*",)
    """Models of the Hugging Face Hub allowed in baseModel.hub, with * as wildcard; empty allows none."""

    max_gpus: int = 8
    """Maximum number of GPUs of a TweetModel."""

    max_epochs: int = 1000
    """Maximum number of epochs of a TweetModel."""

    excluded_accounts: tuple[str, ...] = ()
    """Handles of excluded accounts, optionally with an @: no model may be trained on them."""

    x_api_enabled: bool = False
    """True allows sources that read the X API. The administrator must check X's developer agreement."""

    defaults: JsonObject = field(default_factory=dict)
    """Defaults for all TweetModels of the cluster, with the fields of a TweetModelDefaults."""

    gpu_resource: str = "nvidia.com/gpu"
    """Extended resource that spec.gpus requests."""

    progress_url: str = ""
    """URL of the progress server for pods, https://host:port; empty disables live progress."""

    tls_directory: Path | None = None
    """Folder with tls.crt, tls.key and ca.crt of the progress server; None disables live progress."""

    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to watch; empty watches all namespaces."""

    collect_resources: Resources = field(
        default_factory=lambda: {
            "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
            "limits": {"memory": "2Gi"},
        }
    )
    """Compute resources of collect, publish and purge pods."""

    train_resources: Resources = field(
        default_factory=lambda: {
            "requests": {"cpu": "1", "memory": "3Gi", "ephemeral-storage": "4Gi"},
            "limits": {"memory": "12Gi"},
        }
    )
    """Default compute resources of train and sample pods."""

    collect_placement: JsonObject = field(default_factory=dict)
    """Placement (nodeSelector, tolerations, …) of collect, publish and purge pods, with the fields of a pod's spec."""

    train_placement: JsonObject = field(default_factory=dict)
    """Default placement of train and sample pods; fields of a TweetModel's podTemplate replace these."""

    active_deadline_seconds: int = 86_400
    """Maximum duration of a Job. Kubernetes restarts the clock when a suspended Job resumes."""

    backoff_limit: int = 3
    """Retries of a Job after failures that are not permanent. Kubernetes' default, 6, is expensive on a GPU."""

    ttl_seconds: int = 86_400
    """Time until Kubernetes deletes a finished Job; the status keeps the outcome."""

    termination_grace_seconds: int = 120
    """Time for a pod to save its work: the longest optimizer step and the upload of a checkpoint (GPT-2: 1.5 GB)."""

    progress_interval_seconds: int = 10
    """Minimum interval between progress updates of a TweetModel's status; pods report progress every two seconds."""

    workers: int = 8
    """Number of concurrent reconciles."""

    resync_seconds: int = 60
    """Interval of the lists for missed watch events; longer if the lists take long."""

    metrics_port: int = 8080
    """Port of /metrics, /healthz and /readyz."""

    progress_port: int = 8443
    """Port of the progress server."""

    instance: str = "tweetmodel-operator"
    """Name of the operator's pod, for events."""

    log_format: str = "plain"
    """plain or json."""

    @cached_property  # every reconcile needs the handles
    def excluded_handles(self) -> tuple[str, ...]:
        """Handles of `excluded_accounts` in lower case, without an @, for comparisons."""
        return tuple(sorted({handle.lower().removeprefix("@") for handle in self.excluded_accounts}))


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Return the settings in TWEETMODEL_* variables, with defaults for absent and empty variables.

    Raises:
        ValueError: a value is invalid; the message names the variable.
    """
    values: dict[str, object] = {}
    for name, default in vars(Settings()).items():
        text = environ.get(PREFIX + name.upper(), "")
        if text:
            try:
                values[name] = _parse(name, text, default)
            except ValueError as error:
                raise ValueError(f"{PREFIX}{name.upper()}={text!r} is invalid: {error}") from None
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
