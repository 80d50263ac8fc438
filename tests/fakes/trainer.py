"""Reports as the trainer writes them at the end of a plan."""

from typing import Any

from makers import dataset, model, success
from tweetmodel_api.identities import publish_hash
from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report
from tweetmodel_api.status import Dataset, Publication, TrainedModel


def successful_report(
    plan: Plan, *, posts: Dataset | None = None, samples: tuple[str, ...] = (), **facts: Any
) -> Report:
    """Return the report of a successful pod.

    Args:
        plan: the plan of the pod.
        posts: data set of a collect step.
        samples: samples of a train, sample or publish step.
        facts: changed fields of the model.
    """
    if plan.step == "purge":
        return success()
    if plan.step == "collect":
        return success(dataset=posts or dataset())
    return success(model=finished_model(plan, **facts), samples=samples)


def finished_model(plan: Plan, **facts: Any) -> TrainedModel:
    """Return the model of a train, sample or publish step; `loss` and `loss_before` change its evaluation."""
    assert plan.run is not None
    made = model(plan.run, plan.spec)
    losses = {name: facts.pop(name) for name in ("loss", "loss_before") if name in facts}
    changes: dict[str, Any] = {"evaluation": made.evaluation.model_copy(update=losses)}
    if plan.publish:
        changes["publication"] = Publication(spec_hash=publish_hash(plan.spec) or "", url="https://hub/ada")
    return made.model_copy(update=changes | facts)
