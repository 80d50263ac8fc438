"""The one family of errors that a user can cause: a reason from the contract and a sentence.

Raised where it is known what happened; turned into report and exit code in one place (`__main__`).
"""

from tweetmodel_api.reasons import Reason


class Failure(Exception):
    """A stage can't go on. The text is one sentence for the user: what happened, where, what to do."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
