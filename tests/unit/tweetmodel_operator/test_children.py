"""The table of child kinds."""

import pytest

from fakes import objects
from makers import JobMaker, job, success
from tweetmodel_operator.children import BY_KIND, CHILD_KINDS, JOB, POD, ChildKind, is_evictable
from tweetmodel_operator.observed import ObservedPod
from tweetmodel_operator.parse import parse_pod


@pytest.mark.parametrize(
    ("child", "arguments", "path"),
    [
        (JOB, (), "/apis/batch/v1/jobs"),
        (JOB, ("default",), "/apis/batch/v1/namespaces/default/jobs"),
        (JOB, ("default", "ada"), "/apis/batch/v1/namespaces/default/jobs/ada"),
        (POD, (), "/api/v1/pods"),
        (POD, ("default", "ada"), "/api/v1/namespaces/default/pods/ada"),
    ],
    ids=["all-jobs", "jobs", "job", "all-pods", "pod"],
)
def test_the_path_of_a_child_follows_its_api_group(child: ChildKind, arguments: tuple[str, ...], path: str) -> None:
    assert child.path(*arguments) == path


def test_jobs_are_read_before_their_pods() -> None:
    assert CHILD_KINDS == (JOB, POD)
    assert BY_KIND == {"Job": JOB, "Pod": POD}


@pytest.mark.parametrize(
    ("made", "is_evicted"),
    [
        (job(), False),
        (job().expiring(), False),
        (job().complete(success()), False),
        (job().complete(success()).expiring(), True),
        (job().failed().expiring(), True),
    ],
    ids=["active", "active-with-ttl", "complete", "complete-with-ttl", "failed-with-ttl"],
)
def test_only_finished_jobs_with_a_ttl_are_evicted(made: JobMaker, is_evicted: bool) -> None:
    assert is_evictable(made.obj()) is is_evicted


def test_pods_are_not_evicted() -> None:
    pod = parse_pod(objects.pod(objects.job()) | {"status": objects.terminated()})
    assert isinstance(pod, ObservedPod)
    assert not is_evictable(pod)
