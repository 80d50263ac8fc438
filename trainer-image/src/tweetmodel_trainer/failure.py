"""The one family of errors that a user can cause: a reason from the contract and a sentence.

Raised where it is known what happened; turned into report and exit code in one place (`command`).
"""

from tweetmodel_api.reasons import Reason
from tweetmodel_api.status import TrainedModel


class Failure(Exception):
    """A stage can't go on. The text is one sentence for the user: what happened, where, what to do.

    `model` is what is done and in storage nevertheless, and only not published.
    """

    def __init__(self, reason: Reason, sentence: str, model: TrainedModel | None = None) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.model = model
