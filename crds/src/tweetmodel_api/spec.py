"""What a user may write. The CRD is generated from these models: types, bounds, defaults, descriptions
and the CEL rules that let the API server refuse a mistake at `kubectl apply` with a sentence that says
what to do. Defaults are the recipe of huggingtweets (github.com/borisdayma/huggingtweets).
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tweetmodel_api.cron import MACROS
from tweetmodel_api.fields import (
    Address,
    DecimalSetting,
    HttpsUri,
    Identifier,
    LocalReference,
    Location,
    Model,
    S3Uri,
    a_set,
    atomic,
    map_list,
    rule,
    rules,
)
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.trackers import ReportTo

MAX_NAME = 40
"""Longest name of a TweetModel: the names of its Jobs and their pods are made of it and must fit 63."""


def _exactly_one(what: str, *members: str) -> dict[str, str]:
    present = ", ".join(f"has(self.{m})" for m in members)
    choice = f"{', '.join(members[:-1])} or {members[-1]}"
    return rule(
        f"[{present}].exists_one(given, given)", f"{what} needs exactly one of {choice}: keep one and remove the rest"
    )


Handle = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,15}$", max_length=15)]
"""An account's handle on X, without the @."""


class Archive(Model):
    """X's own export ("Download an archive of your data")."""

    uri: Location
    """A zip of tweets.js and note-tweet.js, taken out of the one that X made, which holds private messages too; or a
    tweets.js alone. At an https:// address or in the bucket service that `storage` names; an s3:// URI that ends with /
    names the folder of an unpacked export."""


class Rows(Model):
    """Which rows of a table are posts, and which of their fields is the text."""

    text_field: Annotated[str, Field(min_length=1, max_length=128)] = "text"
    """The field or column that holds the post's text. id, created_at, lang and in_reply_to_user_id are read too,
    where they are there."""

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
    """Reads only the rows whose fields say this, such as author: ada for the posts of one author among many."""


PostsFormat = Literal["JSONL", "CSV", "Parquet", "Text"]


class Posts(Rows):
    """How a file of posts is to be read; gzipped files are told by their first bytes."""

    model_config = rules(
        rule(
            "!has(self.where) || !has(self.format) || self.format != 'Text'",
            "where asks for fields, and plain text has none: remove where, or correct format",
        )
    )

    format: PostsFormat | None = None
    """JSONL (one object a line, or a list of objects), CSV (its first line names the columns), Parquet, or Text (one
    post a line); absent: as the file's name ends (.jsonl, .csv, .parquet, .txt, each with or without .gz), else
    JSONL."""


class S3Posts(Posts):
    """Posts in a file of a bucket."""

    uri: S3Uri
    """The object to read, in the bucket service that `storage` names."""


class HttpsPosts(Posts):
    """Posts in a file on the web."""

    uri: HttpsUri
    """The file to read, reachable from the cluster without a password."""


class XApi(Model):
    """The account's own timeline, read from the X API, which takes money for each post.

    X's developer agreement forbids using what comes from there to train some models: the operator's administrator
    must have switched this on.
    """

    secret_ref: LocalReference
    """A Secret whose key bearerToken holds the bearer token of an X app."""

    max_posts: Annotated[int, Field(ge=100, le=3200)] = 3200
    """The newest posts, retweets not counted; X shows no more than 3,200."""

    budget_usd: DecimalSetting = Field(alias="budgetUSD")
    """The most that may ever be paid for posts of this account, in dollars, at $0.005 a post. What X takes for looking
    the account up ($0.010 each time) is not in it."""


class HubDataset(Rows):
    """Posts in a data set on the Hugging Face Hub."""

    dataset: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[\w.-]+$", max_length=200)]
    """Its name, such as somebody/their-tweets."""

    revision: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Branch, tag or commit; absent: the Hub's own Parquet conversion, else main."""

    split: Annotated[str, Field(pattern=r"^[\w.-]+$", max_length=64)] = "train"
    """The split to read."""

    config: Annotated[str, Field(pattern=r"^[\w./-]+$", max_length=128)] | None = None
    """The configuration to read: the folder that the split is in. Absent: the only one, or the one named default."""

    secret_ref: LocalReference | None = None
    """A Secret with the key token, for one that is private or gated."""


class Source(Model):
    """One account and where its posts come from."""

    model_config = rules(_exactly_one("a source", "archive", "s3", "https", "huggingFace", "tweetModel", "xAPI"))

    handle: Handle
    """The account's handle on X, without the @."""

    weight: Annotated[int, Field(ge=1, le=100)] = 1
    """How often its posts are read beside those of the other accounts; at equal weights each is read equally often,
    whoever wrote more."""

    archive: Archive | None = None

    s3: S3Posts | None = None

    https: HttpsPosts | None = None

    hugging_face: HubDataset | None = None

    tweet_model: LocalReference | None = None
    """The posts that another TweetModel of this namespace has cleaned, in the same storage service."""

    x_api: Annotated[XApi | None, Field(alias="xAPI")] = None


_sorted = AfterValidator(lambda values: tuple(sorted(set(values))))  # a set: its order changes no identity


class Cleaning(Model):
    """Which posts are left out, and what is taken from the texts of the others; by default as huggingtweets did."""

    drop: Annotated[
        tuple[Literal["Retweets", "Replies", "Short", "Duplicates", "NearDuplicates"], ...],
        Field(max_length=5, json_schema_extra=a_set),
        _sorted,
    ] = ("Retweets", "Short")
    """Posts to leave out. Retweets; Replies to others; Short: fewer than three words that are no link, mention or
    hashtag; Duplicates: the same text again; NearDuplicates: the same words again, whatever their case,
    punctuation, mentions and emoji. The same id again is left out in any case."""

    tidy: Annotated[
        tuple[Literal["Entities", "Links", "Spaces"], ...], Field(max_length=3, json_schema_extra=a_set), _sorted
    ] = ("Entities", "Links", "Spaces")
    """What is tidied in a text. Entities: &amp; becomes &; Links are removed; Spaces: runs of spaces and line
    breaks become one space."""

    never: Annotated[tuple[Handle, ...], Field(max_length=256, json_schema_extra=a_set), _sorted] = ()
    """Accounts that must not appear: posts that mention them are left out, and so are posts of theirs that come by
    another TweetModel."""

    forget: Annotated[
        tuple[Annotated[str, Field(pattern=r"^([0-9]{1,20}|@[A-Za-z0-9_]{1,15})$", max_length=20)], ...],
        Field(max_length=1000, json_schema_extra=a_set),
        _sorted,
    ] = ()
    """Ids of posts that were deleted since, and accounts (@handle) that are to be forgotten with all their posts: they
    are left out and removed from what is kept, and runs that learnt from them are marked as stale. A TweetModel that
    has taken over posts by a source `tweetModel` keeps them until it is told the same."""

    languages: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$", max_length=3)], ...],
        Field(max_length=16, json_schema_extra=a_set),
        _sorted,
    ] = ()
    """Languages to keep, such as en, by the lang field that X gave each post; posts without one stay. Empty: all."""

    @property
    def forgotten_posts(self) -> frozenset[str]:
        """Ids of single posts."""
        return frozenset(name for name in self.forget if not name.startswith("@"))

    @property
    def forgotten_accounts(self) -> frozenset[str]:
        """Handles in lower case, since X takes them in any case."""
        return frozenset(name[1:].lower() for name in self.forget if name.startswith("@"))


class HubModel(Model):
    """A causal language model on the Hugging Face Hub."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?$", max_length=200)]
    """The model's name, such as openai-community/gpt2."""

    revision: Annotated[str, Field(min_length=1, max_length=200)] = "main"
    """Branch, tag or commit; a commit makes the run reproducible."""

    secret_ref: LocalReference | None = None
    """A Secret with the key token, a token of the Hub: for a model that is gated or private."""


class S3Model(Model):
    """A causal language model in the bucket service that `storage` names, for clusters without the Internet."""

    uri: S3Uri
    """The folder that holds config.json, the safetensors weights and the tokenizer."""


class ScratchModel(Model):
    """A new, randomly initialised GPT-2 whose tokenizer is trained on the posts: needs no download."""

    preset: Literal["Tiny", "Small"] = "Tiny"
    """Tiny trains in about a minute on two CPU cores; Small is six times larger."""


class BaseModelSource(Model):
    """The model to start from; GPT-2 when absent."""

    model_config = rules(_exactly_one("baseModel", "hub", "s3", "scratch"))

    hub: HubModel | None = None

    s3: S3Model | None = None

    scratch: ScratchModel | None = None


class EarlyStopping(Model):
    """Scores the held-out posts after each epoch, stops when they are predicted no better, and keeps the best weights.

    The learning rate falls as if all epochs were read.
    """

    patience: Annotated[int, Field(ge=1, le=100)] = 1
    """Stops after so many epochs in a row that did not lower the held-out loss."""


class Training(Model):
    """How the model is fine-tuned."""

    model_config = rules(
        rule(
            "self.batchSize % self.gradientAccumulation == 0",
            "training.batchSize must be a multiple of training.gradientAccumulation: change one of them",
        )
    )

    method: Literal["Full", "LoRA"] = "Full"
    """Full trains all weights; LoRA trains small matrices beside them, which takes a fraction of the GPU's memory
    and wants about ten times the learning rate. The finished model is whole in either case."""

    lora_rank: Annotated[int, Field(ge=1, le=512)] = 16
    """Rank of LoRA's matrices; a higher one learns more and takes more memory."""

    epochs: Annotated[int, Field(ge=1, le=1000)] = 4
    """How often every post is read, each time in another order."""

    learning_rate: DecimalSetting = "1.372e-4"
    """Peak learning rate of AdamW; it falls to zero along a cosine."""

    block_size: Annotated[int, Field(ge=32, le=8192)] = 1024
    """Tokens in a training block; posts are packed into blocks with <|endoftext|> between them."""

    batch_size: Annotated[int, Field(ge=1, le=1024)] = 1
    """Blocks in one optimizer step."""

    gradient_accumulation: Annotated[int, Field(ge=1, le=1024)] = 1
    """Parts in which a step's blocks are read, one after the other: more parts take less memory."""

    gradient_checkpointing: bool = False
    """Computes activations again instead of keeping them: less memory for a third more time."""

    precision: Literal["Auto", "Float32", "BFloat16"] = "Auto"
    """Precision of the arithmetic in training and in drawing samples; the model's weights stay Float32.
    Auto takes BFloat16 where the device computes in it."""

    early_stopping: EarlyStopping | None = None

    warm_start: bool = False
    """Starts from the present model instead of the base, where both come from the same base."""

    checkpoint_seconds: Annotated[int, Field(ge=5, le=86400)] = 60
    """A checkpoint goes to storage this often, and when the pod is asked to stop."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 42
    """Seeds the split, the order of posts, initial weights, dropout and the samples."""


class Generation(Model):
    """How sample tweets are drawn from the finished model."""

    samples: Annotated[int, Field(ge=1, le=100)] = 10
    """How many samples to draw for each prompt; the best ten come back in the status."""

    prompts: Annotated[
        tuple[Annotated[str, Field(max_length=280)], ...],
        Field(min_length=1, max_length=10, json_schema_extra=atomic),
    ] = ("", "I think that", "I like", "I don't like", "I want", "My dream is")
    """What each sample begins with; an empty prompt leaves the model free, the others are huggingtweets'."""

    blocked_words: Annotated[
        tuple[Annotated[str, Field(pattern=r"^\S+$", max_length=64)], ...],
        Field(max_length=100, json_schema_extra=atomic),
    ] = ()
    """Samples that say one of these words, whole and whatever its case, are dropped."""

    temperature: DecimalSetting = "1"
    """Higher is more surprising."""

    top_p: DecimalSetting = "0.95"
    """Draws only from the most probable tokens that together have this probability."""

    max_tokens: Annotated[int, Field(ge=8, le=512)] = 160
    """Most tokens to draw for a sample, after its prompt."""


class HubRepository(Model):
    """A model repository on the Hugging Face Hub."""

    repo: Annotated[str, Field(pattern=r"^([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*$", max_length=193)] | None = None
    """Its name, with or without owner; made of the sorted handles when absent, and the token's owner's. The model's
    files replace all that it holds."""

    private: bool = True
    """Whether a new repository is private; an existing one stays as it is."""

    secret_ref: LocalReference
    """A Secret with the key token: a token of the Hub with the right to write."""


class PublishWhen(Model):
    """What a model must reach to be published; what is left out does not matter. The message says why one is not."""

    perplexity_below: DecimalSetting | None = None
    """Its perplexity on held-out posts must be lower than this."""

    loss_below: DecimalSetting | None = None
    """Its loss on held-out posts, in nats a token, must be lower than this."""

    bits_per_byte_below: DecimalSetting | None = None
    """Its bits per byte of held-out posts must be lower than this, whatever the base model's tokenizer."""

    max_copy_share: DecimalSetting | None = None
    """At most this share of its samples may repeat a training post, "0.1" for a tenth."""


class Publish(Model):
    """Where a finished model goes besides storage. Changing it publishes again and trains nothing."""

    hugging_face: HubRepository

    when: PublishWhen | None = None


class Storage(Model):
    """Where data sets, checkpoints and models lie: any service that speaks S3.

    A TweetModel needs it unless the administrator has set a default.
    """

    model_config = rules(
        rule("self.uri == oldSelf.uri", "storage.uri can't change while runs lie there: make another TweetModel")
    )

    uri: Annotated[S3Uri, Field(max_length=640)]
    """Bucket and prefix, such as s3://my-bucket/tweetmodels."""

    endpoint: Address | None = None
    """Address of the service; absent for AWS."""

    region: Annotated[str, Field(min_length=1, max_length=64)] = "us-east-1"
    """Region of the bucket."""

    secret_ref: LocalReference | None = None
    """A Secret with the keys accessKeyID and secretAccessKey; absent where the
    ServiceAccount `default` of the namespace has access."""


Quantities = Annotated[
    dict[Annotated[str, Field(max_length=253)], Annotated[int | str, Field(json_schema_extra={"maxLength": 32})]],
    Field(max_length=16),
]


class Resources(Model):
    """CPU and memory of the training pod, as in a container; the chart's `train.resources` when absent."""

    requests: Quantities | None = None
    """What is set aside for the pod: it is placed only where that much is free."""

    limits: Quantities | None = None
    """The most that the pod may use."""


class Schedule(Model):
    """When to look at the sources again, with the meaning that CronJob gives these fields.

    A new model becomes the present one if it predicts better.
    """

    cron: Annotated[
        str,
        Field(pattern=rf"^\s*({'|'.join(MACROS)}|[^\s@]\S*(\s+\S+){{4}})\s*$", max_length=128),
    ]
    """Minute, hour, day of month, month and day of week, such as "0 6 * * 1"; or @hourly, @daily, @weekly, @monthly or
    @yearly."""

    time_zone: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", max_length=64)] = "Etc/UTC"
    """Name of the time zone that `cron` is meant in, such as Europe/Berlin."""

    concurrency_policy: Literal["Forbid", "Replace"] = "Forbid"
    """Whether a due time waits until the run under way has ended, or replaces it. CronJob's Allow is not there: a
    TweetModel has one data set and one present model, so two runs at once would only be in each other's way."""

    starting_deadline_seconds: Annotated[int, Field(ge=0)] | None = None
    """A due time that was missed by more than this is passed over. The clock is read in whole seconds: with less than
    ten, a busy operator may pass over what it should have taken."""

    min_new_posts: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Trains again only when so many posts, by their texts, are new since a model was trained last."""


Gpus = Annotated[int, Field(ge=0, le=8)]

QueueName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)]


class TweetModelSpec(Model):
    """Whose tweets, which model to start from, how to train it, where results go."""

    model_config = rules(
        rule(
            "!has(oldSelf.storage) || has(self.storage)",
            "storage can't be taken away while runs lie there: make another TweetModel",
        ),
        rule(
            "!has(self.gpus) || self.gpus < 2 || "
            "self.training.batchSize % (self.gpus * self.training.gradientAccumulation) == 0",
            "gpus share the blocks of a step: training.batchSize must be a multiple of gpus times "
            "training.gradientAccumulation",
        ),
        rule(
            "!self.sources.exists(s, self.cleaning.forget.exists(f, f.lowerAscii() == '@' + s.handle.lowerAscii()))",
            "cleaning.forget names the account of a source: remove that source, and if it is the only one delete the "
            "TweetModel with deletionPolicy Delete",
        ),
        rule(
            "!self.sources.exists(s, self.cleaning.never.exists(n, n.lowerAscii() == s.handle.lowerAscii()))",
            "cleaning.never names the account of a source, whose posts would all be left out: remove one of the two",
        ),
        rule(
            "self.sources.all(s, self.sources.exists_one(other, other.handle.lowerAscii() == s.handle.lowerAscii()))",
            "sources name an account twice, since handles are the same in upper and lower case: keep one of the two",
        ),
    )

    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=16, json_schema_extra=map_list("handle"))]
    """The accounts to learn from; several make one voice out of them."""

    cleaning: Cleaning = Cleaning()

    base_model: BaseModelSource = BaseModelSource(hub=HubModel(name="openai-community/gpt2"))

    training: Training = Training()

    generation: Generation = Generation()

    publish: Publish | None = None

    report_to: ReportTo | None = None

    storage: Storage

    gpus: Gpus = 1
    """GPUs of the training pod, which share the blocks of each step: they are the same whatever the number of GPUs.
    0 trains on the CPU; 1 when absent. Collecting and cleaning never hold one."""

    resources: Resources | None = None

    pod_template: PodTemplate | None = None

    queue_name: QueueName | None = None
    """The LocalQueue of Kueue that the training Job waits in until there is room."""

    schedule: Schedule | None = None

    pinned_run: Identifier | None = None
    """The id of one of status.runs, whose model is to be the present one; nothing is collected and trained then."""

    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What becomes of data sets, checkpoints and models in the bucket when the TweetModel is deleted."""

    suspend: bool = False
    """True stops the run after a checkpoint; false goes on from there."""

    @property
    def weights(self) -> dict[str, int]:
        """The weight of each account, by handle."""
        return {source.handle: source.weight for source in self.sources}
