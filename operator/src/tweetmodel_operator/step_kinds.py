"""The kinds of steps, as data: the resources of their pods, and the reason in the status meanwhile."""

from dataclasses import dataclass

from tweetmodel_api.identities import StepName
from tweetmodel_api.reasons import Reason


@dataclass(frozen=True)
class StepKind:
    """Properties of a kind of step, for the Job and the status."""

    active_reason: Reason
    """Reason of Ready while the step is active."""
    uses_gpu: bool = False
    """True if the pod needs GPUs, and with them the resources, placement and queue of the spec."""
    reads_sources: bool = False
    """True if the pod reads the sources."""
    trains: bool = False
    """True if the pod reads the base model, writes checkpoints and reports to experiment trackers."""
    publishes: bool = False
    """True if the pod publishes the model on request of the spec."""


STEP_KINDS: dict[StepName, StepKind] = {
    "collect": StepKind(Reason.COLLECTING, reads_sources=True),
    "train": StepKind(Reason.TRAINING, uses_gpu=True, trains=True, publishes=True),
    "sample": StepKind(Reason.SAMPLING, uses_gpu=True, publishes=True),
    "publish": StepKind(Reason.PUBLISHING, publishes=True),
    "purge": StepKind(Reason.PURGING),
}

ACTIVE_REASONS = frozenset(kind.active_reason for kind in STEP_KINDS.values())
