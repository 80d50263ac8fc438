"""What a user reads: conditions as kstatus reads them, and what a run has produced so far.

`Ready` is the one to wait for. `Reconciling` and `Stalled` follow sigs.k8s.io/cli-utils kstatus, so
that Flux and Helm understand a TweetModel. The stage conditions tell how far it got.
"""

from typing import Annotated, Literal

from pydantic import Field

from tweetmodel_api.fields import Decimal, Identifier, Model, S3Uri, Text, Time, map_list

MOST_RUNS = 10
MOST_RETRY = 64
MOST_SAMPLES = 10
MOST_SAMPLE = 1024

ConditionType = Literal["Ready", "Reconciling", "Stalled", "DataReady", "Trained"]


class Condition(Model):
    """metav1.Condition."""

    type: ConditionType
    """What the condition is about."""

    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""

    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]*$", max_length=64)]
    """One word for programs."""

    message: Text
    """One sentence for people."""

    last_transition_time: Time
    """When the status last changed."""

    observed_generation: Annotated[int, Field(ge=0)]
    """The generation of the spec that this speaks of."""


class Dataset(Model):
    """The cleaned posts of a run, and how many got there."""

    digest: Identifier
    """SHA-256 over the training and held-out posts."""

    uri: S3Uri
    """Folder with train.jsonl, eval.jsonl and dataset.json."""

    downloaded: Annotated[int, Field(ge=0)]
    """Posts found in the sources."""

    retweets: Annotated[int, Field(ge=0)]
    """Of these, retweets, which are left out."""

    short: Annotated[int, Field(ge=0)]
    """Of these, posts with fewer than three plain words, which are left out."""

    other: Annotated[int, Field(ge=0)] = 0
    """All others that are left out: replies, duplicates, posts in other languages, forgotten or barred ones."""

    kept: Annotated[int, Field(ge=0)]
    """Posts that the model learns from or is tested on."""

    characters: Annotated[int, Field(ge=0)]
    """Characters in the kept posts."""

    held_out: Annotated[int, Field(ge=0)]
    """Kept posts that are set apart to test the model."""

    new: Annotated[int, Field(ge=0)] | None = None
    """Texts that the last trained model's data set does not have; absent where nothing was compared."""

    forgot_in: Annotated[tuple[Identifier, ...], Field(max_length=MOST_RUNS)] = ()
    """Data sets of status.runs that held posts of spec.cleaning.forget, and were deleted."""


class Evaluation(Model):
    """How well the model predicts held-out posts: mean cross-entropy in nats a token, and its exponential."""

    loss_before: Decimal
    """Loss of the model that it started from."""

    loss: Decimal
    """Loss after training."""

    perplexity_before: Decimal
    """Perplexity of the model that it started from."""

    perplexity: Decimal
    """Perplexity after training."""

    bits_per_byte: Decimal
    """Bits for one byte of the held-out posts, after training: comparable between tokenizers."""

    copy_share: Decimal | None = None
    """Share of the samples that repeat a training post, as a whole or in eight words in a row."""


class Publication(Model):
    """What came of spec.publish; absent where it asks for nothing."""

    asked: Identifier
    """Hash of the spec.publish that this answers."""

    url: Annotated[str, Field(max_length=512)] | None = None
    """Where the model is; absent where it did not reach what spec.publish.when asks."""


class TrainedModel(Model):
    """A finished model."""

    uri: S3Uri
    """Folder that transformers loads: config, safetensors weights and tokenizer."""

    digest: Identifier
    """SHA-256 of the folder's manifest."""

    evaluation: Evaluation

    steps: Annotated[int, Field(ge=0)]
    """Optimizer steps in all."""

    resumed_from_step: Annotated[int, Field(ge=0)] | None = None
    """The checkpoint that the last attempt went on from; absent when it began at zero."""

    page: S3Uri | None = None
    """The model's page: one HTML file with samples, evaluation and data, which needs nothing from outside."""

    publication: Publication | None = None


class Metric(Model):
    """One number of a running stage."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """Name, such as loss."""

    value: Annotated[str, Field(max_length=64)]
    """Value as a string."""


class Progress(Model):
    """How far the present stage is: the fields of Kubeflow Trainer's trainerStatus."""

    progress_percentage: Annotated[int, Field(ge=0, le=100)] | None = None
    """Share of the stage that is done."""

    estimated_remaining_seconds: Annotated[int, Field(ge=0)] | None = None
    """Seconds the stage will still take."""

    metrics: Annotated[tuple[Metric, ...], Field(max_length=32)] = ()
    """Latest numbers of the stage."""

    last_updated_time: Time | None = None
    """When the operator heard it."""


class Attempt(Model):
    """One Job: a stage is attempted anew when its Job is lost or its pod template must change."""

    stage: Literal["collect", "train", "purge"]
    """What the Job does."""

    id: Identifier
    """The collection or run it works for."""

    number: Annotated[int, Field(ge=1)]
    """First, second … attempt at this stage of this collection or run."""

    inputs: Identifier
    """Hash of what the pod template takes from the spec."""

    job: Annotated[str, Field(max_length=63)]
    """The Job's name."""

    outcome: Literal["Active", "Succeeded", "Failed"]
    """How it ended; a failed attempt is repeated only when its inputs change."""

    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]*$", max_length=64)] | None = None
    """Why it failed, in one word; absent where it has not."""

    message: Text | None = None
    """Why it failed, in one sentence."""


class Start(Model):
    """A model that a run starts from instead of the base."""

    uri: S3Uri
    """Its folder."""

    digest: Identifier
    """SHA-256 of the folder's manifest."""


class Run(Model):
    """One training run: a pure function of what the spec says of the model and of the data set."""

    id: Identifier
    """Names the run's folder in storage."""

    dataset_digest: Identifier
    """The data set it trains on."""

    posts: Annotated[int, Field(ge=0)] = 0
    """Posts kept in it."""

    sources: Identifier | None = None
    """Hash of what was collected, whenever that was: only runs of the same sources are compared."""

    base: Identifier | None = None
    """Hash of the base model, by which a warm start is told from one across bases."""

    start: Start | None = None
    """The model it started from; absent where that is the base."""

    outcome: Literal["Active", "Succeeded", "Failed", "Superseded", "Outdone"]
    """How it ended. A run that a later spec overtook is Superseded, and its checkpoints stay; one whose model is no
    better than the one before it is Outdone."""

    stale: bool = False
    """Whether it learnt from a post that was forgotten since."""

    start_time: Time
    """When its first Job was made."""

    completion_time: Time | None = None
    """When its end was seen."""

    failure: Attempt | None = None
    """Its last attempt, where that failed."""

    evaluation: Evaluation | None = None

    model_uri: S3Uri | None = None
    """The model it made, which a run that Failed can have too: the Hub may refuse one that is done."""


class ScheduleStatus(Model):
    """Where spec.schedule stands."""

    last_time: Time | None = None
    """The due time that the present data set is for."""

    next_time: Time | None = None
    """When the sources are looked at next; in the past while something holds that up."""


class Summary(Model):
    """The columns of `kubectl get`, as text."""

    handles: Annotated[str, Field(max_length=300)]
    """The accounts."""

    progress: Annotated[str, Field(max_length=16)] | None = None
    """Share of the present stage that is done."""

    eta: Annotated[str, Field(max_length=16)] | None = None
    """Time the present stage will still take."""

    loss: Annotated[str, Field(max_length=32)] | None = None
    """Training loss while training, then the loss on held-out posts."""

    perplexity: Annotated[str, Field(max_length=32)] | None = None
    """Perplexity on held-out posts."""

    tweets: Annotated[int, Field(ge=0)] | None = None
    """Posts kept."""


UNSEEN = -1
"""The observedGeneration by which kstatus tells a TweetModel that no operator has seen from one that is ready."""


class TweetModelStatus(Model):
    """How far the model of this spec is and what there is to use."""

    observed_generation: Annotated[int, Field(ge=UNSEEN)]
    """The generation of the spec that this speaks of; -1 until an operator has seen it."""

    conditions: Annotated[
        tuple[Condition, ...],
        Field(max_length=16, json_schema_extra=map_list("type")),
    ] = ()
    """Ready, Reconciling, Stalled, DataReady, Trained."""

    summary: Summary | None = None

    retry: Annotated[str, Field(max_length=MOST_RETRY)] | None = None
    """The annotation tweetmodel.dev/retry as it was followed last: taking it away changes nothing."""

    collection: Identifier | None = None
    """What was collected: a hash of the sources, cleaning, split's seed, storage, due time and retry that `dataset` is
    made by."""

    dataset: Dataset | None = None
    """The data set of the present spec."""

    run: Identifier | None = None
    """The run of the present spec."""

    attempt: Attempt | None = None
    """The last Job made for the present spec; a Job that vanishes later is told by it from one never made."""

    progress: Progress | None = None

    model: TrainedModel | None = None
    """The model of the present spec, or the last one while a new run is under way."""

    samples: Annotated[tuple[Annotated[str, Field(max_length=MOST_SAMPLE)], ...], Field(max_length=MOST_SAMPLES)] = ()
    """Tweets that `model` wrote."""

    schedule: ScheduleStatus | None = None

    runs: Annotated[tuple[Run, ...], Field(max_length=MOST_RUNS, json_schema_extra=map_list("id"))] = ()
    """The last ten runs, newest first; the present model's is always among them."""

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of a type, where it has been written."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def holds(self, kind: ConditionType) -> bool:
        """Whether the condition of a type is true."""
        condition = self.condition(kind)
        return condition is not None and condition.status == "True"
