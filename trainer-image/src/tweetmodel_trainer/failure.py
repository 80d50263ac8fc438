"""The exception for every problem that a person or the environment can cause.

The code that knows the problem raises a `Failure`. `command` turns the failure into the report and the exit code.
"""

import errno

from tweetmodel_api.reasons import Reason
from tweetmodel_api.status import TrainedModel


class Failure(Exception):
    """A step can't continue. The text is a sentence for the user: what happened (cause): what to do.

    Attributes:
        reason: reason of the failure; determines the exit code.
        model: the finished model in storage, if only the publication failed.
    """

    def __init__(self, reason: Reason, message: str, model: TrainedModel | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.model = model


def is_disk_full(error: Exception) -> bool:
    """Return whether an error means a full disk.

    Python sets the error number. safetensors has only a text, and PyTorch only the position at which writing stopped.
    """
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return True
    text = str(error)
    return "No space left on device" in text or ("inline_container.cc" in text and "unexpected pos" in text)
