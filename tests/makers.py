"""Builders of test inputs: `observed(job("train").running())`."""

import io
import zipfile
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tweetmodel_api.identities import collection_id, generation_hash, pod_template_hash, run_id
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset, Evaluation, TrainedModel, TweetModelStatus
from tweetmodel_operator import names
from tweetmodel_operator.decide import Inputs, decide
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import Freshness, Key, Observed, ObservedJob, ObservedPod, PolicyResult, Upstreams

KEY = Key("default", "ada")
UID = "11111111-2222-3333-4444-555555555555"
NOW = "2026-11-23T12:00:00Z"
DIGEST = "d" * 64


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def spec(**changes: object) -> TweetModelSpec:
    return TweetModelSpec.model_validate(
        {
            "sources": [{"handle": "ada", "archive": {"uri": "s3://bucket/archive.zip"}}],
            "storage": {"uri": "s3://bucket/models", "secretRef": {"name": "s3"}},
            "baseModel": {"scratch": {"preset": "Tiny"}},
            **changes,
        }
    )


def dataset(**changes: object) -> Dataset:
    numbers = {
        "downloaded": 3249,
        "retweets_dropped": 610,
        "short_dropped": 6,
        "kept": 2633,
        "characters": 200_000,
        "held_out": 263,
    }
    return Dataset.model_validate(
        {"digest": DIGEST, "uri": "s3://bucket/models/default/ada/datasets/dddd", **numbers, **changes}
    )


def model(run: str, of: TweetModelSpec | None = None) -> TrainedModel:
    """The model of a run, with samples drawn by the generation of a spec."""
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
    return Report.model_validate(
        {"outcome": "Succeeded", "reason": Reason.SUCCEEDED, "message": "2,633 posts kept.", **fields}
    )


def failure(reason: Reason, message: str = "It failed: do something.") -> Report:
    return Report(outcome="Failed", reason=reason, message=message)


@dataclass(frozen=True)
class JobMaker:
    """A Job that grows by verbs: `job("train").running()`."""

    made: ObservedJob

    def _with(self, **changes: Any) -> "JobMaker":
        return JobMaker(replace(self.made, **changes))

    def _pod(self, **state: Any) -> "JobMaker":
        number = len(self.made.pods)
        pod = ObservedPod(name=f"{self.made.name}-{number}", created_at=time(f"2026-11-23T11:00:{number:02d}Z"))
        return self._with(pods=(*self.made.pods, replace(pod, **state)))

    def attempt(self, number: int) -> "JobMaker":
        name = names.job_name(KEY.name, UID, self.made.step, self.made.step_id, number)
        return self._with(attempt=number, name=name)

    def running(self, since: str | None = None) -> "JobMaker":
        return self._pod(is_running=True, started_at=time(since) if since else None)

    def node_unreachable(self) -> "JobMaker":
        """The control plane has lost contact to the node of the pod."""
        return self._pod(is_running=True, node_unreachable=True, node="n1")

    def pod_deleted(self, deadline: str, node_unreachable: bool = True) -> "JobMaker":
        """The pod was deleted, and must have terminated by the deadline."""
        return self._pod(
            is_running=True, node_unreachable=node_unreachable, deletion_deadline=time(deadline), node="n1"
        )

    def waiting(self, reason: str, message: str = "") -> "JobMaker":
        return self._pod(waiting_reason=reason, waiting_message=message)

    def unschedulable(self, message: str) -> "JobMaker":
        return self._pod(unschedulable_message=message)

    def pod_ended(
        self, code: int, report: Report | None = None, reason: str = "Error", memory: str | None = None
    ) -> "JobMaker":
        return self._pod(exit_code=code, exit_reason=reason, report=report, memory_limit=memory)

    def complete(self, report: Report | None) -> "JobMaker":
        return self.pod_ended(0, report, "Completed")._with(is_complete=True)

    def failed(self, reason: str = "PodFailurePolicy", at: str = NOW) -> "JobMaker":
        return self._with(failure_reason=reason, failure_message="the Job failed", ended_at=time(at))

    def suspended(self, by_operator: bool = False) -> "JobMaker":
        return self._with(is_suspended=True, has_suspend_mark=by_operator)

    def queued(self) -> "JobMaker":
        return self._with(is_queued=True)

    def without_pods(self, since: str | None, started: str | None = None) -> "JobMaker":
        start = started or since
        return self._with(
            pods=(), started_at=time(start) if start else None, no_pods_since=time(since) if since else None
        )

    def progress_reported(self, at: str = NOW) -> "JobMaker":
        return self._with(progress_reported_at=time(at))

    def deleting(self) -> "JobMaker":
        return self._with(deleted_at=time(NOW))

    def expiring(self) -> "JobMaker":
        return self._with(has_ttl=True)

    def with_hash(self, value: str) -> "JobMaker":
        return self._with(pod_template_hash=value)

    def obj(self) -> ObservedJob:
        return self.made


def job(step: str = "collect", of: TweetModelSpec | None = None, retry: str = "") -> JobMaker:
    of = of or spec()
    step_id = collection_id(of, retry) if step == "collect" else run_id(of, DIGEST)
    publish = step != "collect" and of.publish is not None
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


def observed(
    *jobs: JobMaker, of: TweetModelSpec | None = None, status: TweetModelStatus | None = None, **changes: Any
) -> Observed:
    base = Observed(key=KEY, uid=UID, generation=1, spec=of or spec(), recorded_status=status, freshness=Freshness.LIVE)
    return replace(base, jobs=tuple(j.obj() for j in jobs), **changes)


def decided(
    now_observed: Observed,
    now: str = NOW,
    policy: PolicyResult | None = None,
    upstreams: Upstreams | None = None,
    progress_interval: int = 10,
) -> Decision:
    """The decision about an observation."""
    return decide(Inputs(now_observed, policy or PolicyResult(), upstreams or {}, time(now), progress_interval))


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # without today's date
    return buffer.getvalue()
