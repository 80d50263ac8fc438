"""Checks a spec against the policy of the administrator."""

import math
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import chain

from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_operator.observed import PolicyResult
from tweetmodel_operator.settings import Settings


def check_policy(spec: TweetModelSpec, settings: Settings) -> PolicyResult:
    """Return whether the administrator allows a spec."""
    pods = list(_pod_violations(spec, settings))
    violations = chain(_source_violations(spec, settings), _training_violations(spec, settings), pods)
    return PolicyResult(violation=next(violations, ""), forbids_pods=bool(pods))


def _source_violations(spec: TweetModelSpec, settings: Settings) -> Iterator[str]:
    for source in spec.sources:
        if source.handle.lower() in settings.excluded_handles:
            yield f"spec.sources contains @{source.handle} (the administrator excludes the account)"
    if any(source.x_api for source in spec.sources) and not settings.x_api_enabled:
        yield "spec.sources uses the X API (the administrator has not enabled it)"


def _training_violations(spec: TweetModelSpec, settings: Settings) -> Iterator[str]:
    hub, epochs = spec.base_model.hub, spec.training.epochs
    if hub and not _matches(hub.name, settings.allowed_base_models):
        yield f"spec.baseModel.hub.name {hub.name} is not in the administrator's list of base models"
    if epochs > settings.max_epochs:
        yield f"spec.training.epochs {epochs} exceeds the limit of {settings.max_epochs}"
    if spec.gpus > settings.max_gpus:
        yield f"spec.gpus {spec.gpus} exceeds the limit of {settings.max_gpus}"
    yield from _device_violations(spec, settings)


def _device_violations(spec: TweetModelSpec, settings: Settings) -> Iterator[str]:
    if spec.resources is None:
        return
    for kind, amounts in spec.resources.model_dump(exclude_none=True).items():
        quantities = {settings.gpu_resource: spec.gpus, **amounts}
        devices = {name: _count(quantity) for name, quantity in quantities.items() if is_device(name)}
        if sum(devices.values()) > settings.max_gpus:
            limit = settings.max_gpus
            yield f"spec.resources.{kind} exceeds the limit of {limit} devices ({', '.join(devices)})"


def _pod_violations(spec: TweetModelSpec, settings: Settings) -> Iterator[str]:
    if spec.pod_template is None:
        return
    image, account = spec.pod_template.image, spec.pod_template.service_account_name
    if image and not _matches(image, (settings.trainer_image, *settings.allowed_images)):
        yield f"spec.podTemplate.image {image} is not in the administrator's list of images"
    if account and not _matches(account, settings.allowed_service_accounts):
        yield f"spec.podTemplate.serviceAccountName {account} is not in the administrator's list of ServiceAccounts"


def _matches(value: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def is_device(resource: str) -> bool:
    """Return whether a resource is an extended resource, as GPUs of all vendors and their partitions are."""
    domain, slash, _ = resource.partition("/")
    return bool(slash) and not domain.endswith("kubernetes.io")


def _count(quantity: int | str) -> float:
    """Return the number of devices; a quantity with a suffix always exceeds the limit."""
    try:
        return float(quantity)
    except ValueError:
        return math.inf
