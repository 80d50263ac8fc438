"""The report of a pod: JSON in its termination message, of which Kubernetes keeps 4,096 bytes.

The operator copies the report into the status. Large results are in S3; samples are cut until the report fits.
"""

from typing import Literal

from pydantic import ValidationError

from tweetmodel_api.fields import MAX_MESSAGE_LENGTH, Message, Model
from tweetmodel_api.reasons import Reason
from tweetmodel_api.status import MAX_SAMPLES, Dataset, TrainedModel

MAX_REPORT_BYTES = 4096
MAX_REPORTED_SAMPLE_LENGTH = 300


class Report(Model):
    """Outcome of a step."""

    outcome: Literal["Succeeded", "Failed", "Interrupted"]
    reason: Reason
    message: Message
    """Message for people: what happened, where, and the remedy."""
    dataset: Dataset | None = None
    """Data set of a collect step; None for the other steps."""
    model: TrainedModel | None = None
    """Model of a train, sample or publish step, also of a failure after the model was finished."""
    samples: tuple[str, ...] = ()
    """The best samples."""


def encode(report: Report) -> str:
    """Return the report as JSON of at most 4,096 bytes in UTF-8: texts are shortened, then samples dropped, to fit.

    The model of a failure is dropped too if necessary, since the message is more important.

    Raises:
        ValueError: the report is too long even without samples.
    """
    message = _shortened(report.message, MAX_MESSAGE_LENGTH)
    samples = tuple(_shortened(sample, MAX_REPORTED_SAMPLE_LENGTH) for sample in report.samples[:MAX_SAMPLES])
    for count in range(len(samples), -1, -1):
        shortened = report.model_copy(update={"message": message, "samples": samples[:count]})
        text = shortened.model_dump_json(by_alias=True, exclude_none=True)
        if len(text.encode()) <= MAX_REPORT_BYTES:
            return text
    if report.outcome == "Failed" and report.model:
        return encode(report.model_copy(update={"model": None}))
    raise ValueError(f"a report without samples takes more than {MAX_REPORT_BYTES} bytes")


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def decode(text: str) -> Report | None:
    """Return the report in a termination message, or None without a report, as of a killed pod."""
    try:
        return Report.model_validate_json(text, extra="ignore")  # a newer trainer may add fields
    except ValidationError:
        return None
