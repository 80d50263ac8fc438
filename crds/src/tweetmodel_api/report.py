"""What a pod hands back when it ends: JSON in its termination message, of which Kubernetes keeps 4,096 bytes.

The status is made from it. Everything large lies in S3; samples are cut until the rest fits.
"""

from typing import Literal

from pydantic import ValidationError

from tweetmodel_api.fields import Model, Text
from tweetmodel_api.reasons import Reason
from tweetmodel_api.status import MOST_SAMPLES, Dataset, TrainedModel

MAX_BYTES = 4096
MAX_SAMPLE = 300


class Report(Model):
    """How a stage ended."""

    outcome: Literal["Succeeded", "Failed", "Interrupted"]
    reason: Reason
    message: Text
    """One sentence: what happened, where, what to do."""
    dataset: Dataset | None = None
    """What collect made."""
    model: TrainedModel | None = None
    """What train made."""
    samples: tuple[str, ...] = ()
    """The best samples."""


def encode(report: Report) -> str:
    """The report as JSON of at most 4,096 bytes in UTF-8: samples are shortened, then dropped, to fit.

    So is the model of a failure, whose sentence matters more.
    """
    samples = tuple(s if len(s) <= MAX_SAMPLE else s[: MAX_SAMPLE - 1] + "…" for s in report.samples[:MOST_SAMPLES])
    for count in range(len(samples), -1, -1):
        text = report.model_copy(update={"samples": samples[:count]}).model_dump_json(by_alias=True, exclude_none=True)
        if len(text.encode()) <= MAX_BYTES:
            return text
    if report.outcome == "Failed" and report.model:
        return encode(report.model_copy(update={"model": None}))
    raise ValueError(f"a report without samples takes more than {MAX_BYTES} bytes")


def decode(text: str) -> Report | None:
    """The report in a termination message, or None where there is none: a pod that was killed leaves none."""
    try:
        return Report.model_validate_json(text, extra="ignore")  # a newer trainer may say more
    except ValidationError:
        return None
