"""Names of what the operator makes. They are pure functions of what they stand for, so creating what
exists already is success: a crash between two writes is harmless, and so is a second operator.
"""

from tweetmodel_api import GROUP
from tweetmodel_api.identities import StepName, short_hash

MANAGED_BY = "app.kubernetes.io/managed-by"
OPERATOR = "tweetmodel-operator"
DEFAULTS_MANAGER = "tweetmodel-operator-defaults"
NAME = f"{GROUP}/name"
STEP = f"{GROUP}/step"
STEP_ID = f"{GROUP}/step-id"
ATTEMPT = f"{GROUP}/attempt"

POD_TEMPLATE_HASH = f"{GROUP}/pod-template-hash"
PLAN = f"{GROUP}/plan"
PROGRESS_CA = f"{GROUP}/progress-ca"
SUSPENDED = f"{GROUP}/suspended"
RUN = f"{GROUP}/run"
RETRY = f"{GROUP}/retry"
FINALIZER = f"{GROUP}/purge"
FINALIZER_MANAGER = f"{OPERATOR}-finalizer"
QUEUE = "kueue.x-k8s.io/queue-name"

CONTAINER = "trainer"
AUDIENCE = f"{GROUP}/progress"

SELECTOR = f"{MANAGED_BY}={OPERATOR}"


def job_name(owner: str, uid: str, stage: StepName, identity: str, attempt: int) -> str:
    """Readable first, unique by its hash; fits the 63 characters of a label."""
    return f"{owner}-{stage}-{short_hash(uid, stage, identity, attempt)}"


def purge_id(uid: str) -> str:
    """What a TweetModel's purge is known by."""
    return short_hash(uid, "purge")


def job_labels(owner: str, stage: StepName, identity: str, attempt: int) -> dict[str, str]:
    """Labels of a Job and its pods, by which they are found again."""
    return {
        "app.kubernetes.io/name": "tweetmodel",
        MANAGED_BY: OPERATOR,
        NAME: owner,
        STEP: stage,
        STEP_ID: identity,
        ATTEMPT: str(attempt),
    }
