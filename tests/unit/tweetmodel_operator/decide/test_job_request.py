"""Requests for Jobs: the plan contains the inputs of its step, and no others."""

import pytest

from fakes.timeline import DAILY, MIDNIGHT, MONDAY, TUESDAY, Timeline
from makers import DIGEST, KEY, UID, dataset, model, observed, run_entry, spec, status_with
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.status import ModelReference
from tweetmodel_api.steps import StepName
from tweetmodel_operator import names
from tweetmodel_operator.decide.job_request import request_job
from tweetmodel_operator.decide.steps import Step, StepResult, active
from tweetmodel_operator.decision import JobRequest

RUN = run_entry().id
INITIAL = ModelReference(uri=model(RUN).uri, digest=model(RUN).digest)
DATASET = DatasetReference(uri=dataset().uri, digest=DIGEST)
UPSTREAMS = {"bob": DATASET, "eve": "has no data set yet"}


def requested(name: StepName) -> JobRequest:
    """Return the request for the second attempt of a step that has all inputs."""
    step = Step(
        name,
        RUN,
        "e" * 16,
        dataset=DATASET,
        baseline_dataset="b" * 64,
        initial_model=INITIAL,
        baseline_loss="2.5",
        publish_hash="p",
        pod_template=PodTemplate(image="own"),
    )
    result = StepResult(step, active(name), create_attempt=2)
    return request_job(observed(status=status_with(run_entry()), retry="now"), spec(), result, UPSTREAMS)


@pytest.mark.parametrize("step", ["collect", "train", "sample", "publish", "purge"])
def test_a_request_identifies_its_job(step: StepName) -> None:
    request = requested(step)
    assert request.name == names.job_name(KEY.name, UID, step, RUN, 2)
    assert (request.uid, request.step_id, request.attempt) == (UID, RUN, 2)
    assert (request.pod_template_hash, request.pod_template) == ("e" * 16, PodTemplate(image="own"))
    plan = request.plan
    assert (plan.step, plan.namespace, plan.name, plan.spec) == (step, KEY.namespace, KEY.name, spec())


def test_the_plan_of_a_collection_contains_upstreams_and_data_sets_to_compare() -> None:
    assert requested("collect").plan == Plan(
        step="collect",
        namespace=KEY.namespace,
        name=KEY.name,
        spec=spec(),
        retry="now",
        upstream_datasets={"bob": DATASET},
        baseline_dataset="b" * 64,
        trained_datasets=(DIGEST,),
    )


@pytest.mark.parametrize("step", ["train", "sample", "publish"])
def test_the_plan_of_a_run_contains_data_set_and_models(step: StepName) -> None:
    assert requested(step).plan == Plan(
        step=step,
        namespace=KEY.namespace,
        name=KEY.name,
        spec=spec(),
        run=RUN,
        dataset=DATASET,
        initial_model=INITIAL,
        baseline_loss="2.5",
        publish=True,
    )


def test_the_plan_of_a_purge_contains_the_spec_only() -> None:
    assert requested("purge").plan == Plan(step="purge", namespace=KEY.namespace, name=KEY.name, spec=spec())


def test_a_requested_retry_is_part_of_the_plan_of_a_collection() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    (scheduled,) = timeline.reconcile(MONDAY).create
    assert scheduled.plan.retry == ""
    timeline.retry = "now"
    assert timeline.reconcile(MONDAY).delete == (scheduled.name,)
    (retried,) = timeline.reconcile(MONDAY).create
    assert retried.plan.retry == "now"


def test_the_plan_of_a_collection_names_all_data_sets_of_the_history() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.reconcile(MIDNIGHT)
    (train,) = timeline.finish_collect(MIDNIGHT, "a", 1000).create
    assert train.plan.trained_datasets == ()
    timeline.finish_run(MIDNIGHT, "3.0")
    timeline.reconcile(MONDAY)
    timeline.finish_collect(MONDAY, "b", 1000, new=60)
    timeline.finish_run(MONDAY, "2.5")
    (collect,) = timeline.reconcile(TUESDAY).create
    assert set(collect.plan.trained_datasets) == {"a" * 64, "b" * 64}
