"""Whether a model's numbers are good enough to be published, by what publish.when asks."""

from tweetmodel_api.spec import PublishWhen
from tweetmodel_api.status import Evaluation


def refusal(when: PublishWhen | None, evaluation: Evaluation, beat: str | None = None) -> str | None:
    """Why the model is not to be published, as part of a sentence; None where it may be.

    Args:
        when: what the spec asks for.
        evaluation: the model's.
        beat: held-out loss of the model whose place it would take.
    """
    if beat and float(evaluation.loss) >= float(beat):
        return f"its held-out loss {evaluation.loss} is not below {beat}, that of the present model"
    if when is None:
        return None
    for name, value, limit in (
        ("held-out loss", evaluation.loss, when.loss_below),
        ("perplexity", evaluation.perplexity, when.perplexity_below),
        ("bits per byte", evaluation.bits_per_byte, when.bits_per_byte_below),
    ):
        if limit and float(value) >= float(limit):
            return f"its {name} {value} is not below {limit}"
    if when.max_copy_share:
        if evaluation.copy_share is None:
            return "without samples nobody knows what it copies"
        if float(evaluation.copy_share) > float(when.max_copy_share):
            return (
                f"the share {evaluation.copy_share} of its samples repeats a post, and {when.max_copy_share} is allowed"
            )
    return None
