"""Reports in the termination message of a pod."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from makers import dataset, failure, model, success
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import MAX_REPORT_BYTES, MAX_REPORTED_SAMPLE_LENGTH, decode, encode

RUN = "ab" * 8


def test_a_report_is_unchanged_by_the_termination_message() -> None:
    report = success(dataset=dataset(), model=model(RUN), samples=["one", "two"])
    assert decode(encode(report)) == report


@given(st.lists(st.text(max_size=2000), max_size=10), st.text(max_size=1024))
def test_a_report_always_fits_into_the_termination_message(samples: list[str], sentence: str) -> None:
    encodable = [sample.encode("utf-8", "replace").decode() for sample in samples]
    message = sentence.encode("utf-8", "replace").decode()[:500]
    text = encode(success(samples=encodable, model=model(RUN), message=message))
    assert len(text.encode()) <= MAX_REPORT_BYTES
    assert decode(text) is not None


def test_a_long_message_is_shortened() -> None:
    """The trainer adds sentences about the publication and trackers to the message of a run."""
    read = decode(encode(success(model=model(RUN)).model_copy(update={"message": "a" * 1025})))
    assert read is not None
    assert read.message == "a" * 1023 + "…"


def test_long_samples_are_shortened_before_samples_are_dropped() -> None:
    report = decode(encode(success(model=model(RUN), samples=["x" * 1000] * 10)))
    assert report
    assert report.samples[0] == "x" * (MAX_REPORTED_SAMPLE_LENGTH - 1) + "…"
    assert 0 < len(report.samples) <= 10


@pytest.mark.parametrize(
    "text",
    ["", '{"outcome": "Succeeded"}', encode(failure(Reason.ACCESS_DENIED))[:-5], "Killed"],
    ids=["empty", "incomplete", "cut", "text"],
)
def test_another_text_is_no_report(text: str) -> None:
    assert decode(text) is None


def test_fields_of_a_newer_trainer_are_ignored() -> None:
    report = success(dataset=dataset())
    fields = json.loads(encode(report)) | {"novelty": 1}
    assert decode(json.dumps(fields)) == report


def test_a_failure_that_does_not_fit_drops_its_model() -> None:
    made = model(RUN).model_copy(update={"uri": "s3://bucket/" + "語" * 500, "page": "s3://bucket/" + "語" * 500})
    report = failure(Reason.HUB_DENIED, "語" * 400).model_copy(update={"model": made})
    assert decode(encode(report)) == report.model_copy(update={"model": None})


def test_a_success_that_does_not_fit_is_an_error() -> None:
    made = model(RUN).model_copy(update={"uri": "s3://bucket/" + "語" * 500, "page": "s3://bucket/" + "語" * 500})
    with pytest.raises(ValueError, match="takes more than 4096 bytes"):
        encode(success(model=made, message="語" * 400))
