"""Readable makers of what tests look at: `observed(jobs=(job().running(),))`."""

import io
import zipfile
from dataclasses import dataclass, replace

from tweetmodel_api.identities import collection_id, pod_template_hash, run_id
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset, Evaluation, TrainedModel, TweetModelStatus
from tweetmodel_operator import names
from tweetmodel_operator.state import Key, Observed, ObservedJob, ObservedPod

KEY = Key("default", "ada")
UID = "11111111-2222-3333-4444-555555555555"
NOW = "2026-11-23T12:00:00Z"
DIGEST = "d" * 64


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


def model(run: str) -> TrainedModel:
    return TrainedModel(
        uri=f"s3://bucket/models/default/ada/runs/{run}/model",
        digest="e" * 64,
        optimizer_steps=12,
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

    def _with(self, **changes: object) -> "JobMaker":
        return JobMaker(replace(self.made, **changes))

    def _pod(self, **state: object) -> "JobMaker":
        number = len(self.made.pods)
        pod = ObservedPod(name=f"{self.made.name}-{number}", created=f"2026-11-23T11:00:{number:02d}Z")
        return self._with(pods=(*self.made.pods, replace(pod, **state)))

    def attempt(self, number: int) -> "JobMaker":
        return self._with(attempt=number, name=names.job_name(KEY.name, UID, self.made.step, self.made.id, number))

    def running(self, since: str = "") -> "JobMaker":
        return self._pod(running=True, started=since)

    def unheard(self) -> "JobMaker":
        """Its node does not answer, says the control plane."""
        return self._pod(running=True, unheard=True, node="n1")

    def pod_deleted(self, due: str, unheard: bool = True) -> "JobMaker":
        """Its pod was to have ended by then."""
        return self._pod(running=True, unheard=unheard, due=due, node="n1")

    def waiting(self, reason: str, message: str = "") -> "JobMaker":
        return self._pod(waiting_reason=reason, waiting_message=message)

    def unschedulable(self, message: str) -> "JobMaker":
        return self._pod(unschedulable=message)

    def pod_ended(self, code: int, report: Report | None = None, reason: str = "Error", memory: str = "") -> "JobMaker":
        return self._pod(exit_code=code, exit_reason=reason, report=report, memory_limit=memory)

    def complete(self, report: Report | None) -> "JobMaker":
        return self.pod_ended(0, report, "Completed")._with(complete=True)

    def failed(self, reason: str = "PodFailurePolicy", at: str = NOW) -> "JobMaker":
        return self._with(failed_reason=reason, failed_message="the Job failed", ended=at)

    def suspended(self, by_us: bool = False) -> "JobMaker":
        return self._with(suspended=True, suspended_by_us=by_us)

    def queued(self) -> "JobMaker":
        return self._with(queued=True)

    def podless(self, since: str, started: str = "") -> "JobMaker":
        return self._with(pods=(), started=started or since, idle_since=since)

    def reported(self, at: str = NOW) -> "JobMaker":
        return self._with(reported=at)

    def deleting(self) -> "JobMaker":
        return self._with(deleted=NOW)

    def expiring(self) -> "JobMaker":
        return self._with(has_ttl=True)

    def inputs(self, value: str) -> "JobMaker":
        return self._with(inputs=value)

    def obj(self) -> ObservedJob:
        return self.made


def job(stage: str = "collect", of: TweetModelSpec | None = None, retry: str = "") -> JobMaker:
    of = of or spec()
    identity = collection_id(of, retry) if stage == "collect" else run_id(of, DIGEST)
    return JobMaker(
        ObservedJob(
            name=names.job_name(KEY.name, UID, stage, identity, 1),
            step=stage,
            id=identity,
            attempt=1,
            inputs=pod_template_hash(stage, of, retry),
            created=NOW,
        )
    )


def observed(
    *jobs: JobMaker, of: TweetModelSpec | None = None, status: TweetModelStatus | None = None, **changes: object
) -> Observed:
    base = Observed(key=KEY, uid=UID, generation=1, spec=of or spec(), status=status)
    return replace(base, jobs=tuple(j.obj() for j in jobs), **changes)


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # without today's date
    return buffer.getvalue()
