"""Every reason of a TweetModel's conditions: meaning, remedy, and the exit code of a pod that ends with the reason.

The trainer raises reasons, the operator shows them, and docs/troubleshooting.md is generated from them.

Exit codes follow BSD's sysexits.h where it defines one (65 data, 66 no input, 75 temporary, 77 permission,
78 configuration); 143 is 128 + SIGTERM.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """Exit codes of a pod, on which the podFailurePolicy of the Job depends (see `PERMANENT_EXIT_CODES`)."""

    DONE = 0
    BUG = 1
    DATA = 65
    SOURCE = 66
    TEMPORARY = 75
    DENIED = 77
    CONFIGURATION = 78
    INTERRUPTED = 143


PERMANENT_EXIT_CODES = (ExitCode.DATA, ExitCode.SOURCE, ExitCode.DENIED, ExitCode.CONFIGURATION)
"""Codes of permanent failures: the Job fails at once."""


class Reason(StrEnum):
    """The closed list of reasons; `REASONS` describes each."""

    PENDING = "Pending"
    COLLECTING = "Collecting"
    TRAINING = "Training"
    SAMPLING = "Sampling"
    PUBLISHING = "Publishing"
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
class ReasonInfo:
    """Description of a reason."""

    meaning: str
    """Description for people."""
    advice: str
    """The remedy."""
    exit_code: ExitCode | None = None
    """Exit code of a pod with the reason; None if no pod reports the reason."""
    admin_advice: str = ""
    """Remedy for pods whose resources the administrator sets; empty if `advice` applies to the pods of all steps."""
    sampling_advice: str = ""
    """Remedy for sample pods; empty if `advice` applies. A change of spec.training would train another model."""
    retry_can_succeed: bool = False
    """True if a retry can succeed with an unchanged spec, after a fix elsewhere or an outage."""


_NO_ACTION = "No action is needed."

REASONS: dict[Reason, ReasonInfo] = {
    Reason.PENDING: ReasonInfo("The pod has not started yet.", _NO_ACTION),
    Reason.COLLECTING: ReasonInfo("The posts are being collected and cleaned, without a GPU.", _NO_ACTION),
    Reason.TRAINING: ReasonInfo("The model is being fine-tuned, evaluated and sampled.", _NO_ACTION),
    Reason.SAMPLING: ReasonInfo("New samples are being drawn from the finished model.", _NO_ACTION),
    Reason.PUBLISHING: ReasonInfo("The finished model is being reported and published, without a GPU.", _NO_ACTION),
    Reason.QUEUED: ReasonInfo(
        "Another controller, such as Kueue, keeps the Job suspended until there is quota.",
        "`kubectl describe workloads` shows the cause. If there is no Workload, correct spec.queueName or "
        "install Kueue.",
    ),
    Reason.SUSPENDED: ReasonInfo(
        "spec.suspend is true.", "Set spec.suspend to false to resume from the last checkpoint."
    ),
    Reason.PURGING: ReasonInfo("The TweetModel's folder in the bucket is being deleted (deletionPolicy).", _NO_ACTION),
    Reason.PURGE_FAILED: ReasonInfo(
        "The TweetModel was deleted, but its folder in the bucket could not be deleted (reported by an event only).",
        "Delete the folder yourself.",
    ),
    Reason.SUCCEEDED: ReasonInfo("The model for this spec is ready.", "Use the model at status.model.uri."),
    Reason.UNSCHEDULABLE: ReasonInfo(
        "No node has room for the pod.",
        "Compare the nodes with spec.gpus, spec.resources and spec.podTemplate.",
        admin_advice="Compare the nodes with the chart's collect.resources and collect.placement.",
    ),
    Reason.IMAGE_PULL_FAILED: ReasonInfo(
        "A node can't pull the trainer image.",
        "Check the chart's trainer.image; for a private registry, set podTemplate.imagePullSecrets.",
    ),
    Reason.SECRET_INVALID: ReasonInfo(
        "A Secret that the spec names is missing, or lacks a key.",
        "Create the Secret with all its keys in this namespace; the pod then starts by itself.",
    ),
    Reason.POD_REFUSED: ReasonInfo(
        "The cluster rejects the pod (a quota, a policy or an admission webhook).",
        "Change the rejected fields, or contact the administrator of the cluster.",
    ),
    Reason.NODE_LOST: ReasonInfo(
        "The node of the pod does not respond. No other pod starts until this pod is known to have ended, since two "
        "pods would write to the same folder.",
        "Restore the node. If the node is lost for good, delete its Node object, or taint it with "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute. The next pod resumes from the last checkpoint.",
    ),
    Reason.INVALID_SPEC: ReasonInfo(
        "The spec, or the plan made from the spec, is invalid.",
        "Correct the field.",
        ExitCode.CONFIGURATION,
    ),
    Reason.NOT_ALLOWED: ReasonInfo(
        "The administrator of the operator does not allow this spec.",
        "Remove the field, or contact the administrator, who sets the chart's trainer.allowed, xAPI.enabled and "
        "excludedAccounts.",
    ),
    Reason.NOT_ENOUGH_TWEETS: ReasonInfo(
        "Too little text is left after cleaning to train a model.",
        "Add a source, or choose an account that has written more.",
        ExitCode.DATA,
    ),
    Reason.INVALID_ARCHIVE: ReasonInfo(
        "The archive can't be read as an export from X.",
        "Download the archive from X again, and extract data/tweets.js and data/note-tweet.js.",
        ExitCode.DATA,
        retry_can_succeed=True,
    ),
    Reason.INVALID_POSTS: ReasonInfo(
        "A file of posts can't be read in its format, in UTF-8, with the configured text field.",
        "Correct the line, or the source's format, textField or where.",
        ExitCode.DATA,
        retry_can_succeed=True,
    ),
    Reason.SOURCE_MISSING: ReasonInfo(
        "The object of a source does not exist.",
        "Upload the object, or correct the source's uri.",
        ExitCode.SOURCE,
        retry_can_succeed=True,
    ),
    Reason.SOURCE_DENIED: ReasonInfo(
        "The web server or the Hub denies access to a source.",
        "Use an address without a login, set a token for the Hub, or put the file into the bucket.",
        ExitCode.DENIED,
        retry_can_succeed=True,
    ),
    Reason.SOURCE_TOO_LARGE: ReasonInfo(
        "The file of a source exceeds the size limit of the trainer.",
        "Split the file, or remove rows that are not posts.",
        ExitCode.DATA,
        retry_can_succeed=True,
    ),
    Reason.SOURCE_UNREACHABLE: ReasonInfo(
        "The server of a source does not respond.",
        "Check the address, and the network between the pod and the server.",
        ExitCode.TEMPORARY,
        retry_can_succeed=True,
    ),
    Reason.X_TOKEN_INVALID: ReasonInfo(
        "X rejects the token.",
        "Put the bearer token of an app into the key bearerToken of the source's Secret.",
        ExitCode.DENIED,
        retry_can_succeed=True,
    ),
    Reason.X_FORBIDDEN: ReasonInfo(
        "X denies this token access to the account.",
        "Check the access level and credits of the app at X.",
        ExitCode.DENIED,
        retry_can_succeed=True,
    ),
    Reason.X_UNREACHABLE: ReasonInfo(
        "X does not respond.", "Wait until X responds again.", ExitCode.TEMPORARY, retry_can_succeed=True
    ),
    Reason.ACCOUNT_MISSING: ReasonInfo(
        "The account does not exist on X.", "Correct the source's handle.", ExitCode.SOURCE
    ),
    Reason.ACCOUNT_RENAMED: ReasonInfo(
        "The account has a new handle.", "Correct the source's handle.", ExitCode.SOURCE
    ),
    Reason.ACCOUNT_SUSPENDED: ReasonInfo(
        "X has suspended the account.",
        "Remove the source, or use the archive of the account's owner.",
        ExitCode.SOURCE,
        retry_can_succeed=True,
    ),
    Reason.ACCOUNT_PROTECTED: ReasonInfo(
        "The posts of the account are visible only to its followers.",
        "Ask the owner for an archive, and use the archive.",
        ExitCode.SOURCE,
        retry_can_succeed=True,
    ),
    Reason.RUN_MISSING: ReasonInfo(
        "The model or the results of a run are no longer in storage.",
        "Pin another run, or remove the pin: the next run then starts without the missing one.",
        ExitCode.SOURCE,
        retry_can_succeed=True,
    ),
    Reason.BUCKET_MISSING: ReasonInfo(
        "The bucket does not exist.",
        "Create the bucket, or correct storage.uri.",
        ExitCode.SOURCE,
        retry_can_succeed=True,
    ),
    Reason.BASE_MODEL_MISSING: ReasonInfo(
        "The base model does not exist at spec.baseModel, or access is denied.",
        "Correct name, revision or uri; a gated or private model needs a token (baseModel.hub.secretRef).",
        ExitCode.SOURCE,
        retry_can_succeed=True,
    ),
    Reason.BASE_MODEL_INVALID: ReasonInfo(
        "The base model can't be loaded as a causal language model in safetensors.",
        "Choose another model, or save the model again with save_pretrained.",
        ExitCode.CONFIGURATION,
        retry_can_succeed=True,
    ),
    Reason.ACCESS_DENIED: ReasonInfo(
        "The storage service rejects the credentials.",
        "Correct the keys in the Secret, or the permissions of their owner.",
        ExitCode.DENIED,
        retry_can_succeed=True,
    ),
    Reason.INVALID_STORAGE: ReasonInfo(
        "spec.storage is unusable, or the pod found no credentials.",
        "Correct spec.storage.",
        ExitCode.CONFIGURATION,
    ),
    Reason.STORAGE_UNREACHABLE: ReasonInfo(
        "The storage service does not respond.",
        "Check spec.storage.endpoint, and the network between the pod and the service.",
        ExitCode.TEMPORARY,
        retry_can_succeed=True,
    ),
    Reason.HUB_UNREACHABLE: ReasonInfo(
        "The Hugging Face Hub does not respond.",
        "Check the network. baseModel.s3 loads a base model from storage instead.",
        ExitCode.TEMPORARY,
        retry_can_succeed=True,
    ),
    Reason.HUB_DENIED: ReasonInfo(
        "The Hugging Face Hub rejects the upload; the model is finished and in storage.",
        "Give the token write permission, or correct publish.huggingFace.",
        ExitCode.DENIED,
        retry_can_succeed=True,
    ),
    Reason.DIVERGED: ReasonInfo(
        "Training diverged: the loss became infinite or not a number.",
        "Lower training.learningRate.",
        ExitCode.CONFIGURATION,
    ),
    Reason.GPU_UNUSABLE: ReasonInfo(
        "The pod has fewer GPUs than requested, or CUDA can't use them.",
        "Check the driver of the node (CUDA 13 needs 580 or newer) and spec.podTemplate.runtimeClassName, or "
        "set gpus: 0.",
        ExitCode.CONFIGURATION,
        retry_can_succeed=True,
    ),
    Reason.OUT_OF_MEMORY: ReasonInfo(
        "The pod exceeded its memory limit.",
        "Raise spec.resources.limits.memory, or reduce the use of memory: raise training.gradientAccumulationSteps, "
        "lower training.blockSize, set training.gradientCheckpointing, or set training.method to LoRA.",
        ExitCode.CONFIGURATION,
        admin_advice="Raise the chart's collect.resources.limits.memory.",
        sampling_advice="Raise spec.resources.limits.memory, or lower generation.maxNewTokens.",
    ),
    Reason.DISK_FULL: ReasonInfo(
        "The disk of the pod is full: sources, base model and a checkpoint must fit together.",
        "Choose a smaller base model, or nodes with more ephemeral storage.",
        ExitCode.CONFIGURATION,
        retry_can_succeed=True,
    ),
    Reason.DEADLINE_EXCEEDED: ReasonInfo(
        "The Job exceeded the time limit of the operator.",
        "Train for fewer epochs, or raise the chart's jobs.activeDeadlineSeconds.",
        sampling_advice="Lower generation.samplesPerPrompt, or raise the chart's jobs.activeDeadlineSeconds.",
        retry_can_succeed=True,
    ),
    Reason.INTERRUPTED: ReasonInfo(
        "The pod was terminated on request. A training saved a checkpoint first.",
        _NO_ACTION,
        ExitCode.INTERRUPTED,
        retry_can_succeed=True,
    ),
    Reason.INTERNAL_ERROR: ReasonInfo(
        "The trainer failed with an unexpected error.",
        "Read the log of the pod, and report the error as a bug.",
        ExitCode.BUG,
        retry_can_succeed=True,
    ),
}
