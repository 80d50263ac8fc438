"""Names of labels, annotations and objects of the operator.

The name of an object is a pure function of its purpose. An object that already exists therefore counts as created, and
neither a crash between two writes nor a second operator does harm.
"""

from tweetmodel_api import GROUP
from tweetmodel_api.identities import short_hash
from tweetmodel_api.steps import StepName

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
FIELD_MANAGER = "tweetmodel-operator"
DEFAULTS_MANAGER = "tweetmodel-operator-defaults"
NAME_LABEL = f"{GROUP}/name"
STEP_LABEL = f"{GROUP}/step"
STEP_ID_LABEL = f"{GROUP}/step-id"
ATTEMPT_LABEL = f"{GROUP}/attempt"

POD_TEMPLATE_HASH_ANNOTATION = f"{GROUP}/pod-template-hash"
PLAN_ANNOTATION = f"{GROUP}/plan"
PROGRESS_CA_ANNOTATION = f"{GROUP}/progress-ca"
SUSPENDED_ANNOTATION = f"{GROUP}/suspended"
RUN_ANNOTATION = f"{GROUP}/run"
FINALIZER = f"{GROUP}/purge"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

CONTAINER = "trainer"
AUDIENCE = f"{GROUP}/progress"

SELECTOR = f"{MANAGED_BY_LABEL}={FIELD_MANAGER}"


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
        MANAGED_BY_LABEL: FIELD_MANAGER,
        NAME_LABEL: owner,
        STEP_LABEL: step,
        STEP_ID_LABEL: step_id,
        ATTEMPT_LABEL: str(attempt),
    }
