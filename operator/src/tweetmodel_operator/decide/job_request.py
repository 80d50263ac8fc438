"""Builds the request for the Job of a step, with the plan for the pod."""

from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.steps import STEP_KINDS
from tweetmodel_operator import names
from tweetmodel_operator.decide.steps import Step, StepResult
from tweetmodel_operator.decision import JobRequest
from tweetmodel_operator.observed import Observed, Upstreams


def request_job(observed: Observed, spec: TweetModelSpec, result: StepResult, upstreams: Upstreams) -> JobRequest:
    """Return the request for the Job of a result."""
    step, attempt = result.step, result.create_attempt
    assert attempt is not None  # the caller selects results that create a Job
    return JobRequest(
        name=names.job_name(observed.key.name, observed.uid, step.name, step.id, attempt),
        uid=observed.uid,
        step_id=step.id,
        attempt=attempt,
        pod_template_hash=step.pod_template_hash,
        plan=_build_plan(observed, spec, step, upstreams),
        pod_template=step.pod_template or PodTemplate(),
    )


def _build_plan(observed: Observed, spec: TweetModelSpec, step: Step, upstreams: Upstreams) -> Plan:
    kind = STEP_KINDS[step.name]
    plan = Plan(step=step.name, namespace=observed.key.namespace, name=observed.key.name, spec=spec)
    if kind.reads_sources:
        available = {name: found for name, found in upstreams.items() if isinstance(found, DatasetReference)}
        changes: dict[str, object] = {
            "baseline_dataset": step.baseline_dataset,
            "trained_datasets": tuple(sorted({run.dataset_digest for run in observed.status.runs})),
            "retry": observed.retry,
            "upstream_datasets": available,
        }
    elif step.name == "purge":
        changes = {}
    else:
        changes = {
            "run": step.id,
            "dataset": step.dataset,
            "initial_model": step.initial_model,
            "baseline_loss": step.baseline_loss,
            "publish": step.publish_hash is not None,
        }
    return plan.model_copy(update=changes)
