"""What Prometheus is told of Jobs and runs."""

from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from makers import job
from tweetmodel_api.status import Attempt, Run, TweetModelStatus
from tweetmodel_operator import metrics
from tweetmodel_operator.state import ObservedJob, ObservedPod


def told(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tweetmodel_{name}", labels) or 0.0


@pytest.fixture
def before() -> dict[str, float]:
    names = ("job_queue_seconds_sum", "job_wait_seconds_sum", "job_seconds_sum")
    return {name: told(name, step="train") for name in names} | {"gpu_seconds_total": told("gpu_seconds_total")}


def ended(**changes: object) -> ObservedJob:
    """Made at 12:00, started at 12:10, its container running at 12:11, over at 12:20."""
    ran = ObservedPod(name="pod", created="2026-11-23T12:10:05Z", started="2026-11-23T12:11:00Z", exit_code=0)
    times = {"started": "2026-11-23T12:10:00Z", "ended": "2026-11-23T12:20:00Z"}
    return replace(job("train").obj(), **{"pods": (ran,), **times, **changes})


def test_the_time_in_a_queue_is_told_apart_from_what_follows_it(before: dict[str, float]) -> None:
    metrics.job_ended(ended(gpus=2), "Succeeded", "Succeeded")
    after = {name: told(name, **({} if name.startswith("gpu") else {"step": "train"})) for name in before}
    assert {name: after[name] - before[name] for name in before} == {
        "job_queue_seconds_sum": 600,
        "job_wait_seconds_sum": 660,
        "job_seconds_sum": 600,
        "gpu_seconds_total": 1200,
    }


def test_a_job_that_was_resumed_waited_until_its_first_pod(before: dict[str, float]) -> None:
    metrics.job_ended(ended(started="2026-11-23T12:15:00Z"), "Succeeded", "Succeeded")
    assert told("job_queue_seconds_sum", step="train") - before["job_queue_seconds_sum"] == 605


def test_a_job_that_never_started_has_no_times(before: dict[str, float]) -> None:
    metrics.job_ended(ended(started="", pods=(), gpus=2), "Deleted", "Deleted")
    assert told("job_queue_seconds_sum", step="train") == before["job_queue_seconds_sum"]
    assert told("gpu_seconds_total") == before["gpu_seconds_total"]


def run(identity: str, outcome: str) -> Run:
    return Run(id=identity * 16, dataset_digest="d" * 64, outcome=outcome, start_time="2026-11-23T12:00:00Z")


def test_a_run_is_counted_once_by_how_it_ended() -> None:
    failed = Attempt(
        step="train", id="c" * 16, number=1, pod_template_hash="e" * 16, job="j", outcome="Failed", reason="Diverged"
    )
    one = TweetModelStatus(observed_generation=1, runs=(run("a", "Active"), run("b", "Succeeded")))
    two = TweetModelStatus(
        observed_generation=1, attempt=failed, runs=(run("c", "Failed"), run("a", "Superseded"), run("b", "Succeeded"))
    )
    cases = ({"outcome": "Failed", "reason": "Diverged"}, {"outcome": "Superseded", "reason": "Superseded"})
    before = [told("runs_total", **case) for case in cases]
    for earlier in (one, two):
        metrics.runs_ended(earlier, two)
    assert [told("runs_total", **case) - count for case, count in zip(cases, before, strict=True)] == [1, 1]


def test_what_can_be_counted_is_there_before_it_happens() -> None:
    """The first increase of a counter that comes with it is lost on Prometheus."""
    for name, labels in (
        ("reconciles_total", {"result": "error"}),
        ("reconciles_total", {"result": "success"}),
        ("runs_total", {"outcome": "Succeeded", "reason": "Succeeded"}),
        ("runs_total", {"outcome": "Failed", "reason": "OutOfMemory"}),
        ("jobs_total", {"step": "train", "outcome": "Succeeded", "reason": "Succeeded"}),
        ("jobs_total", {"step": "collect", "outcome": "Failed", "reason": "NotEnoughTweets"}),
        ("jobs_total", {"step": "purge", "outcome": "Deleted", "reason": "Deleted"}),
        ("transitions_total", {"reason": "NodeLost"}),
        ("api_requests_total", {"verb": "PATCH", "code": "409"}),
        ("progress_posts_total", {"code": "401"}),
        ("job_seconds_count", {"step": "train"}),
        ("watch_last_event_timestamp_seconds", {"kind": "Pod"}),
    ):
        assert REGISTRY.get_sample_value(f"tweetmodel_{name}", labels) is not None, (name, labels)


def test_no_label_has_a_name_in_it() -> None:
    """Each has a closed set of values: a TweetModel, a namespace or a Job is never one."""
    labels = {
        label
        for family in REGISTRY.collect()
        if family.name.startswith("tweetmodel_")
        for sample in family.samples
        for label in sample.labels
    }
    assert labels <= {"reason", "step", "outcome", "result", "verb", "code", "kind", "le", "version"}
