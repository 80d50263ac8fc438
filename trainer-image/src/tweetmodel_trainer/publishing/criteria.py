"""Decides whether a model meets the criteria of spec.publish."""

from collections.abc import Iterator

from tweetmodel_api.spec import PublishCriteria
from tweetmodel_api.status import Evaluation


def rejection(criteria: PublishCriteria | None, evaluation: Evaluation, baseline_loss: str | None = None) -> str | None:
    """Return the reason why a model is not published, as part of a sentence; None if the model is published.

    Args:
        criteria: limits of the spec.
        evaluation: evaluation of the model.
        baseline_loss: held-out loss of the current model.
    """
    if baseline_loss and float(evaluation.loss) >= float(baseline_loss):
        return f"its held-out loss {evaluation.loss} is not below {baseline_loss}, the loss of the current model"
    if criteria is None:
        return None
    return next(_exceeded_limits(criteria, evaluation), None)


def _exceeded_limits(criteria: PublishCriteria, evaluation: Evaluation) -> Iterator[str]:
    for name, value, limit in (
        ("held-out loss", evaluation.loss, criteria.max_loss),
        ("perplexity", evaluation.perplexity, criteria.max_perplexity),
        ("bits per byte", evaluation.bits_per_byte, criteria.max_bits_per_byte),
        ("memorized fraction", evaluation.memorized_fraction, criteria.max_memorized_fraction),
    ):
        if limit is None:
            continue
        if value is None:
            yield f"its {name} is unknown without samples"
        elif float(value) > float(limit):
            yield f"its {name} {value} exceeds the maximum of {limit}"
