"""Values of the decision about a step: the step, its state, the result of its reconciliation, and the hold."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tweetmodel_api.plan import DatasetReference
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.report import Report
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset, ModelReference, StepStatus, TrainedModel, TweetModelStatus
from tweetmodel_api.steps import STEP_KINDS, StepName
from tweetmodel_operator.observed import PolicyResult


@dataclass(frozen=True)
class Hold:
    """Why no Job may run: the TweetModel is suspended, or not allowed."""

    reason: Reason
    message: str
    """A sentence without a full stop."""
    deletes_jobs: bool = False
    """True if active Jobs are deleted instead of suspended."""


def hold_for(spec: TweetModelSpec, policy: PolicyResult) -> Hold | None:
    """Return the hold on the Jobs of a TweetModel, or None."""
    if policy.violation:
        return Hold(Reason.NOT_ALLOWED, policy.violation, deletes_jobs=True)
    if spec.suspend:
        return Hold(Reason.SUSPENDED, REASONS[Reason.SUSPENDED].meaning.rstrip("."))
    return None


@dataclass(frozen=True)
class Step:
    """A planned step: complete, or with all inputs of its Job besides the spec."""

    name: StepName
    id: str
    """Collection, run or purge."""
    pod_template_hash: str
    complete_message: str | None = None
    """Message if the status already contains the result; None if the step needs a Job."""
    dataset: DatasetReference | None = None
    """Data set of a run."""
    baseline_dataset: str | None = None
    """Digest of the data set for the count of new posts."""
    initial_model: ModelReference | None = None
    """Initial model of a warm start."""
    baseline_loss: str | None = None
    """Held-out loss that a new model must improve to become the current model; None if there is no such model."""
    generation_hash: str | None = None
    """Hash of the spec.generation that the samples must be drawn with; None for any."""
    publish_hash: str | None = None
    """Hash of the spec.publish to satisfy; None if nothing is to be published."""
    due_time: datetime | None = None
    """Due time of the schedule; a failure by an earlier outage is retried."""
    pod_template: PodTemplate | None = None
    """podTemplate of the spec, if the policy allows it."""

    @property
    def is_complete(self) -> bool:
        """True if the status already contains the result."""
        return self.complete_message is not None

    def is_satisfied_by(self, model: TrainedModel | None) -> bool:
        """Return whether a model satisfies the step: trained, sampled or published as the step requires."""
        if model is None:
            return False
        if self.name == "sample":
            return model.generation_hash == self.generation_hash
        if self.name == "publish":
            return is_published(model, self.publish_hash)
        return self.name == "train"


def complete_step(name: StepName, step_id: str, message: str) -> Step:
    """Return a step with the result already in the status."""
    return Step(name, step_id, pod_template_hash="", complete_message=message)


def is_published(model: TrainedModel, publish_hash: str | None) -> bool:
    """Return whether a model has the due publication, or its criteria prevented the publication."""
    if publish_hash is None:
        return True
    return model.publication is not None and model.publication.spec_hash == publish_hash


Outcome = Literal["Active", "Succeeded", "Failed"]


@dataclass(frozen=True)
class StepState:
    """State of a step, as a reason for programs and a message for people."""

    outcome: Outcome
    reason: Reason
    message: str
    report: Report | None = None
    requires_action: bool = False
    """True if the step continues only after a person acts."""
    requeue_after: float | None = None
    """Seconds until the state may change without an event."""

    @property
    def succeeded(self) -> bool:
        """True if the step succeeded."""
        return self.outcome == "Succeeded"

    @property
    def model(self) -> TrainedModel | None:
        """Model in the report."""
        if self.report is None:
            return None
        return self.report.model

    @property
    def dataset(self) -> Dataset | None:
        """Data set in the report."""
        if self.report is None:
            return None
        return self.report.dataset


def active(name: StepName) -> StepState:
    """Return the state of a step that makes progress.

    The message does not change when the pod starts, so that the start costs no status write.
    """
    reason = STEP_KINDS[name].active_reason
    return StepState("Active", reason, REASONS[reason].meaning)


@dataclass(frozen=True)
class StepResult:
    """State of a step, and the next writes for the step."""

    step: Step
    state: StepState
    status: StepStatus | None = None
    """Last attempt, for status.steps; None if the step never had a Job."""
    create_attempt: int | None = None
    """Number of the attempt that needs a Job."""
    delete: tuple[str, ...] = ()
    """Jobs to delete."""


@dataclass(frozen=True)
class StepsResult:
    """The steps after this reconcile."""

    recorded: TweetModelStatus
    """Status with data set, model and runs up to date."""
    steps: tuple[Step, ...]
    """Planned steps; at most the last is incomplete."""
    results: tuple[StepResult, ...]
    """Results of the reconciled steps; at most the last is incomplete."""

    @property
    def is_complete(self) -> bool:
        """True if all steps are complete."""
        return self.steps[-1].is_complete

    @property
    def run(self) -> str | None:
        """Run of the planned steps, or None while posts are collected."""
        train = self._step("train")
        return train.id if train else None

    @property
    def collect_state(self) -> StepState:
        """State of the collect step."""
        for result in self.results:
            if result.step.name == "collect":
                return result.state
        collect = self._step("collect")
        assert collect is not None  # each plan begins with a collect step
        return _complete_state(collect)

    @property
    def train_state(self) -> StepState:
        """State of the training: complete once the run has a model, even after a failed publication."""
        train = self._step("train")
        if train is None:
            return StepState("Active", Reason.PENDING, "Training has not started (the data set is not ready yet).")
        if not train.is_complete:
            return self.results[-1].state
        for result in reversed(self.results):
            if result.step.name != "collect" and result.state.succeeded:
                return result.state
        return _complete_state(train)

    @property
    def overall_state(self) -> StepState:
        """State of the TweetModel."""
        return self.train_state if self.is_complete else self.results[-1].state

    def _step(self, name: StepName) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)


def _complete_state(step: Step) -> StepState:
    return StepState("Succeeded", Reason.SUCCEEDED, step.complete_message or "")
