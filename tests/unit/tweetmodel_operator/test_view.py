"""What counts as news, what is let go of, and what must be read afresh."""

from typing import Any

import pytest

from makers import KEY
from tweetmodel_operator import names
from tweetmodel_operator.view import View


def tweetmodel(version: int, **status: Any) -> dict[str, Any]:
    metadata = {"name": KEY.name, "namespace": KEY.namespace, "resourceVersion": str(version)}
    return {"kind": "TweetModel", "metadata": metadata, "spec": {}, "status": status}


def child(version: int, name: str = "ada-train-1", spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": KEY.namespace, "resourceVersion": str(version)}
    return {
        "kind": "Job",
        "metadata": metadata | {"labels": {names.NAME: KEY.name}},
        "spec": spec or {},
        "status": status,
    }


COMPLETE = [{"type": "Complete", "status": "True"}]
TTL = {"ttlSecondsAfterFinished": 60}


def listed(version: int, *items: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


@pytest.fixture
def view() -> View:
    """It has seen a TweetModel with a Job."""
    view = View()
    view.put("TweetModel", tweetmodel(1))
    view.put("Job", child(2))
    return view


def test_the_echo_of_our_own_write_is_no_news(view: View) -> None:
    view.answered(tweetmodel(3, observedGeneration=1))
    view.answered(child(4, "ada-train-2"))
    assert not view.put("TweetModel", tweetmodel(3, observedGeneration=1))
    assert not view.put("Job", child(4, "ada-train-2"))


def test_what_somebody_else_writes_after_us_is_news(view: View) -> None:
    view.answered(tweetmodel(3))
    assert view.put("TweetModel", tweetmodel(4))


def test_a_late_event_does_not_take_back_what_came_after_it(view: View) -> None:
    view.answered(tweetmodel(5, observedGeneration=2))
    assert not view.put("TweetModel", tweetmodel(4, observedGeneration=1))
    assert view.read(KEY)[0]["status"] == {"observedGeneration": 2}


def test_of_a_job_only_what_a_decision_looks_at_is_news(view: View) -> None:
    assert not view.put("Job", child(3, ready=1))
    assert view.put("Job", child(4, conditions=COMPLETE))


def test_since_when_a_job_has_no_pod_is_kept_and_no_news_while_it_has_one(view: View) -> None:
    def written(version: int, second: int, **status: Any) -> dict[str, Any]:
        job = child(version, startTime="2026-11-23T12:00:00Z", **status)
        fields = {"manager": "m", "subresource": "status", "time": f"2026-11-23T12:00:{second:02d}Z", "fieldsV1": {}}
        job["metadata"]["managedFields"] = [fields]
        return job

    assert view.put("Job", written(3, 1, active=1))
    assert not view.put("Job", written(4, 2, active=1, ready=1))
    assert view.put("Job", written(5, 3))
    [kept] = view.read(KEY)[1]
    assert kept["metadata"]["managedFields"] == [{"subresource": "status", "time": "2026-11-23T12:00:03Z"}]


def test_a_finished_job_with_its_ttl_is_let_go(view: View) -> None:
    view.put("Job", child(3, spec=TTL, conditions=COMPLETE))
    assert view.read(KEY)[1] == []


def test_a_list_from_before_its_ttl_does_not_bring_a_finished_job_back(view: View) -> None:
    view.answered(child(4, spec=TTL, conditions=COMPLETE))
    assert not view.put("Job", child(3, conditions=COMPLETE), listed=True)
    assert view.read(KEY)[1] == []
    assert view.put("Job", child(9))  # another one of its name


def test_a_tweetmodel_at_rest_wakes_when_somebody_changes_it_and_not_before(view: View) -> None:
    view.rest(KEY)
    assert not view.put("TweetModel", tweetmodel(1))
    assert not view.put("Job", child(3, spec=TTL, conditions=COMPLETE))
    assert not view.put("Pod", child(4, "pod"))
    assert view.put("TweetModel", tweetmodel(5))


def test_a_job_at_work_for_a_tweetmodel_at_rest_has_it_read_afresh(view: View) -> None:
    view.rest(KEY)
    assert view.put("Job", child(3, "another"))
    assert view.read(KEY) is None


def test_what_is_read_afresh_replaces_what_was_seen(view: View) -> None:
    view.doubt(KEY)
    assert view.read(KEY) is None
    view.renew(KEY, tweetmodel(7), listed(8), listed(8))
    assert view.read(KEY)[1] == []


def test_a_job_that_was_made_after_it_was_read_afresh_stays(view: View) -> None:
    view.put("Job", child(9, "new"))
    view.renew(KEY, tweetmodel(7), listed(8), listed(8))
    assert [job["metadata"]["name"] for job in view.read(KEY)[1]] == ["new"]


def test_jobs_that_come_before_their_tweetmodel_wait_for_it() -> None:
    view = View()
    assert not view.put("Job", child(2))
    assert view.put("TweetModel", tweetmodel(1))
    assert len(view.read(KEY)[1]) == 1


def test_of_a_pods_spec_it_keeps_the_node_and_what_our_container_may_use(view: View) -> None:
    sidecar, ours = {"name": "proxy", "image": "proxy"}, {"name": names.CONTAINER, "image": "trainer", "env": [{}]}
    limits = {"limits": {"memory": "12Gi"}}
    pod = child(
        3, "pod", spec={"nodeName": "n1", "containers": [sidecar, ours | {"resources": limits}], "volumes": [{}]}
    )
    view.put("Pod", pod | {"kind": "Pod"})
    [kept] = view.read(KEY)[2]
    assert kept["spec"] == {"nodeName": "n1", "containers": [{"name": names.CONTAINER, "resources": limits}]}


def test_it_names_what_it_holds(view: View) -> None:
    assert view.held("TweetModel", "") == {(KEY, KEY.name)}
    assert view.held("Job", KEY.namespace) == {(KEY, "ada-train-1")}
    assert view.held("Job", "other") == set()
