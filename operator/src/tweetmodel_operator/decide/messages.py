"""Messages of conditions: what happened, the cause, and the remedy, in full sentences."""

from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.steps import StepName, remedy


def sentences(*parts: str) -> str:
    """Return the non-empty parts as sentences, each with one full stop."""
    return " ".join(f"{part.rstrip('. ')}." for part in parts if part)


def explain(reason: Reason, step: StepName, cause: str = "", advice: str = "") -> str:
    """Return the meaning of a reason, the cause, and the remedy; `advice` replaces the general remedy."""
    return sentences(REASONS[reason].meaning, cause, advice or remedy(reason, step))
