"""Decides whether a model meets the criteria of spec.publish."""

from tweetmodel_api.spec import PublishCriteria
from tweetmodel_api.status import Evaluation


def rejection(criteria: PublishCriteria | None, evaluation: Evaluation, baseline_loss: str | None = None) -> str | None:
    """Return why the model is not published, as part of a sentence, or None if it is published.

    Args:
        criteria: limits of the spec.
        evaluation: evaluation of the model.
        baseline_loss: held-out loss of the current model.
    """
    if baseline_loss and float(evaluation.loss) >= float(baseline_loss):
        return f"its held-out loss {evaluation.loss} is not below {baseline_loss}, the loss of the current model"
    if criteria is None:
        return None
    for name, value, limit in (
        ("held-out loss", evaluation.loss, criteria.max_loss),
        ("perplexity", evaluation.perplexity, criteria.max_perplexity),
        ("bits per byte", evaluation.bits_per_byte, criteria.max_bits_per_byte),
    ):
        if limit and float(value) > float(limit):
            return f"its {name} {value} exceeds the maximum of {limit}"
    if criteria.max_memorized_fraction is None:
        return None
    if evaluation.memorized_fraction is None:
        return "its memorized fraction is unknown without samples"
    if float(evaluation.memorized_fraction) > float(criteria.max_memorized_fraction):
        return (
            f"its memorized fraction {evaluation.memorized_fraction} exceeds the maximum of "
            f"{criteria.max_memorized_fraction}"
        )
    return None
