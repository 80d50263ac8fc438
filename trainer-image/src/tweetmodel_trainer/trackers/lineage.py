"""Lineage of a run for trackers: raw posts → data set → model, by their URIs in storage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tweetmodel_api.plan import Plan
from tweetmodel_trainer.sources.registry import reader_of


@dataclass(frozen=True)
class Reference:
    """An artifact in storage. Trackers receive the reference and never the content."""

    name: str
    uri: str
    digest: str = ""
    """SHA-256 of the content; empty if unknown."""


@dataclass(frozen=True)
class TrackedRun:
    """Facts about a run, known before the training."""

    id: str
    """Id in the tracker, equal for all attempts of a run and unique to the TweetModel."""
    collection: str
    """Id in the tracker of the run that made the data set."""
    config: Mapping[str, Any]
    """Settings of the run by name."""
    raw: tuple[Reference, ...]
    dataset: Reference


def run_of(plan: Plan) -> TrackedRun:
    """Return the tracked run of a plan with run and data set."""
    assert plan.run is not None
    assert plan.dataset is not None
    prefix = f"{plan.namespace}-{plan.name}"
    uris = {source.handle: reader_of(source, plan).uri for source in plan.spec.sources}
    return TrackedRun(
        id=f"{prefix}-{plan.run}",
        collection=f"{prefix}-{plan.dataset.digest[:16]}",
        config=_config(plan),
        raw=tuple(Reference(f"{prefix}-raw-{handle}", uri) for handle, uri in uris.items()),
        dataset=Reference(f"{prefix}-dataset", plan.dataset.uri, plan.dataset.digest),
    )


def model_of(plan: Plan, uri: str, digest: str) -> Reference:
    """Return the reference to the model of a run."""
    return Reference(f"{plan.namespace}-{plan.name}-model", uri, digest)


def _config(plan: Plan) -> dict[str, Any]:
    spec = plan.spec
    return {
        **_flat("spec.training", spec.training.to_json_object()),
        **_flat("spec.generation", spec.generation.to_json_object()),
        **_flat("spec.baseModel", spec.base_model.without_secret().to_json_object()),
        "handles": ", ".join(source.handle for source in spec.sources),
        "run": plan.run,
        "dataset": plan.dataset.digest if plan.dataset else "",
        "initialModel": plan.initial_model.uri if plan.initial_model else "",
    }


def _flat(prefix: str, value: object) -> dict[str, Any]:
    """Return the values of nested objects by dotted names."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {name: leaf for key, inner in value.items() for name, leaf in _flat(f"{prefix}.{key}", inner).items()}
