"""What a run is made of, as trackers tell it: raw posts → data set → model, by their addresses in storage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tweetmodel_api.plan import Plan
from tweetmodel_trainer.sources.registry import reader_of


@dataclass(frozen=True)
class Reference:
    """Something that lies elsewhere; nothing of it is sent to a tracker."""

    name: str
    uri: str
    digest: str = ""
    """SHA-256 of what it holds; empty where nobody has counted."""


@dataclass(frozen=True)
class Run:
    """What is known of a run before it begins."""

    id: str
    """Of the run in the tracker: the same for every attempt, and another for every TweetModel."""
    collection: str
    """Of the run that made the data set."""
    config: Mapping[str, Any]
    raw: tuple[Reference, ...]
    dataset: Reference


def run_of(plan: Plan) -> Run:
    """What a plan with run and data set says."""
    assert plan.run is not None  # `pipeline.train` refuses such a plan
    assert plan.dataset is not None
    whose = f"{plan.namespace}-{plan.name}"
    spec, base = plan.spec, plan.spec.base_model
    if base.hub:  # whose Secret is nobody's business
        base = base.model_copy(update={"hub": base.hub.model_copy(update={"secret_ref": None})})
    config = {
        **_flat("spec.training", spec.training.to_json_object()),
        **_flat("spec.generation", spec.generation.to_json_object()),
        **_flat("spec.baseModel", base.to_json_object()),
        "handles": ", ".join(source.handle for source in spec.sources),
        "run": plan.run,
        "dataset": plan.dataset.digest,
        "startedFrom": plan.initial_model.uri if plan.initial_model else "",
    }
    return Run(
        id=f"{whose}-{plan.run}",
        collection=f"{whose}-{plan.dataset.digest[:16]}",
        config=config,
        raw=tuple(Reference(f"{whose}-raw-{source.handle}", reader_of(source, plan).uri) for source in spec.sources),
        dataset=Reference(f"{whose}-dataset", plan.dataset.uri, plan.dataset.digest),
    )


def model_of(plan: Plan, uri: str, digest: str) -> Reference:
    """The model that a run made."""
    return Reference(f"{plan.namespace}-{plan.name}-model", uri, digest)


def _flat(prefix: str, value: object) -> dict[str, Any]:
    """Nested objects as one, by dotted names."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {name: leaf for key, inner in value.items() for name, leaf in _flat(f"{prefix}.{key}", inner).items()}
