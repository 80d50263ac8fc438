"""Fields of JSON logs, for filters in a log store."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import kopf
import pytest

from makers import KEY
from tweetmodel_operator import logs

logger = logging.getLogger("tweetmodel_operator.test")
JOB = "ada-train-1234"


@pytest.fixture(autouse=True)
def _remove_kopfs_handler() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str], log_format: kopf.LogFormat) -> Iterator[str]:
    """Yield the written log lines; the first value is empty, so that the first line can be logged before."""
    kopf.configure(log_format=log_format)
    logs.install()
    yield ""
    while True:
        yield from capsys.readouterr().err.splitlines()


def fields(line: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(line).items() if name in ("namespace", "name", "run", "job")}


def test_json_lines_contain_tweetmodel_run_and_job(capsys: pytest.CaptureFixture[str]) -> None:
    line = lines(capsys, kopf.LogFormat.JSON)
    next(line)
    with logs.log_context(KEY):
        logger.info("started")
        assert fields(next(line)) == {"namespace": "default", "name": "ada", "run": None}
        logs.add_to_log_context("abcd", JOB)
        logger.warning("%s: %s", KEY, "Training")
        written = next(line)
        assert fields(written) == {"namespace": "default", "name": "ada", "run": "abcd", "job": JOB}
        assert json.loads(written)["message"] == "default/ada: Training"
    logger.info("about nothing")
    assert fields(next(line)) == {}


def test_json_lines_of_kopf_contain_the_tweetmodel(capsys: pytest.CaptureFixture[str]) -> None:
    line = lines(capsys, kopf.LogFormat.JSON)
    next(line)
    reference = {"kind": "TweetModel", "namespace": "default", "name": "ada"}
    logger.warning("a handler failed", extra={"k8s_ref": reference})
    assert fields(next(line)) == {"namespace": "default", "name": "ada", "run": None}


def test_plain_lines_are_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    line = lines(capsys, kopf.LogFormat.PLAIN)
    next(line)
    with logs.log_context(KEY):
        logs.add_to_log_context("abcd", JOB)
        logger.info("%s: %s", KEY, "Training")
    assert next(line) == "default/ada: Training"
