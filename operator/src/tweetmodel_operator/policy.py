"""What the administrator allows a TweetModel to ask for."""

import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import chain

from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_operator.settings import Settings


def forbidden(spec: TweetModelSpec, settings: Settings) -> str:
    """Why the spec is not allowed, as a sentence without its end; empty where it is."""
    return next(chain(_of_sources(spec, settings), _of_training(spec, settings), _of_pods(spec, settings)), "")


def forbidden_pods(spec: TweetModelSpec, settings: Settings) -> bool:
    """Whether no pod may look as the spec says."""
    return any(_of_pods(spec, settings))


def _of_sources(spec: TweetModelSpec, settings: Settings) -> Iterator[str]:
    for source in spec.sources:
        if source.handle.lower() in settings.barred:
            yield f"spec.sources names @{source.handle}, an account that this cluster never learns from"
    if any(source.x_api for source in spec.sources) and not settings.x_api_enabled:
        yield "spec.sources reads the X API, which this cluster does not allow"


def _of_training(spec: TweetModelSpec, settings: Settings) -> Iterator[str]:
    hub, epochs = spec.base_model.hub, spec.training.epochs
    if hub and not _matches(hub.name, settings.allowed_base_models):
        yield f"spec.baseModel.hub.name {hub.name} is not one of the base models that this cluster allows"
    if epochs > settings.allowed_epochs:
        yield f"spec.training.epochs {epochs} is more than the {settings.allowed_epochs} that this cluster allows"
    if spec.gpus > settings.allowed_gpus:
        yield f"spec.gpus {spec.gpus} is more than the {settings.allowed_gpus} that this cluster allows"
    for kind, amounts in (spec.resources.model_dump(exclude_none=True) if spec.resources else {}).items():
        every = {settings.gpu_resource: spec.gpus, **amounts}
        devices = {name: _count(quantity) for name, quantity in every.items() if is_of_a_device(name)}
        if sum(devices.values()) > settings.allowed_gpus:
            asked = f"spec.resources.{kind} of {', '.join(devices)}"
            yield f"{asked} is more than the {settings.allowed_gpus} that this cluster allows"


def _of_pods(spec: TweetModelSpec, settings: Settings) -> Iterator[str]:
    image = spec.pod_template.image if spec.pod_template else None
    account = spec.pod_template.service_account_name if spec.pod_template else None
    if image and not _matches(image, (settings.trainer_image, *settings.allowed_images)):
        yield f"spec.podTemplate.image {image} is not one of the images that this cluster allows"
    if account and not _matches(account, settings.allowed_service_accounts):
        yield f"spec.podTemplate.serviceAccountName {account} is not one that this cluster allows"


def _matches(value: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def is_of_a_device(resource: str) -> bool:
    """Whether a resource is an extended one: GPUs of any vendor and their slices are, under names of their makers'."""
    domain, slash, _ = resource.partition("/")
    return bool(slash) and not domain.endswith("kubernetes.io")


def _count(quantity: int | str) -> float:
    """How many GPUs a quantity is; one with a suffix counts as too many, whatever it says."""
    try:
        return float(quantity)
    except ValueError:
        return math.inf
