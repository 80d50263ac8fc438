"""Names of labels, annotations and objects of the operator.

Names are pure functions of the objects' purpose. Creating an existing object therefore counts as success, and neither a
crash between two writes nor a second operator does harm.
"""

from tweetmodel_api import GROUP
from tweetmodel_api.identities import short_hash
from tweetmodel_api.steps import StepName

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
QUEUE = "kueue.x-k8s.io/queue-name"

CONTAINER = "trainer"
AUDIENCE = f"{GROUP}/progress"

SELECTOR = f"{MANAGED_BY}={OPERATOR}"


def job_name(owner: str, uid: str, step: StepName, step_id: str, attempt: int) -> str:
    """Return the name of a Job: readable, unique by a hash, and short enough for a label value."""
    return f"{owner}-{step}-{short_hash(uid, step, step_id, attempt)}"


def purge_id(uid: str) -> str:
    """Return the id of the purge step of a TweetModel."""
    return short_hash(uid, "purge")


def job_labels(owner: str, step: StepName, step_id: str, attempt: int) -> dict[str, str]:
    """Return the labels of a Job and the pods, for selection by the operator."""
    return {
        "app.kubernetes.io/name": "tweetmodel",
        MANAGED_BY: OPERATOR,
        NAME: owner,
        STEP: step,
        STEP_ID: step_id,
        ATTEMPT: str(attempt),
    }
