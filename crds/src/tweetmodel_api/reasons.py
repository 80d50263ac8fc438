"""Every reason a TweetModel can show, with what it means, who must act and the exit code of a pod that
ends with it. The trainer raises them, the operator shows them, docs/troubleshooting.md is made of them.

Exit codes follow BSD's sysexits.h where it has one (65 data, 66 no input, 75 temporary, 77 permission,
78 configuration) and 128 + signal number for a pod that was told to stop.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """How a pod ends; the Job's podFailurePolicy decides by it (see `PERMANENT`)."""

    DONE = 0
    BUG = 1
    DATA = 65
    SOURCE = 66
    TEMPORARY = 75
    DENIED = 77
    CONFIGURATION = 78
    INTERRUPTED = 143


PERMANENT = (ExitCode.DATA, ExitCode.SOURCE, ExitCode.DENIED, ExitCode.CONFIGURATION)
"""Codes that another attempt would only repeat: the Job fails at once."""


class Reason(StrEnum):
    """The closed list of reasons; `FACTS` says what each means."""

    PENDING = "Pending"
    COLLECTING = "Collecting"
    TRAINING = "Training"
    QUEUED = "Queued"
    SUSPENDED = "Suspended"
    PURGING = "Purging"
    PURGE_FAILED = "PurgeFailed"
    SUCCEEDED = "Succeeded"

    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    SECRET_INVALID = "SecretInvalid"
    POD_REFUSED = "PodRefused"
    NODE_LOST = "NodeLost"

    INVALID_SPEC = "InvalidSpec"
    NOT_ALLOWED = "NotAllowed"
    NOT_ENOUGH_TWEETS = "NotEnoughTweets"
    INVALID_ARCHIVE = "InvalidArchive"
    INVALID_POSTS = "InvalidPosts"
    SOURCE_MISSING = "SourceMissing"
    SOURCE_DENIED = "SourceDenied"
    SOURCE_TOO_LARGE = "SourceTooLarge"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    X_TOKEN_INVALID = "XTokenInvalid"
    X_FORBIDDEN = "XForbidden"
    X_UNREACHABLE = "XUnreachable"
    ACCOUNT_MISSING = "AccountMissing"
    ACCOUNT_RENAMED = "AccountRenamed"
    ACCOUNT_SUSPENDED = "AccountSuspended"
    ACCOUNT_PROTECTED = "AccountProtected"
    RUN_MISSING = "RunMissing"
    BUCKET_MISSING = "BucketMissing"
    BASE_MODEL_MISSING = "BaseModelMissing"
    BASE_MODEL_INVALID = "BaseModelInvalid"
    ACCESS_DENIED = "AccessDenied"
    INVALID_STORAGE = "InvalidStorage"
    STORAGE_UNREACHABLE = "StorageUnreachable"
    HUB_UNREACHABLE = "HubUnreachable"
    HUB_DENIED = "HubDenied"
    DIVERGED = "Diverged"
    GPU_UNUSABLE = "GPUUnusable"
    OUT_OF_MEMORY = "OutOfMemory"
    DISK_FULL = "DiskFull"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    INTERRUPTED = "Interrupted"
    INTERNAL_ERROR = "InternalError"


@dataclass(frozen=True)
class Fact:
    """What a reason means (`meaning`), what to do about it (`advice`), and the pod's exit code, if a pod gives it."""

    meaning: str
    advice: str
    exit_code: ExitCode | None = None
    advice_collecting: str = ""
    """What to do instead where no training pod is concerned: the others' resources are the administrator's."""

    def advise(self, stage: str) -> str:
        """What to do about it in this stage."""
        return self.advice if stage == "train" or not self.advice_collecting else self.advice_collecting


_NOTHING = "Nothing: it continues on its own."

FACTS: dict[Reason, Fact] = {
    Reason.PENDING: Fact("The pod has not started yet.", _NOTHING),
    Reason.COLLECTING: Fact("Posts are being gathered and cleaned; no GPU is held.", _NOTHING),
    Reason.TRAINING: Fact("The model is being fine-tuned, evaluated and sampled.", _NOTHING),
    Reason.QUEUED: Fact(
        "Another manager, such as Kueue, holds the Job back until there is room.",
        "`kubectl describe workloads` says why; if there is none, correct spec.queueName, or have Kueue installed.",
    ),
    Reason.SUSPENDED: Fact("spec.suspend is true.", "Set spec.suspend to false to go on from the last checkpoint."),
    Reason.PURGING: Fact("Its folder in the bucket is being deleted, as spec.deletionPolicy says.", _NOTHING),
    Reason.PURGE_FAILED: Fact(
        "The TweetModel is gone, but its folder in the bucket could not be deleted (reported by an event alone).",
        "Delete it yourself.",
    ),
    Reason.SUCCEEDED: Fact("The model for this spec is ready.", "Use it: status.model.uri says where it is."),
    Reason.UNSCHEDULABLE: Fact(
        "No node has room for the pod.",
        "Compare the nodes with spec.gpus, spec.resources and spec.podTemplate.",
        advice_collecting="Compare the nodes with the chart's collect.resources and collect.placement.",
    ),
    Reason.IMAGE_PULL_FAILED: Fact(
        "A node can't pull the trainer image.",
        "Check the chart's trainer.image; for a private registry, name podTemplate.imagePullSecrets.",
    ),
    Reason.SECRET_INVALID: Fact(
        "A Secret that the spec names is missing, or lacks a key.",
        "Create the Secret in this namespace: for storage.secretRef with the keys accessKeyID and secretAccessKey, for "
        "publish.huggingFace, baseModel.hub, reportTo.trackio or a huggingFace source with the key token, for an xAPI "
        "source with the key bearerToken, for reportTo.wandb with the key apiKey, for reportTo.mlflow with the keys "
        "username and password, or the key token.",
    ),
    Reason.POD_REFUSED: Fact(
        "The cluster refuses to make the pod: a quota, a policy or an admission webhook.",
        "Change what it refuses, or ask your cluster's administrator.",
    ),
    Reason.NODE_LOST: Fact(
        "The pod's node does not answer. No other pod starts before this one is known to have ended, since two would "
        "write to the same folder.",
        "Bring the node back; if it is gone for good, delete its Node object, or taint it with "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute. The next pod goes on from the last checkpoint.",
    ),
    Reason.INVALID_SPEC: Fact(
        "The spec or the plan made of it can't be read.",
        "Correct that field.",
        ExitCode.CONFIGURATION,
    ),
    Reason.NOT_ALLOWED: Fact(
        "The operator's administrator does not allow what the spec asks for.",
        "Leave it out, or ask the administrator, who sets the chart's trainer.allowed, xAPI.enabled and `never`.",
    ),
    Reason.NOT_ENOUGH_TWEETS: Fact(
        "Too little text is left after cleaning to learn a voice from.",
        "Add a source, or choose an account that has written more.",
        ExitCode.DATA,
    ),
    Reason.INVALID_ARCHIVE: Fact(
        "The archive can't be read as an export from X.",
        "Download the archive from X again, and take data/tweets.js and data/note-tweet.js out of it.",
        ExitCode.DATA,
    ),
    Reason.INVALID_POSTS: Fact(
        "A file of posts can't be read in its format, in UTF-8, with the named text field.",
        "Correct that line, or the source's format, textField or where.",
        ExitCode.DATA,
    ),
    Reason.SOURCE_MISSING: Fact(
        "A source's object does not exist.", "Upload it, or correct the source's uri.", ExitCode.SOURCE
    ),
    Reason.SOURCE_DENIED: Fact(
        "The web server or the Hub refuses a source.",
        "Use an address that needs no login, give a token for the Hub, or put the file into the bucket.",
        ExitCode.DENIED,
    ),
    Reason.SOURCE_TOO_LARGE: Fact(
        "A source's file is larger than the trainer reads.",
        "Split it, or remove rows that are not posts.",
        ExitCode.DATA,
    ),
    Reason.SOURCE_UNREACHABLE: Fact(
        "The server of a source does not answer.",
        "Check the address and the network between the pod and it.",
        ExitCode.TEMPORARY,
    ),
    Reason.X_TOKEN_INVALID: Fact(
        "X does not know the token.",
        "Put an app's bearer token into the key bearerToken of the Secret that the source names.",
        ExitCode.DENIED,
    ),
    Reason.X_FORBIDDEN: Fact(
        "X refuses to read the account with this token.", "Check the app's access and credits at X.", ExitCode.DENIED
    ),
    Reason.X_UNREACHABLE: Fact("X does not answer.", "Wait until X answers again.", ExitCode.TEMPORARY),
    Reason.ACCOUNT_MISSING: Fact("There is no such account on X.", "Correct the source's handle.", ExitCode.SOURCE),
    Reason.ACCOUNT_RENAMED: Fact(
        "The account goes by another name now.", "Correct the source's handle.", ExitCode.SOURCE
    ),
    Reason.ACCOUNT_SUSPENDED: Fact(
        "X has suspended the account.", "Remove the source, or use the archive of its owner.", ExitCode.SOURCE
    ),
    Reason.ACCOUNT_PROTECTED: Fact(
        "The account shows its posts to its followers alone.",
        "Ask its owner for their archive, and use that.",
        ExitCode.SOURCE,
    ),
    Reason.RUN_MISSING: Fact(
        "The model or results of a run are no longer in storage.",
        "Pin another run, or none: without a pin the next run goes on without it, or set the annotation "
        "tweetmodel.dev/retry.",
        ExitCode.SOURCE,
    ),
    Reason.BUCKET_MISSING: Fact("The bucket does not exist.", "Create it, or correct storage.uri.", ExitCode.SOURCE),
    Reason.BASE_MODEL_MISSING: Fact(
        "The base model does not exist where spec.baseModel says, or is not given out.",
        "Correct its name, revision or uri; one that is gated or private needs a token (baseModel.hub.secretRef).",
        ExitCode.SOURCE,
    ),
    Reason.BASE_MODEL_INVALID: Fact(
        "The base model can't be loaded as a causal language model in safetensors.",
        "Choose another, or save it again with save_pretrained.",
        ExitCode.CONFIGURATION,
    ),
    Reason.ACCESS_DENIED: Fact(
        "The storage service refuses the credentials.",
        "Correct the Secret's keys or the rights of their owner, then set the annotation tweetmodel.dev/retry.",
        ExitCode.DENIED,
    ),
    Reason.INVALID_STORAGE: Fact(
        "spec.storage can't be used as written, or no credentials were found.",
        "Correct spec.storage.",
        ExitCode.CONFIGURATION,
    ),
    Reason.STORAGE_UNREACHABLE: Fact(
        "The storage service does not answer.",
        "Check spec.storage.endpoint and the network between the pod and it.",
        ExitCode.TEMPORARY,
    ),
    Reason.HUB_UNREACHABLE: Fact(
        "The Hugging Face Hub does not answer.",
        "Check the network. A base model can also be taken from storage with baseModel.s3.",
        ExitCode.TEMPORARY,
    ),
    Reason.HUB_DENIED: Fact(
        "The Hugging Face Hub refuses to take the model, which itself is done and in storage.",
        "Give the token the right to write, or correct publish.huggingFace, then set the annotation "
        "tweetmodel.dev/retry.",
        ExitCode.DENIED,
    ),
    Reason.DIVERGED: Fact(
        "Training diverged: the loss became infinite or not a number.",
        "Lower training.learningRate.",
        ExitCode.CONFIGURATION,
    ),
    Reason.GPU_UNUSABLE: Fact(
        "The pod was given fewer GPUs than it asked for, or CUDA can't use them.",
        "Check the node's driver (CUDA 13 needs 580 or newer) and spec.podTemplate.runtimeClassName, or set gpus: 0.",
        ExitCode.CONFIGURATION,
    ),
    Reason.OUT_OF_MEMORY: Fact(
        "The pod needed more memory than it may use.",
        "Raise spec.resources.limits.memory, or use less: lower training.blockSize, raise "
        "training.gradientAccumulation, set training.gradientCheckpointing, or set training.method to LoRA.",
        ExitCode.CONFIGURATION,
        advice_collecting="Raise the chart's collect.resources.limits.memory.",
    ),
    Reason.DISK_FULL: Fact(
        "The pod's disk is full: sources, base model and a checkpoint must fit it together.",
        "Choose a smaller base model, or nodes with more ephemeral storage.",
        ExitCode.CONFIGURATION,
    ),
    Reason.DEADLINE_EXCEEDED: Fact(
        "The Job took longer than the operator allows.",
        "Train for fewer epochs, or raise the chart's jobs.activeDeadlineSeconds.",
    ),
    Reason.INTERRUPTED: Fact("The pod was told to stop and saved its work first.", _NOTHING, ExitCode.INTERRUPTED),
    Reason.INTERNAL_ERROR: Fact(
        "The trainer failed with an unexpected error.",
        "Read the pod's log and report it as a bug; set the annotation tweetmodel.dev/retry to try again.",
        ExitCode.BUG,
    ),
}
