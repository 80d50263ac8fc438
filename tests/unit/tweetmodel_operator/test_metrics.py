"""Metrics of Jobs and runs."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from prometheus_client import REGISTRY

from makers import job, time
from tweetmodel_api.status import Run, StepStatus, TweetModelStatus
from tweetmodel_operator import metrics
from tweetmodel_operator.decision import JobOutcome
from tweetmodel_operator.observed import ObservedJob, ObservedPod


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tweetmodel_{name}", labels) or 0.0


@pytest.fixture
def before() -> dict[str, float]:
    names = ("job_queue_seconds_sum", "job_wait_seconds_sum", "job_seconds_sum")
    return {name: sample(name, step="train") for name in names} | {"gpu_seconds_total": sample("gpu_seconds_total")}


def at(minute: int, second: int = 0) -> datetime:
    return time(f"2026-11-23T12:{minute:02d}:{second:02d}Z")


def ended(**changes: Any) -> ObservedJob:
    """A Job that was created at 12:00 and started at 12:10, with a container from 12:11 to 12:20."""
    pod = ObservedPod(name="pod", created_at=at(10, 5), started_at=at(11), exit_code=0)
    facts = {"pods": (pod,), "started_at": at(10), "ended_at": at(20), "limits": {"nvidia.com/gpu": "2"}}
    return replace(job("train").obj(), **facts | changes)


def count(job: ObservedJob, outcome: str = "Succeeded") -> None:
    metrics.record_job_outcome(JobOutcome(job, outcome, outcome), "nvidia.com/gpu")


def test_waiting_time_and_duration_are_counted_separately(before: dict[str, float]) -> None:
    count(ended())
    after = {name: sample(name, **({} if name.startswith("gpu") else {"step": "train"})) for name in before}
    assert {name: after[name] - before[name] for name in before} == {
        "job_queue_seconds_sum": 600,
        "job_wait_seconds_sum": 660,
        "job_seconds_sum": 600,
        "gpu_seconds_total": 1200,
    }


def test_a_resumed_job_waited_until_its_first_pod(before: dict[str, float]) -> None:
    count(ended(started_at=at(15)))
    assert sample("job_queue_seconds_sum", step="train") - before["job_queue_seconds_sum"] == 605


def test_a_job_that_never_started_has_no_times(before: dict[str, float]) -> None:
    count(ended(started_at=None, pods=()), "Deleted")
    assert sample("job_queue_seconds_sum", step="train") == before["job_queue_seconds_sum"]
    assert sample("gpu_seconds_total") == before["gpu_seconds_total"]


def run(identity: str, outcome: str) -> Run:
    return Run(id=identity * 16, dataset_digest="d" * 64, outcome=outcome, start_time="2026-11-23T12:00:00Z")


def test_a_run_is_counted_once_by_its_outcome() -> None:
    failed = StepStatus(
        name="train", id="c" * 16, attempt=1, pod_template_hash="e" * 16, job="j", outcome="Failed", reason="Diverged"
    )
    failed_run = run("c", "Failed").model_copy(update={"failure": failed})
    one = TweetModelStatus(observed_generation=1, runs=(run("a", "Active"), run("b", "Succeeded")))
    two = TweetModelStatus(observed_generation=1, runs=(failed_run, run("a", "Superseded"), run("b", "Succeeded")))
    cases = ({"outcome": "Failed", "reason": "Diverged"}, {"outcome": "Superseded", "reason": "Superseded"})
    before = [sample("runs_total", **case) for case in cases]
    for earlier in (one, two):
        metrics.count_ended_runs(earlier, two)
    assert [sample("runs_total", **case) - count for case, count in zip(cases, before, strict=True)] == [1, 1]


def test_all_series_exist_before_the_first_event() -> None:
    """Prometheus sees no increase in the first sample of a series."""
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


def test_no_label_contains_a_name() -> None:
    """Every label has a closed set of values, without names of TweetModels, namespaces and Jobs."""
    labels = {
        label
        for family in REGISTRY.collect()
        if family.name.startswith("tweetmodel_")
        for each in family.samples
        for label in each.labels
    }
    assert labels <= {"reason", "step", "outcome", "result", "verb", "code", "kind", "le", "version"}


def test_tweetmodels_are_counted_by_the_present_reason_of_ready() -> None:
    states = metrics.ModelStates()
    states.set("default/ada", "Collecting")
    states.set("default/bob", "Collecting")
    states.set("default/ada", "Training")
    states.remove("default/eve")
    (family,) = states.collect()
    counts = {each.labels["reason"]: each.value for each in family.samples}
    assert counts == {"Training": 1, "Collecting": 1}
    states.remove("default/ada")
    (family,) = states.collect()
    assert {each.labels["reason"] for each in family.samples} == {"Collecting"}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [({"nvidia.com/gpu": "2"}, 2), ({"amd.com/gpu": "2"}, 0), ({"nvidia.com/gpu": "2k"}, 0), ({}, 0)],
    ids=["gpus", "another-resource", "with-suffix", "none"],
)
def test_requested_gpus_are_those_of_the_gpu_resource(limits: dict[str, str], expected: int) -> None:
    assert metrics.requested_gpus(ended(limits=limits), "nvidia.com/gpu") == expected


def test_only_events_of_watched_kinds_are_recorded() -> None:
    before = sample("watch_last_event_timestamp_seconds", kind="Job")
    metrics.record_watch_event("jobs")
    metrics.record_watch_event("secrets")
    assert sample("watch_last_event_timestamp_seconds", kind="Job") >= before
    labels = {each.labels["kind"] for family in metrics.WATCH_LAST_EVENT.collect() for each in family.samples}
    assert labels == {"TweetModel", "Job", "Pod"}
