"""Identities of collections, runs and pod templates: hashes of the fields of the spec that determine a result.

Fields with their default value are left out, so that a new field with a default changes no hash. Different notations
of equal decimals, and different orders of the sources, give the same hash.
"""

import hashlib
import json
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from pydantic.main import IncEx

from tweetmodel_api.credentials import source_credentials
from tweetmodel_api.fields import Model
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import ModelReference
from tweetmodel_api.steps import STEP_KINDS, StepName

_NOT_IN_COLLECTION: Mapping[str, Any] = {"weight": True, "x_api": {"secret_ref"}, "hugging_face": {"secret_ref"}}
"""Fields of a source that do not determine its posts."""


def collection_id(spec: TweetModelSpec, retry: str = "", due: str = "") -> str:
    """Return the identity of a data set: sources, cleaning, split seed and storage.

    Args:
        spec: the spec.
        retry: value of the annotation by which a person requested another collection.
        due: due time of the schedule, RFC 3339.
    """
    cleaning = _non_default_fields(spec.cleaning)
    return _hash(
        **({"retry": retry} if retry else {}),
        **({"due": due} if due else {}),
        **({"cleaning": cleaning} if cleaning else {}),
        sources=[
            _non_default_fields(source, exclude=dict(_NOT_IN_COLLECTION))
            for source in sorted(spec.sources, key=attrgetter("handle"))
        ],
        seed=spec.training.seed,
        storage=[spec.storage.uri, spec.storage.endpoint],
    )


def base_model_hash(spec: TweetModelSpec) -> str:
    """Return the hash of the base model."""
    return _hash(base_model=_base_model(spec))


def _base_model(spec: TweetModelSpec) -> dict[str, object]:
    return _non_default_fields(spec.base_model.without_secret())


def run_id(spec: TweetModelSpec, dataset_digest: str, initial_model: ModelReference | None = None) -> str:
    """Return the identity of a trained model; `initial_model` is None without a warm start."""
    return _hash(
        **({"initial_model": initial_model.digest} if initial_model else {}),
        **({"weights": spec.weights} if set(spec.weights.values()) != {1} else {}),
        base_model=_base_model(spec),
        training=_non_default_fields(spec.training, exclude={"checkpoint_interval_seconds"}),
        dataset=dataset_digest,
    )


def generation_hash(spec: TweetModelSpec) -> str:
    """Return the hash of spec.generation, which determines the samples of a trained model."""
    return _hash(generation=_non_default_fields(spec.generation))


_TEMPLATE_OF_ALL_PODS = {"labels", "annotations", "image", "image_pull_secrets", "service_account_name"}
"""Fields of podTemplate for the pods of all steps; the other fields apply to train and sample pods only."""


def pod_template_hash(step: StepName, spec: TweetModelSpec, retry: str, publish: bool = False) -> str:
    """Return the hash of the fields of the spec that a Job depends on besides its id. A change replaces the Job.

    Args:
        step: step of the Job.
        spec: the spec.
        retry: value of the annotation by which a person requested another attempt.
        publish: True if the pod publishes the model.
    """
    kind = STEP_KINDS[step]
    template: dict[str, Any] = {"storage": True, "pod_template": _TEMPLATE_OF_ALL_PODS}
    if kind.uses_spec_resources:
        template |= {"pod_template": True, "gpus": True, "resources": True, "queue_name": True}
    parts: dict[str, object] = {
        "step": step,
        "template": {name: value for name, value in _non_default_fields(spec, include=template).items() if value != {}},
        "retry": retry,
    }
    secrets = sorted(secret for source in spec.sources for _, secret in source_credentials(source))
    if kind.reads_sources and secrets:
        parts["secrets"] = secrets
    if kind.samples:
        parts["generation"] = generation_hash(spec)
    if publish:
        parts["publish"] = publish_hash(spec)
    if kind.trains:
        parts |= _train_pod_fields(spec)
    return _hash(**parts)


def _train_pod_fields(spec: TweetModelSpec) -> dict[str, object]:
    parts: dict[str, object] = {"checkpoint_interval_seconds": spec.training.checkpoint_interval_seconds}
    hub = spec.base_model.hub
    if spec.report_to:
        parts["report_to"] = _non_default_fields(spec.report_to)
    if hub and hub.secret_ref:
        parts["base_model_secret"] = hub.secret_ref.name
    return parts


def publish_hash(spec: TweetModelSpec, samples: str | None = None) -> str | None:
    """Return the hash of a publication, or None if nothing is to be published.

    The hash covers spec.publish and spec.generation: the published model card shows samples, and the criteria may limit
    memorization in samples, so a changed generation publishes again.

    Args:
        spec: the spec.
        samples: `generation_hash` of the published samples; default: that of the spec.
    """
    if spec.publish is None:
        return None
    return _hash(publish=_non_default_fields(spec.publish), generation=samples or generation_hash(spec))


def _non_default_fields(model: Model, *, include: IncEx | None = None, exclude: IncEx | None = None) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_defaults=True, include=include, exclude=exclude)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hash(**parts: object) -> str:
    return hashlib.sha256(_CANONICAL.encode(parts).encode()).hexdigest()[:16]


def short_hash(*parts: object) -> str:
    """Return a hash of the parts in ten hexadecimal digits, for names of objects."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:10]
