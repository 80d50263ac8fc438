"""The spec of a TweetModel, from which the CRD is generated: types, bounds, defaults, descriptions and CEL rules.

The CEL rules let the API server reject a mistake at `kubectl apply` with a message that contains the remedy.
Defaults are the recipe of huggingtweets (github.com/borisdayma/huggingtweets).
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tweetmodel_api.cron import MACROS
from tweetmodel_api.fields import (
    CanonicalDecimal,
    HttpsUri,
    Identifier,
    LocalReference,
    Model,
    S3OrHttpsUri,
    S3Uri,
    ServiceUrl,
    cel_rule,
    list_type_atomic,
    list_type_map,
    list_type_set,
    with_cel_rules,
)
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.trackers import ReportTo

MAX_NAME_LENGTH = 40
"""Maximum length of a TweetModel's name: names of Jobs and pods contain the name and are limited to 63 characters."""


def _exactly_one_of(subject: str, *fields: str) -> dict[str, str]:
    presence = ", ".join(f"has(self.{field})" for field in fields)
    choice = f"{', '.join(fields[:-1])} or {fields[-1]}"
    return cel_rule(
        f"[{presence}].exists_one(given, given)",
        f"{subject} needs exactly one of {choice}: keep one and remove the rest",
    )


Handle = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,15}$", max_length=15)]
"""Handle of an account on X, without the @."""


class Archive(Model):
    """The export of an account that X offers ("Download an archive of your data")."""

    uri: S3OrHttpsUri
    """URI of a zip that contains tweets.js and note-tweet.js, or of a tweets.js. Copy only these files out of the zip
    from X, which contains private messages too. The URI is an https:// address or an object in the bucket service of
    `storage`; an s3:// URI that ends with / is the folder of an unpacked export."""


class Rows(Model):
    """Selects the rows of a table that are posts, and the field that contains the text."""

    text_field: Annotated[str, Field(min_length=1, max_length=128)] = "text"
    """Field or column that contains the text of a post. The optional fields id, created_at, lang and
    in_reply_to_user_id are read too."""

    where: (
        Annotated[
            dict[
                Annotated[str, Field(min_length=1, max_length=128)],
                Annotated[str, Field(max_length=256)],
            ],
            Field(min_length=1, max_length=8),
        ]
        | None
    ) = None
    """Reads only rows whose fields have these values, such as author: ada for one of several authors."""


PostsFormat = Literal["JSONL", "CSV", "Parquet", "Text"]


class Posts(Rows):
    """Format of a file of posts. Gzip is detected by the first bytes of the file."""

    model_config = with_cel_rules(
        cel_rule(
            "!has(self.where) || !has(self.format) || self.format != 'Text'",
            "where needs fields, and plain text has none: remove where, or correct format",
        )
    )

    format: PostsFormat | None = None
    """JSONL (one object a line, or a list of objects), CSV (with a header line), Parquet, or Text (one post a line).
    The default follows the suffix of the file name (.jsonl, .csv, .parquet, .txt, optionally with .gz), else JSONL."""


class S3Posts(Posts):
    """Posts in a file of a bucket."""

    uri: S3Uri
    """Object to read, in the bucket service of `storage`."""


class HttpsPosts(Posts):
    """Posts in a file on a web server."""

    uri: HttpsUri
    """File to read, reachable from the cluster without a password."""


class XApi(Model):
    """The timeline of the account, read from the X API, which charges for each post.

    X's developer agreement forbids training some models on posts from the API. The operator's administrator must
    enable this source.
    """

    secret_ref: LocalReference
    """Secret whose key bearerToken contains the bearer token of an X app."""

    max_posts: Annotated[int, Field(ge=100, le=3200)] = 3200
    """Number of newest posts to read, without retweets; X returns at most 3,200."""

    budget_usd: CanonicalDecimal = Field(alias="budgetUSD")
    """Maximum total cost of the posts of this account in US dollars, at $0.005 a post. The cost of looking up the
    account ($0.010 each time) is not included."""


class HubDataset(Rows):
    """Posts in a data set on the Hugging Face Hub."""

    dataset: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[\w.-]+$", max_length=200)]
    """Name of the data set, such as somebody/their-tweets."""

    revision: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Branch, tag or commit. Default: the Hub's Parquet conversion, else main."""

    split: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=64)] = "train"
    """Split to read."""

    config: Annotated[str, Field(pattern=r"^[\w./-]+$", max_length=128)] | None = None
    """Configuration (folder of the split) to read. Default: the only configuration, or the one named default."""

    secret_ref: LocalReference | None = None
    """Secret with the key token, for a private or gated data set."""


class Source(Model):
    """One account and the place where its posts are read."""

    model_config = with_cel_rules(
        _exactly_one_of("a source", "archive", "s3", "https", "huggingFace", "tweetModel", "xAPI")
    )

    handle: Handle
    """Handle of the account on X, without the @."""

    weight: Annotated[int, Field(ge=1, le=100)] = 1
    """Relative sampling weight. With equal weights every account contributes the same number of posts to an epoch,
    regardless of how many it has written."""

    archive: Archive | None = None

    s3: S3Posts | None = None

    https: HttpsPosts | None = None

    hugging_face: HubDataset | None = None

    tweet_model: LocalReference | None = None
    """Cleaned posts of another TweetModel in this namespace, which uses the same storage service."""

    x_api: Annotated[XApi | None, Field(alias="xAPI")] = None


_sorted = AfterValidator(lambda values: tuple(sorted(set(values))))  # a set: the order must not change an identity


class Cleaning(Model):
    """Posts to drop, and normalization of the remaining texts. The defaults are those of huggingtweets."""

    drop: Annotated[
        tuple[Literal["Retweets", "Replies", "Short", "Duplicates", "NearDuplicates"], ...],
        Field(max_length=5, json_schema_extra=list_type_set),
        _sorted,
    ] = ("Retweets", "Short")
    """Posts to drop. Retweets; Replies to others; Short: fewer than three words besides links, mentions and hashtags;
    Duplicates: the same text again; NearDuplicates: the same words again, ignoring case, punctuation, mentions and
    emoji. A repeated post id is always dropped."""

    normalize: Annotated[
        tuple[Literal["Entities", "Links", "Whitespace"], ...],
        Field(max_length=3, json_schema_extra=list_type_set),
        _sorted,
    ] = ("Entities", "Links", "Whitespace")
    """Normalization of texts. Entities: &amp; becomes &; Links are removed; Whitespace: runs of spaces and line
    breaks become one space."""

    exclude_accounts: Annotated[
        tuple[Handle, ...], Field(max_length=256, json_schema_extra=list_type_set), _sorted
    ] = ()
    """Accounts that must not appear: posts that mention them are dropped, and so are their own posts in the data set
    of another TweetModel."""

    erase: Annotated[
        tuple[Annotated[str, Field(pattern=r"^([0-9]{1,20}|@[A-Za-z0-9_]{1,15})$", max_length=20)], ...],
        Field(max_length=1000, json_schema_extra=list_type_set),
        _sorted,
    ] = ()
    """Ids of posts that were deleted, and accounts (@handle) whose posts must all be erased. The posts are dropped and
    removed from storage, and runs that were trained on them are marked with containsErasedPosts. A TweetModel that
    uses this one as a source keeps its copy of the posts until its own spec erases them."""

    languages: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$", max_length=3)], ...],
        Field(max_length=16, json_schema_extra=list_type_set),
        _sorted,
    ] = ()
    """Languages to keep, such as en, by the lang field of a post. Posts without the field are kept. Empty: all."""

    @property
    def erased_posts(self) -> frozenset[str]:
        """Ids of single posts to erase."""
        return frozenset(name for name in self.erase if not name.startswith("@"))

    @property
    def erased_accounts(self) -> frozenset[str]:
        """Handles of accounts to erase, in lower case, since X ignores the case of handles."""
        return frozenset(name[1:].lower() for name in self.erase if name.startswith("@"))


class HubModel(Model):
    """A causal language model on the Hugging Face Hub."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?$", max_length=200)]
    """Name of the model, such as openai-community/gpt2."""

    revision: Annotated[str, Field(min_length=1, max_length=200)] = "main"
    """Branch, tag or commit; a commit makes the run reproducible."""

    secret_ref: LocalReference | None = None
    """Secret with the key token, a token of the Hub, for a gated or private model."""


class S3Model(Model):
    """A causal language model in the bucket service of `storage`, for clusters without Internet access."""

    uri: S3Uri
    """Folder with config.json, safetensors weights and tokenizer."""


class ScratchModel(Model):
    """A new, randomly initialized GPT-2 whose tokenizer is trained on the posts: needs no download."""

    preset: Literal["Tiny", "Small"] = "Tiny"
    """Tiny trains in about a minute on two CPU cores; Small is six times larger."""


class BaseModelSource(Model):
    """The model to fine-tune; GPT-2 by default."""

    model_config = with_cel_rules(_exactly_one_of("baseModel", "hub", "s3", "scratch"))

    hub: HubModel | None = None

    s3: S3Model | None = None

    scratch: ScratchModel | None = None

    def without_secret(self) -> "BaseModelSource":
        """Return the base model without the reference to a Secret, which does not determine the model."""
        if not self.hub:
            return self
        return self.model_copy(update={"hub": self.hub.model_copy(update={"secret_ref": None})})


class EarlyStopping(Model):
    """Evaluates the held-out posts after each epoch, stops without improvement, and keeps the best weights.

    The learning rate follows the schedule for all epochs.
    """

    patience: Annotated[int, Field(ge=1, le=100)] = 1
    """Number of consecutive epochs without a lower held-out loss before training stops."""


class Training(Model):
    """Settings of the fine-tuning."""

    model_config = with_cel_rules(
        cel_rule(
            "self.globalBatchSize % self.gradientAccumulationSteps == 0",
            "training.globalBatchSize must be a multiple of training.gradientAccumulationSteps: change one of them",
        )
    )

    method: Literal["Full", "LoRA"] = "Full"
    """Full trains all weights. LoRA trains low-rank adapters, which takes a fraction of the GPU memory and needs about
    ten times the learning rate; the finished model contains the merged adapters."""

    lora_rank: Annotated[int, Field(ge=1, le=512)] = 16
    """Rank of the LoRA matrices; a higher rank has more capacity and takes more memory."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 4
    """Number of passes over the posts, each in another order."""

    learning_rate: CanonicalDecimal = "1.372e-4"
    """Peak learning rate of AdamW, which decays to zero along a cosine."""

    block_size: Annotated[int, Field(ge=32, le=8192)] = 1024
    """Tokens in a training block; posts are packed into blocks with <|endoftext|> between them."""

    global_batch_size: Annotated[int, Field(ge=1, le=1024)] = 1
    """Blocks in one optimizer step, over all GPUs and gradient accumulation steps."""

    gradient_accumulation_steps: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of micro-batches in one optimizer step. Higher values use less memory. Must divide globalBatchSize."""

    gradient_checkpointing: bool = False
    """Recomputes activations in the backward pass: less memory for about a third more time."""

    precision: Literal["Auto", "Float32", "BFloat16"] = "Auto"
    """Precision of the computation in training and sampling; the weights stay Float32. Auto selects BFloat16 where the
    device supports it."""

    early_stopping: EarlyStopping | None = None

    warm_start: bool = False
    """Starts a new run from the current model instead of the base model, if both have the same base model. A change of
    this field starts a new run."""

    checkpoint_interval_seconds: Annotated[int, Field(ge=5, le=86400)] = 60
    """Seconds between checkpoints. A checkpoint is also written when the pod receives a request to terminate."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 42
    """Seed of the split, the order of posts, initial weights, dropout and samples."""


class Generation(Model):
    """Sampling of tweets from the finished model. A change draws new samples and trains nothing."""

    samples_per_prompt: Annotated[int, Field(ge=1, le=100)] = 10
    """Number of samples for each prompt; the status shows the best ten of all."""

    prompts: Annotated[
        tuple[Annotated[str, Field(max_length=280)], ...],
        Field(min_length=1, max_length=10, json_schema_extra=list_type_atomic),
    ] = ("", "I think that", "I like", "I don't like", "I want", "My dream is")
    """Beginnings of the samples. An empty prompt gives unconditional samples; the others are those of huggingtweets."""

    blocked_words: Annotated[
        tuple[Annotated[str, Field(pattern=r"^\S+$", max_length=64)], ...],
        Field(max_length=100, json_schema_extra=list_type_atomic),
    ] = ()
    """Samples that contain one of these words, as a whole word and in any case, are dropped."""

    temperature: CanonicalDecimal = "1"
    """Sampling temperature; higher values give more varied text."""

    top_p: CanonicalDecimal = "0.95"
    """Nucleus sampling: draws from the most probable tokens whose probabilities add up to this value."""

    max_new_tokens: Annotated[int, Field(ge=8, le=512)] = 160
    """Maximum number of tokens to generate for a sample, after its prompt."""


class HubRepository(Model):
    """A model repository on the Hugging Face Hub."""

    repo: Annotated[str, Field(pattern=r"^([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*$", max_length=193)] | None = None
    """Name of the repository, optionally with its owner. The default consists of the sorted handles, below the owner
    of the token. The files of the model replace all files of the repository."""

    private: bool = True
    """True creates a new repository as private; an existing repository is not changed."""

    secret_ref: LocalReference
    """Secret with the key token, a token of the Hub with write permission."""


class PublishCriteria(Model):
    """Limits that a model must meet to be published. The message of Trained names a limit that is exceeded."""

    max_perplexity: CanonicalDecimal | None = None
    """Maximum perplexity on held-out posts."""

    max_loss: CanonicalDecimal | None = None
    """Maximum loss on held-out posts, in nats per token."""

    max_bits_per_byte: CanonicalDecimal | None = None
    """Maximum bits per byte of held-out posts, comparable between tokenizers."""

    max_memorized_fraction: CanonicalDecimal | None = None
    """Maximum fraction of samples that repeat a training post, such as "0.1"."""


class Publish(Model):
    """Publication of the finished model outside storage. A change publishes again and trains nothing."""

    hugging_face: HubRepository

    criteria: PublishCriteria | None = None


class Storage(Model):
    """S3-compatible storage of data sets, checkpoints and models.

    A TweetModel needs storage unless the administrator has set a default.
    """

    model_config = with_cel_rules(
        cel_rule(
            "self.uri == oldSelf.uri",
            "storage.uri can't change (the data of this TweetModel is stored there): create another TweetModel",
        )
    )

    uri: Annotated[S3Uri, Field(max_length=640)]
    """Bucket and prefix, such as s3://my-bucket/tweetmodels."""

    endpoint: ServiceUrl | None = None
    """URL of the service; AWS by default."""

    region: Annotated[str, Field(min_length=1, max_length=64)] = "us-east-1"
    """Region of the bucket."""

    secret_ref: LocalReference | None = None
    """Secret with the keys accessKeyID and secretAccessKey. Not needed if the ServiceAccount of the pods has access to
    the bucket."""


Quantities = Annotated[
    dict[Annotated[str, Field(max_length=253)], Annotated[int | str, Field(json_schema_extra={"maxLength": 32})]],
    Field(max_length=16),
]


class Resources(Model):
    """Compute resources of train and sample pods, as in a container; default: `train.resources` of the chart."""

    requests: Quantities | None = None
    """Resources reserved for the pod."""

    limits: Quantities | None = None
    """Maximum resources of the pod."""


class Schedule(Model):
    """Times at which the sources are collected again. The fields mean the same as in a CronJob.

    A new model becomes the current model if its held-out loss is lower.
    """

    cron: Annotated[
        str,
        Field(pattern=rf"^\s*({'|'.join(MACROS)}|[^\s@]\S*(\s+\S+){{4}})\s*$", max_length=128),
    ]
    """Minute, hour, day of month, month and day of week, such as "0 6 * * 1"; or @hourly, @daily, @weekly, @monthly or
    @yearly."""

    time_zone: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", max_length=64)] = "Etc/UTC"
    """Time zone of `cron`, such as Europe/Berlin."""

    concurrency_policy: Literal["Forbid", "Replace"] = "Forbid"
    """Forbid delays a due time until the active run has ended; Replace cancels the active run. CronJob's Allow does
    not exist: a TweetModel has one data set and one current model."""

    starting_deadline_seconds: Annotated[int, Field(ge=0)] | None = None
    """Maximum delay of a due time in seconds; a later due time is skipped. With values below ten, due times may be
    skipped while the operator is busy."""

    min_new_posts: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Minimum number of new distinct posts for a new training after a scheduled collection."""


Gpus = Annotated[int, Field(ge=0, le=8)]

QueueName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)]


class TweetModelSpec(Model):
    """Sources of posts, base model, training, samples, and storage of the results."""

    model_config = with_cel_rules(
        cel_rule(
            "!has(oldSelf.storage) || has(self.storage)",
            "storage can't be removed (the data of this TweetModel is stored there): create another TweetModel",
        ),
        cel_rule(
            "!has(self.gpus) || self.gpus < 2 || "
            "self.training.globalBatchSize % (self.gpus * self.training.gradientAccumulationSteps) == 0",
            "training.globalBatchSize is not a multiple of gpus times training.gradientAccumulationSteps (the GPUs "
            "share the blocks of an optimizer step): change one of the three",
        ),
        cel_rule(
            "!self.sources.exists(s, self.cleaning.erase.exists(e, e.lowerAscii() == '@' + s.handle.lowerAscii()))",
            "cleaning.erase contains the account of a source: remove the source; to erase the only source, delete the "
            "TweetModel with deletionPolicy Delete",
        ),
        cel_rule(
            "!self.sources.exists(s, self.cleaning.excludeAccounts.exists(e, e.lowerAscii() == s.handle.lowerAscii()))",
            "cleaning.excludeAccounts contains the account of a source (all its posts would be dropped): remove the "
            "account there, or the source",
        ),
        cel_rule(
            "self.sources.all(s, self.sources.exists_one(other, other.handle.lowerAscii() == s.handle.lowerAscii()))",
            "two sources have the same handle (the case of letters is ignored): keep one source",
        ),
    )

    sources: Annotated[
        tuple[Source, ...], Field(min_length=1, max_length=16, json_schema_extra=list_type_map("handle"))
    ]
    """Accounts to train on; the model learns one style from all of them."""

    cleaning: Cleaning = Cleaning()

    base_model: BaseModelSource = BaseModelSource(hub=HubModel(name="openai-community/gpt2"))

    training: Training = Training()

    generation: Generation = Generation()

    publish: Publish | None = None

    report_to: ReportTo | None = None

    storage: Storage

    gpus: Gpus = 1
    """GPUs of the train pod; a sample pod gets at most one. The blocks of an optimizer step are distributed over the
    GPUs and do not depend on their number. 0 trains on the CPU; default 1. Collecting and publishing never use a
    GPU."""

    resources: Resources | None = None

    pod_template: PodTemplate | None = None

    queue_name: QueueName | None = None
    """LocalQueue of Kueue for train and sample Jobs; collect and publish Jobs are not queued."""

    schedule: Schedule | None = None

    pinned_run: Identifier | None = None
    """Id of a run in status.runs whose model becomes the current model. While a run is pinned, nothing is collected
    and trained."""

    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """Retain keeps data sets, checkpoints and models in the bucket when the TweetModel is deleted; Delete deletes
    them."""

    suspend: bool = False
    """True writes a checkpoint and stops the run; false resumes from the checkpoint."""

    @property
    def weights(self) -> dict[str, int]:
        """Sampling weights of the accounts, by handle."""
        return {source.handle: source.weight for source in self.sources}
