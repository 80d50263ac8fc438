"""The kinds of steps, as data. Each step of a TweetModel runs as a Job."""

from dataclasses import dataclass
from typing import Literal, get_args

from tweetmodel_api.reasons import REASONS, Reason

StepName = Literal["collect", "train", "sample", "publish", "purge"]

STEP_NAMES: tuple[StepName, ...] = get_args(StepName)


@dataclass(frozen=True)
class StepKind:
    """Properties of a kind of step, for the Job and the status."""

    active_reason: Reason
    """Reason of Ready while the step is active."""
    uses_spec_resources: bool = False
    """True if the pod gets resources, placement, queue and GPUs from the spec; False if from the administrator."""
    reads_sources: bool = False
    """True if the pod reads the sources."""
    trains: bool = False
    """True if the pod reads the base model, writes checkpoints and reports to experiment trackers."""
    samples: bool = False
    """True if the pod draws samples by spec.generation."""
    publishes: bool = False
    """True if the pod publishes the model on request of the spec."""


STEP_KINDS: dict[StepName, StepKind] = {
    "collect": StepKind(Reason.COLLECTING, reads_sources=True),
    "train": StepKind(Reason.TRAINING, uses_spec_resources=True, trains=True, samples=True, publishes=True),
    "sample": StepKind(Reason.SAMPLING, uses_spec_resources=True, samples=True, publishes=True),
    "publish": StepKind(Reason.PUBLISHING, publishes=True),
    "purge": StepKind(Reason.PURGING),
}

ACTIVE_REASONS = frozenset(kind.active_reason for kind in STEP_KINDS.values())


def remedy(reason: Reason, step: StepName) -> str:
    """Return the remedy for a reason, in a pod of this step."""
    info, kind = REASONS[reason], STEP_KINDS[step]
    if info.sampling_advice and kind.samples and not kind.trains:
        return info.sampling_advice
    if info.admin_advice and not kind.uses_spec_resources:
        return info.admin_advice
    return info.advice
