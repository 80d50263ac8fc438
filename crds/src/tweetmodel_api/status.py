"""The status of a TweetModel: conditions in the convention of kstatus, and the results so far.

Clients wait for `Ready`. `Reconciling` and `Stalled` follow sigs.k8s.io/cli-utils kstatus, so Flux and Helm can wait
for a TweetModel. `DataReady` and `Trained` show the progress through the steps.
"""

from typing import Annotated, Literal

from pydantic import Field

from tweetmodel_api.fields import Decimal, Identifier, Message, Model, S3Uri, Time, list_type_map
from tweetmodel_api.steps import STEP_NAMES, StepName

MAX_RUNS = 10
MAX_RETRY_LENGTH = 64
MAX_SAMPLES = 10
MAX_SAMPLE_LENGTH = 1024

ConditionType = Literal["Ready", "Reconciling", "Stalled", "DataReady", "Trained"]


class Condition(Model):
    """metav1.Condition."""

    type: ConditionType
    """Type of the condition."""

    status: Literal["True", "False", "Unknown"]
    """Status of the condition."""

    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]*$", max_length=64)]
    """Reason in CamelCase, for programs."""

    message: Message
    """Message for people."""

    last_transition_time: Time
    """Time of the last change of the status."""

    observed_generation: Annotated[int, Field(ge=0)]
    """Generation of the spec that the condition refers to."""


class Dataset(Model):
    """The cleaned posts of a collection, with counts."""

    digest: Identifier
    """SHA-256 over the training and held-out posts."""

    uri: S3Uri
    """Folder with train.jsonl, eval.jsonl and dataset.json."""

    downloaded: Annotated[int, Field(ge=0)]
    """Posts read from the sources."""

    retweets_dropped: Annotated[int, Field(ge=0)]
    """Retweets dropped from these."""

    short_dropped: Annotated[int, Field(ge=0)]
    """Posts dropped because they have fewer than three plain words."""

    other_dropped: Annotated[int, Field(ge=0)] = 0
    """Posts dropped for other reasons: replies, duplicates, other languages, erased posts, excluded accounts."""

    kept: Annotated[int, Field(ge=0)]
    """Posts used for training or evaluation."""

    characters: Annotated[int, Field(ge=0)]
    """Characters in the kept posts."""

    held_out: Annotated[int, Field(ge=0)]
    """Kept posts that are reserved for evaluation."""

    new_posts: Annotated[int, Field(ge=0)] | None = None
    """Distinct texts that are not in the data set of the last trained model; absent without such a data set."""

    erased_from: Annotated[tuple[Identifier, ...], Field(max_length=MAX_RUNS)] = ()
    """Data sets of status.runs that contained posts of spec.cleaning.erase and were deleted."""


class Evaluation(Model):
    """Evaluation on held-out posts: mean cross-entropy in nats per token, and its exponential."""

    loss_before: Decimal
    """Loss before training."""

    loss: Decimal
    """Loss after training."""

    perplexity_before: Decimal
    """Perplexity before training."""

    perplexity: Decimal
    """Perplexity after training."""

    bits_per_byte: Decimal
    """Bits per byte of the held-out posts after training, comparable between tokenizers."""

    memorized_fraction: Decimal | None = None
    """Fraction of the samples that repeat a training post, as a whole or in eight consecutive words."""


class Publication(Model):
    """Result of spec.publish; absent without spec.publish."""

    spec_hash: Identifier
    """Hash of the spec.publish that this result belongs to."""

    url: Annotated[str, Field(max_length=512)] | None = None
    """URL of the published model; absent if the model did not meet spec.publish.criteria."""


class TrainedModel(Model):
    """A finished model."""

    uri: S3Uri
    """Folder that transformers loads: config, safetensors weights and tokenizer."""

    digest: Identifier
    """SHA-256 of the manifest of the folder."""

    evaluation: Evaluation

    optimizer_steps: Annotated[int, Field(ge=0)]
    """Number of optimizer steps."""

    resumed_from_step: Annotated[int, Field(ge=0)] | None = None
    """Optimizer step of the checkpoint that the last attempt resumed from; absent if it started from zero."""

    generation_hash: Identifier | None = None
    """Hash of the spec.generation that status.samples were drawn with."""

    page: S3Uri | None = None
    """Web page of the model: one HTML file with samples, evaluation and data, without external resources."""

    publication: Publication | None = None


class Metric(Model):
    """A metric of the active step."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """Name, such as loss."""

    value: Annotated[str, Field(max_length=64)]
    """Value as a string."""


class Progress(Model):
    """Progress of the active step: the fields of Kubeflow Trainer's trainerStatus."""

    progress_percentage: Annotated[int, Field(ge=0, le=100)] | None = None
    """Completed percentage of the step."""

    estimated_remaining_seconds: Annotated[int, Field(ge=0)] | None = None
    """Estimated seconds until the end of the step."""

    metrics: Annotated[tuple[Metric, ...], Field(max_length=32)] = ()
    """Latest metrics of the step."""

    last_updated_time: Time | None = None
    """When the operator received the progress."""


class StepStatus(Model):
    """The last Job of a step.

    A step gets another attempt when its Job or the report is lost, when its pod template changes, or on request
    (tweetmodel.dev/retry).
    """

    name: StepName
    """Name of the step."""

    id: Identifier
    """Id of the collection, run or purge of the step."""

    attempt: Annotated[int, Field(ge=1)]
    """Number of the attempt, counted from 1 over all steps with this id."""

    pod_template_hash: Identifier
    """Hash of the spec fields that the pod template depends on."""

    job: Annotated[str, Field(max_length=63)]
    """Name of the Job."""

    outcome: Literal["Active", "Succeeded", "Failed", "Superseded"]
    """Outcome of the attempt. A failed step is repeated only if its pod template changes, on request, or at the next
    due time after an outage. Superseded: a later spec replaced the attempt."""

    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]*$", max_length=64)] | None = None
    """Reason of the failure in CamelCase, for programs; absent without a failure."""

    message: Message | None = None
    """Message about the failure."""


class ModelReference(Model):
    """A model in storage."""

    uri: S3Uri
    """Folder of the model."""

    digest: Identifier
    """SHA-256 of the manifest of the folder."""


class Run(Model):
    """One training run: a pure function of the data set and the fields of the spec that determine the model."""

    id: Identifier
    """Identity of the run, and name of its folder in storage."""

    dataset_digest: Identifier
    """Digest of the data set of the run."""

    posts: Annotated[int, Field(ge=0)] = 0
    """Number of kept posts in the data set."""

    collection_hash: Identifier | None = None
    """Hash of sources and cleaning, regardless of the time of collection: only runs with equal hashes are compared."""

    base_model_hash: Identifier | None = None
    """Hash of the base model: a warm start needs a model with an equal hash."""

    initial_model: ModelReference | None = None
    """Initial model of a warm start; absent if the run began from the base model."""

    outcome: Literal["Active", "Succeeded", "Failed", "Superseded", "NotImproved"]
    """Outcome of the run. Superseded: a later spec replaced the active run, and its checkpoints stay in storage.
    NotImproved: the model is no better than the one before it, which stays the current model."""

    contains_erased_posts: bool = False
    """True if the run was trained on a post that was erased later."""

    start_time: Time
    """When the first Job of the run was created."""

    completion_time: Time | None = None
    """When the operator observed the end of the run."""

    generation_hash: Identifier | None = None
    """Hash of the spec.generation that the last samples of the model were drawn with."""

    failure: StepStatus | None = None
    """Failed step of the run; absent if the last step succeeded."""

    evaluation: Evaluation | None = None

    model_uri: S3Uri | None = None
    """Folder of the model. A Failed run can have a model too, if only the publication failed."""


class ScheduleStatus(Model):
    """Status of spec.schedule."""

    last_time: Time | None = None
    """Due time of the present data set."""

    next_time: Time | None = None
    """Next due time; in the past while the due time is delayed."""


class Summary(Model):
    """Columns of `kubectl get`, as text."""

    handles: Annotated[str, Field(max_length=300)]
    """Accounts."""

    progress: Annotated[str, Field(max_length=16)] | None = None
    """Completed percentage of the active step."""

    eta: Annotated[str, Field(max_length=16)] | None = None
    """Estimated time until the end of the active step."""

    loss: Annotated[str, Field(max_length=32)] | None = None
    """Training loss while training, then loss on held-out posts."""

    perplexity: Annotated[str, Field(max_length=32)] | None = None
    """Perplexity on held-out posts."""

    tweets: Annotated[int, Field(ge=0)] | None = None
    """Kept posts."""


NOT_OBSERVED = -1
"""observedGeneration of a new TweetModel. kstatus then reports InProgress until an operator has observed the object."""


class TweetModelStatus(Model):
    """Progress and results of a TweetModel."""

    observed_generation: Annotated[int, Field(ge=NOT_OBSERVED)]
    """Generation of the spec that the status refers to; -1 until an operator has observed the TweetModel."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=16, json_schema_extra=list_type_map("type")),
    ] = ()
    """Ready, Reconciling, Stalled, DataReady, Trained."""

    summary: Summary | None = None

    observed_retry: Annotated[str, Field(max_length=MAX_RETRY_LENGTH)] | None = None
    """Last handled value of the annotation tweetmodel.dev/retry. Removing the annotation changes nothing."""

    collection: Identifier | None = None
    """Identity of the present data set: a hash of sources, cleaning, split seed, storage, due time and retry."""

    dataset: Dataset | None = None
    """Data set of the present spec."""

    run: Identifier | None = None
    """Run of the present spec; `model` may still be the model of an earlier run."""

    steps: Annotated[
        tuple[StepStatus, ...], Field(max_length=len(STEP_NAMES), json_schema_extra=list_type_map("name"))
    ] = ()
    """Last attempt of each step. The record distinguishes a deleted Job from a Job not yet created."""

    progress: Progress | None = None

    model: TrainedModel | None = None
    """Current model: the model of the present spec, or the previous model during a new run."""

    samples: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_SAMPLE_LENGTH)], ...], Field(max_length=MAX_SAMPLES)
    ] = ()
    """Tweets generated by `model`."""

    schedule: ScheduleStatus | None = None

    runs: Annotated[tuple[Run, ...], Field(max_length=MAX_RUNS, json_schema_extra=list_type_map("id"))] = ()
    """The last ten runs, newest first; always includes the run of the current model."""

    def condition(self, kind: ConditionType) -> Condition | None:
        """Return the condition of a type, or None if it was never written."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def is_true(self, kind: ConditionType) -> bool:
        """Return whether the condition of a type has the status True."""
        condition = self.condition(kind)
        return condition is not None and condition.status == "True"
