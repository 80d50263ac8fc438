"""Plans the steps for a spec, given the recorded status: collect, train, sample, publish.

Each step is either complete, with the result in the status, or needs a Job. The plan ends with the first incomplete
step, since later steps depend on its result. A new step needs an entry in STEP_KINDS and a planner here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from tweetmodel_api.identities import collection_id, generation_hash, pod_template_hash, publish_hash
from tweetmodel_api.layout import Layout
from tweetmodel_api.plan import DatasetReference
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset, TweetModelStatus
from tweetmodel_api.steps import STEP_KINDS, StepName
from tweetmodel_operator.decide.history import RunHistory
from tweetmodel_operator.decide.selection import DesiredRun, baseline_dataset, pinned_run, select_run
from tweetmodel_operator.decide.steps import Step, complete_step, is_published
from tweetmodel_operator.observed import Key
from tweetmodel_operator.times import format_time


@dataclass(frozen=True)
class PlanInputs:
    """Inputs of the plan besides spec and status."""

    key: Key
    retry: str = ""
    """Last requested retry."""
    due_time: datetime | None = None
    """Last due time of the schedule."""


def plan_steps(spec: TweetModelSpec, status: TweetModelStatus, inputs: PlanInputs) -> tuple[Step, ...]:
    """Return the steps up to the first incomplete one."""
    planning = _Planning(spec, status, inputs)
    steps: list[Step] = []
    for planner in PLANNERS:
        step = planner(planning)
        if step:
            steps.append(step)
        if step and not step.is_complete:
            break
    return tuple(steps)


@dataclass(frozen=True)
class _Planning:
    spec: TweetModelSpec
    status: TweetModelStatus
    inputs: PlanInputs

    @cached_property
    def run(self) -> DesiredRun:
        """The pinned run, else the run for spec and data set."""
        pinned = pinned_run(self.spec, self.status)
        if pinned:
            return pinned
        assert self.status.dataset is not None  # runs are planned after a complete collect step
        return select_run(self.spec, self.status, self.status.dataset)

    @cached_property
    def generation_hash(self) -> str:
        """Hash of the spec.generation that the samples must be drawn with."""
        return generation_hash(self.spec)

    @cached_property
    def publish_hash(self) -> str | None:
        """Hash of spec.publish; None if there is nothing to publish, or if a run is pinned."""
        return None if self.spec.pinned_run else publish_hash(self.spec)

    def template_hash(self, name: StepName) -> str:
        publish = STEP_KINDS[name].publishes and self.publish_hash is not None
        return pod_template_hash(name, self.spec, self.inputs.retry, publish=publish)


def _plan_collect(planning: _Planning) -> Step:
    spec, status, inputs = planning.spec, planning.status, planning.inputs
    due_time = format_time(inputs.due_time) if inputs.due_time else ""
    collection = collection_id(spec, inputs.retry, due_time)
    if spec.pinned_run:
        message = f"{planning.run.message} No posts are collected until spec.pinnedRun is removed."
        return complete_step("collect", status.collection or collection, message)
    if status.collection == collection and status.dataset:
        return complete_step("collect", collection, _dataset_message(status, status.dataset))
    return Step(
        "collect",
        collection,
        planning.template_hash("collect"),
        baseline_dataset=baseline_dataset(spec, status),
        pod_template=spec.pod_template,
    )


def _plan_train(planning: _Planning) -> Step:
    run = planning.run
    return _run_step(planning, "train", is_complete=run.has_model or planning.spec.pinned_run is not None)


def _plan_sample(planning: _Planning) -> Step:
    """Plan new samples if the samples of the run were drawn with another spec.generation."""
    recorded = planning.run.recorded
    has_samples = recorded is not None and recorded.generation_hash == planning.generation_hash
    return _run_step(planning, "sample", is_complete=has_samples)


def _plan_publish(planning: _Planning) -> Step:
    """Plan a Job that publishes the model, or reports it to the status if it is not the current model yet."""
    model = planning.status.model
    current = RunHistory(planning.status.runs).current(model)
    if model is None or current is None or current.id != planning.run.id:
        return _run_step(planning, "publish", is_complete=False)
    has_samples = model.generation_hash == planning.generation_hash
    return _run_step(planning, "publish", is_complete=has_samples and is_published(model, planning.publish_hash))


Planner = Callable[[_Planning], Step | None]

PLANNERS: tuple[Planner, ...] = (_plan_collect, _plan_train, _plan_sample, _plan_publish)
"""Planners of the steps, in order."""


def _run_step(planning: _Planning, name: StepName, is_complete: bool) -> Step:
    run = planning.run
    if is_complete:
        return complete_step(name, run.id, _model_message(planning.status, run))
    return Step(
        name,
        run.id,
        planning.template_hash(name),
        dataset=_dataset_of(planning, run),
        initial_model=run.initial_model,
        baseline_loss=run.baseline_loss,
        generation_hash=planning.generation_hash,
        publish_hash=planning.publish_hash,
        due_time=planning.inputs.due_time,
        pod_template=planning.spec.pod_template,
    )


def _dataset_of(planning: _Planning, run: DesiredRun) -> DatasetReference | None:
    """Return the recorded data set of a recorded run, else the data set in the status."""
    if run.recorded:
        key = planning.inputs.key
        layout = Layout(planning.spec.storage.uri, key.namespace, key.name)
        digest = run.recorded.dataset_digest
        return DatasetReference(uri=layout.dataset(digest), digest=digest) if digest else None
    dataset = planning.status.dataset
    return DatasetReference(uri=dataset.uri, digest=dataset.digest) if dataset else None


def _dataset_message(status: TweetModelStatus, dataset: Dataset) -> str:
    """Return the message about the present data set: the last message of DataReady, else a new one."""
    condition = status.condition("DataReady")
    if condition and condition.status == "True" and condition.message:
        return condition.message
    return f"{dataset.kept:,} of {dataset.downloaded:,} posts kept, {dataset.characters:,} characters."


def _model_message(status: TweetModelStatus, run: DesiredRun) -> str:
    """Return the message about the model of a run: the last message of Trained about the run, else a new one."""
    if run.message:
        return run.message
    condition = status.condition("Trained")
    if condition and condition.status == "True" and condition.message and status.run == run.id:
        return condition.message
    evaluation = run.recorded.evaluation if run.recorded else None
    if evaluation is None:
        return f"The model of run {run.id} is ready."
    return f"Perplexity on held-out posts went from {evaluation.perplexity_before} to {evaluation.perplexity}."
