"""Names and labels of Jobs."""

import re

import pytest

from makers import UID
from tweetmodel_api.spec import MAX_NAME_LENGTH
from tweetmodel_api.steps import STEP_NAMES, StepName
from tweetmodel_operator import names

LONGEST = "a" * MAX_NAME_LENGTH


@pytest.mark.parametrize("step", STEP_NAMES)
def test_names_of_jobs_fit_into_a_label(step: StepName) -> None:
    assert len(names.job_name(LONGEST, UID, step, "f" * 16, 999)) <= 63


def test_the_name_of_a_job_depends_on_its_purpose() -> None:
    purposes = [
        ("ada", UID, "train", "a" * 16, 1),
        ("ada", "another-uid", "train", "a" * 16, 1),
        ("ada", UID, "sample", "a" * 16, 1),
        ("ada", UID, "train", "b" * 16, 1),
        ("ada", UID, "train", "a" * 16, 2),
    ]
    made = [names.job_name(*purpose) for purpose in purposes]
    assert len(set(made)) == len(purposes)
    assert made == [names.job_name(*purpose) for purpose in purposes]
    assert re.fullmatch(r"ada-train-[0-9a-f]{10}", made[0])


def test_each_tweetmodel_has_a_purge_of_its_own() -> None:
    assert names.purge_id(UID) == names.purge_id(UID) != names.purge_id("another-uid")


def test_labels_identify_step_and_attempt() -> None:
    labels = names.job_labels("ada", "train", "a" * 16, 2)
    assert (labels[names.NAME_LABEL], labels[names.STEP_LABEL]) == ("ada", "train")
    assert (labels[names.STEP_ID_LABEL], labels[names.ATTEMPT_LABEL]) == ("a" * 16, "2")
    key, _, value = names.SELECTOR.partition("=")
    assert labels[key] == value
