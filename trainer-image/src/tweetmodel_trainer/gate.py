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
    if when.perplexity_below and float(evaluation.perplexity) >= float(when.perplexity_below):
        return f"its perplexity {evaluation.perplexity} is not below {when.perplexity_below}"
    if when.max_copy_share:
        if evaluation.copy_share is None:
            return "without samples nobody knows what it copies"
        if float(evaluation.copy_share) > float(when.max_copy_share):
            return (
                f"the share {evaluation.copy_share} of its samples repeats a post, and {when.max_copy_share} is allowed"
            )
    return None
