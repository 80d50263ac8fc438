"""Builders of test inputs: specs, results, reports, and Jobs as observations, as in `observed(job("train").running())`.

`fakes.objects` builds the same Jobs and pods as raw objects; a test compares the two.
"""

import io
import zipfile
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tweetmodel_api.identities import base_model_hash, collection_id, generation_hash, pod_template_hash, run_id
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.pod_template import PodTemplate
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset, Evaluation, ModelReference, Run, TrainedModel, TweetModelStatus
from tweetmodel_api.steps import STEP_KINDS
from tweetmodel_operator import names
from tweetmodel_operator.decide.history import FINISHED
from tweetmodel_operator.decide.next_writes import Inputs, decide
from tweetmodel_operator.decision import Decision, JobRequest
from tweetmodel_operator.observed import Freshness, Key, Observed, ObservedJob, ObservedPod, PolicyResult, Upstreams

KEY = Key("default", "ada")
UID = "11111111-2222-3333-4444-555555555555"
NOW = "2026-11-23T12:00:00Z"
DIGEST = "d" * 64
NODE = "n1"


def time(text: str) -> datetime:
    """Return an aware datetime."""
    return datetime.fromisoformat(text)


def spec(**changes: object) -> TweetModelSpec:
    """Return a small spec; `changes` replace fields by their names in JSON."""
    return TweetModelSpec.model_validate(
        {
            "sources": [{"handle": "ada", "archive": {"uri": "s3://bucket/archive.zip"}}],
            "storage": {"uri": "s3://bucket/models", "secretRef": {"name": "s3"}},
            "baseModel": {"scratch": {"preset": "Tiny"}},
            **changes,
        }
    )


def dataset(**changes: object) -> Dataset:
    """Return a data set."""
    numbers = {
        "downloaded": 3249,
        "retweets_dropped": 610,
        "short_dropped": 6,
        "kept": 2633,
        "characters": 200_000,
        "held_out": 263,
    }
    digest = str(changes.get("digest", DIGEST))
    place = {"digest": digest, "uri": f"s3://bucket/models/default/ada/datasets/{digest[:16]}"}
    return Dataset.model_validate(place | numbers | changes)


def model(run: str, of: TweetModelSpec | None = None) -> TrainedModel:
    """Return the model of a run, with samples drawn as a spec requests."""
    return TrainedModel(
        uri=f"s3://bucket/models/default/ada/runs/{run}/model",
        digest="e" * 64,
        optimizer_steps=12,
        generation_hash=generation_hash(of or spec()),
        evaluation=Evaluation(
            loss_before="7.6", loss="2.5", perplexity_before="1998.2", perplexity="12.2", bits_per_byte="1.1"
        ),
    )


def success(**fields: object) -> Report:
    """Return a report of success."""
    message = "2,633 posts kept."
    if isinstance(fields.get("model"), TrainedModel):
        message = "Perplexity on held-out posts went from 1998.2 to 12.2."
    return Report.model_validate({"outcome": "Succeeded", "reason": Reason.SUCCEEDED, "message": message, **fields})


def failure(reason: Reason, message: str = "It failed: do something.") -> Report:
    """Return a report of a failure."""
    return Report(outcome="Failed", reason=reason, message=message)


def run_entry(
    of: TweetModelSpec | None = None,
    digest: str = DIGEST,
    outcome: str = "Succeeded",
    initial_model: ModelReference | None = None,
    **changes: object,
) -> Run:
    """Return the entry of a run in the history, with a model unless the run failed or is active."""
    of = of or spec()
    run = run_id(of, digest, initial_model)
    entry = Run(
        id=run,
        dataset_digest=digest,
        collection_hash=collection_id(of),
        base_model_hash=base_model_hash(of),
        initial_model=initial_model,
        outcome=outcome,
        start_time=NOW,
    )
    if outcome in FINISHED:
        made = model(run, of)
        facts = {"evaluation": made.evaluation, "model_uri": made.uri, "generation_hash": made.generation_hash}
        entry = entry.model_copy(update=facts)
    return entry.model_copy(update={"completion_time": None if outcome == "Active" else NOW, **changes})


def status_with(*runs: Run, current: Run | None = None, **changes: Any) -> TweetModelStatus:
    """Return a status with a data set, a history, and the model of the run `current`."""
    trained = model(current.id) if current else None
    base = TweetModelStatus(observed_generation=1, collection=collection_id(spec()), dataset=dataset(), runs=runs)
    return base.model_copy(update={"model": trained, "run": current and current.id, **changes})


@dataclass(frozen=True)
class JobMaker:
    """Builds the observation of a Job; each method returns a Job with one more fact, as in `job("train").running()`.

    Methods about pods add a pod, which runs on the node NODE unless the method states otherwise.
    """

    made: ObservedJob

    def obj(self) -> ObservedJob:
        """Return the observation."""
        return self.made

    def with_facts(self, **facts: Any) -> "JobMaker":
        """Set fields of the observation."""
        return JobMaker(replace(self.made, **facts))

    # Pods

    def _with_pod(self, **facts: Any) -> "JobMaker":
        number = len(self.made.pods)
        created_at = time(f"2026-11-23T11:00:{number:02d}Z")
        placement = {"node": NODE, "scheduled_at": created_at}
        pod = ObservedPod(name=f"{self.made.name}-{number}", created_at=created_at, **(placement | facts))
        started_at = self.made.started_at or self.made.created_at
        return self.with_facts(pods=(*self.made.pods, pod), started_at=started_at)

    def pending(self) -> "JobMaker":
        """Add a pod without a node."""
        return self._with_pod(node=None, scheduled_at=None)

    def unschedulable(self, message: str) -> "JobMaker":
        """Add a pod for which no node has room."""
        return self._with_pod(node=None, scheduled_at=None, unschedulable_message=message)

    def waiting(self, reason: str, message: str = "", **facts: Any) -> "JobMaker":
        """Add a pod whose container has not started yet."""
        return self._with_pod(waiting_reason=reason, waiting_message=message, **facts)

    def running(self, since: str = NOW, **facts: Any) -> "JobMaker":
        """Add a running pod."""
        return self._with_pod(is_running=True, started_at=time(since), **facts)

    def node_unreachable(self) -> "JobMaker":
        """Add a running pod to whose node the control plane has lost contact."""
        return self.running(node_unreachable=True)

    def pod_deleted(self, deadline: str, node_unreachable: bool = True) -> "JobMaker":
        """Add a running pod that was deleted, and must have terminated by the deadline."""
        return self.running(node_unreachable=node_unreachable, deletion_deadline=time(deadline))

    def pod_ended(
        self, code: int, report: Report | None = None, reason: str = "Error", memory: str | None = None
    ) -> "JobMaker":
        """Add a pod whose container has terminated."""
        ended = {"exit_code": code, "exit_reason": reason, "report": report, "memory_limit": memory}
        return self._with_pod(started_at=time(NOW), **ended)

    def evicted(self, message: str) -> "JobMaker":
        """Add a pod evicted or rejected by the kubelet."""
        return self._with_pod(node_failure=message)

    def without_pods(self, since: str | None, started: str | None = None) -> "JobMaker":
        """Remove all pods of a Job that has started; `since` is None while the Job controller counts a pod."""
        start = started or since
        return self.with_facts(
            pods=(), started_at=time(start) if start else None, no_pods_since=time(since) if since else None
        )

    # The Job

    def attempt(self, number: int) -> "JobMaker":
        """Set the number of the attempt, and the name of the Job."""
        name = names.job_name(KEY.name, UID, self.made.step, self.made.step_id, number)
        return self.with_facts(attempt=number, name=name)

    def complete(self, report: Report | None, at: str = NOW) -> "JobMaker":
        """Add a successful pod with a report, and complete the Job."""
        return self.pod_ended(0, report, "Completed")._ended(at, is_complete=True)

    def failed(self, reason: str = "PodFailurePolicy", at: str = NOW) -> "JobMaker":
        """Let the Job fail."""
        return self._ended(at, failure_reason=reason, failure_message="the Job failed")

    def _ended(self, at: str, **facts: Any) -> "JobMaker":
        started_at = self.made.started_at or self.made.created_at
        ended_pods = sum(pod.exit_code is not None for pod in self.made.pods)
        return self.with_facts(started_at=started_at, ended_at=time(at), ended_pods=ended_pods, **facts)

    def suspended(self, by_operator: bool = False) -> "JobMaker":
        """Suspend the Job, by the operator or by another controller."""
        return self.with_facts(is_suspended=True, has_suspend_mark=by_operator)

    def queued(self) -> "JobMaker":
        """Put the Job into a queue of Kueue."""
        return self.with_facts(is_queued=True)

    def progress_reported(self, at: str = NOW) -> "JobMaker":
        """Set the time of the last progress."""
        return self.with_facts(progress_reported_at=time(at))

    def deleting(self) -> "JobMaker":
        """Delete the Job, which remains until its pods have terminated."""
        return self.with_facts(deleted_at=time(NOW))

    def expiring(self) -> "JobMaker":
        """Set a TTL."""
        return self.with_facts(has_ttl=True)

    def with_hash(self, value: str) -> "JobMaker":
        """Set the pod template hash."""
        return self.with_facts(pod_template_hash=value)


def job(step: str = "collect", of: TweetModelSpec | None = None, retry: str = "") -> JobMaker:
    """Return the first Job of a step, just created."""
    of = of or spec()
    is_run_step = step in ("train", "sample", "publish")
    step_id = run_id(of, DIGEST) if is_run_step else collection_id(of, retry)
    if step == "purge":
        step_id = names.purge_id(UID)
    publish = is_run_step and of.publish is not None
    return JobMaker(
        ObservedJob(
            name=names.job_name(KEY.name, UID, step, step_id, 1),
            step=step,
            step_id=step_id,
            attempt=1,
            pod_template_hash=pod_template_hash(step, of, retry, publish=publish),
            created_at=time(NOW),
        )
    )


def job_request(step: str, of: TweetModelSpec | None = None, **plan: Any) -> JobRequest:
    """Return the request for the first Job of a step; `plan` changes fields of the plan."""
    of = of or spec()
    made = job(step, of).obj()
    facts: dict[str, Any] = {}
    if step in ("train", "sample", "publish"):
        facts = {"run": made.step_id, "dataset": dataset_reference(), "publish": of.publish is not None}
    return JobRequest(
        name=made.name,
        uid=UID,
        step_id=made.step_id,
        attempt=1,
        pod_template_hash=made.pod_template_hash,
        plan=Plan(step=step, namespace=KEY.namespace, name=KEY.name, spec=of).model_copy(update=facts | plan),
        pod_template=of.pod_template or PodTemplate(),
    )


def dataset_reference() -> DatasetReference:
    """Return the reference to the data set `dataset()`."""
    return DatasetReference(uri=dataset().uri, digest=DIGEST)


def requested_job(request: JobRequest, at: datetime) -> JobMaker:
    """Return the new Job for a request."""
    plan = request.plan
    is_queued = STEP_KINDS[plan.step].uses_spec_resources and bool(plan.spec.queue_name)
    return JobMaker(
        ObservedJob(
            name=request.name,
            step=plan.step,
            step_id=request.step_id,
            attempt=request.attempt,
            pod_template_hash=request.pod_template_hash,
            created_at=at,
            is_suspended=is_queued,
            is_queued=is_queued,
        )
    )


def observed(
    *jobs: JobMaker, of: TweetModelSpec | None = None, status: TweetModelStatus | None = None, **changes: Any
) -> Observed:
    """Return a live observation of a TweetModel with Jobs."""
    base = Observed(key=KEY, uid=UID, generation=1, spec=of or spec(), recorded_status=status, freshness=Freshness.LIVE)
    return replace(base, jobs=tuple(j.obj() for j in jobs), **changes)


def decided(
    now_observed: Observed,
    now: str = NOW,
    policy: PolicyResult | None = None,
    upstreams: Upstreams | None = None,
    progress_interval: int = 10,
) -> Decision:
    """Return the decision about an observation."""
    return decide(Inputs(now_observed, policy or PolicyResult(), upstreams or {}, time(now), progress_interval))


def status_after(now_observed: Observed, now: str = NOW) -> TweetModelStatus:
    """Return the status in the decision about an observation."""
    status = decided(now_observed, now).status
    assert status is not None
    return status


def condition(decision: Decision, kind: Any = "Ready") -> tuple[str, str]:
    """Return status and reason of a condition."""
    found = decision.status.condition(kind) if decision.status else None
    assert found is not None
    return found.status, found.reason


def message(decision: Decision, kind: Any = "Ready") -> str:
    """Return the message of a condition."""
    found = decision.status.condition(kind) if decision.status else None
    assert found is not None
    return found.message


def collected_status(**changes: object) -> TweetModelStatus:
    """Return the status after the collection of a data set, once the train Job was created."""
    return status_after(observed(job().complete(success(dataset=dataset(**changes)))))


def finished_status() -> TweetModelStatus:
    """Return the status of a finished run."""
    report = success(model=model(run_id(spec(), DIGEST)), samples=["a tweet"])
    return status_after(observed(job("train").complete(report), status=collected_status()))


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # without today's date
    return buffer.getvalue()
