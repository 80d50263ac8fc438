"""What Prometheus reads. No label has an unbounded set of values: a TweetModel's name is never one."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product
from typing import get_args

from prometheus_client import REGISTRY
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics import Gauge, Histogram, Info
from prometheus_client.registry import Collector

from tweetmodel_api import KIND, PLURAL
from tweetmodel_api.identities import StepName
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.status import TweetModelStatus
from tweetmodel_operator import __version__
from tweetmodel_operator.state import ObservedJob, seconds_between

RECONCILES = CounterMetric("tweetmodel_reconciles_total", "Reconciles by result.", ["result"])
RECONCILE_SECONDS = Histogram("tweetmodel_reconcile_seconds", "Time of one reconcile, requests included.")
API_REQUESTS = CounterMetric("tweetmodel_api_requests_total", "Requests to the API server.", ["verb", "code"])
API_REQUEST_SECONDS = Histogram("tweetmodel_api_request_seconds", "Time until they were answered.", ["verb"])
TRANSITIONS = CounterMetric("tweetmodel_transitions_total", "Changes of Ready's reason, by the new one.", ["reason"])
PROGRESS_POSTS = CounterMetric("tweetmodel_progress_posts_total", "Posts of progress, by answer.", ["code"])
QUEUE_DEPTH = Gauge("tweetmodel_queue_depth", "TweetModels that wait for a reconcile.")
ACTIVE_MODELS = Gauge("tweetmodel_active_models", "TweetModels that have a Job which has not ended, held back or not.")
WATCH_HEARD = Gauge(
    "tweetmodel_watch_last_event_timestamp_seconds",
    "When a watch last told of anything, or was opened anew, as each is every ten minutes.",
    ["kind"],
)
KINDS = {PLURAL: KIND, "jobs": "Job", "pods": "Pod"}
"""What is watched: by its name in paths, its label."""
RUNS = CounterMetric("tweetmodel_runs_total", "Runs that ended, as status.runs tells it.", ["outcome", "reason"])
JOBS = CounterMetric("tweetmodel_jobs_total", "Jobs that ended, by stage.", ["step", "outcome", "reason"])
JOB_SECONDS = Histogram(
    "tweetmodel_job_seconds", "From a Job's start to its end.", ["step"], buckets=(5, 15, 60, 300, 900, 3600, 14400)
)
WAITS = (1, 5, 15, 60, 300, 900, 3600, 14400)
JOB_QUEUE_SECONDS = Histogram(
    "tweetmodel_job_queue_seconds",
    "From a Job's creation to its start: how long Kueue, or whoever else suspended it, held it back.",
    ["step"],
    buckets=WAITS,
)
JOB_WAIT_SECONDS = Histogram(
    "tweetmodel_job_wait_seconds",
    "From a Job's creation to its first running container: queue, scheduling and image.",
    ["step"],
    buckets=WAITS,
)
GPU_SECONDS = CounterMetric("tweetmodel_gpu_seconds_total", "GPUs that Jobs asked for, times how long they took.")
Info("tweetmodel_build", "The operator's version.").info({"version": __version__})


def heard(plural: str) -> None:
    """Notes that a watch, if it is one of ours, works."""
    if plural in KINDS:
        WATCH_HEARD.labels(KINDS[plural]).set_to_current_time()


def job_ended(job: ObservedJob, outcome: str, reason: str) -> None:
    """Counts a Job whose outcome is stored or no longer matters, or that was deleted before it had one."""
    JOBS.labels(job.step, outcome, reason).inc()
    first = next((pod for pod in job.pods if pod.started), None)
    if job.started:
        begun = min(job.started, first.created) if first else job.started  # a Job that is resumed starts anew
        JOB_QUEUE_SECONDS.labels(job.step).observe(seconds_between(job.created, begun))
    if first:
        JOB_WAIT_SECONDS.labels(job.step).observe(seconds_between(job.created, first.started))
    if job.started and job.ended:
        seconds = max(0.0, seconds_between(job.started, job.ended))  # clocks differ
        JOB_SECONDS.labels(job.step).observe(seconds)
        GPU_SECONDS.inc(job.gpus * seconds)


def runs_ended(before: TweetModelStatus | None, after: TweetModelStatus) -> None:
    """Counts the runs that a status, which was just written, tells the end of."""
    known = {run.id: run.outcome for run in before.runs} if before else {}
    for run in after.runs:
        if run.outcome != "Active" and known.get(run.id, "Active") == "Active":
            failed = after.attempt if run.outcome == "Failed" else None
            RUNS.labels(run.outcome, (failed and failed.reason) or run.outcome).inc()


class States(Collector):
    """TweetModels by the reason of their Ready condition, counted when scraped: nothing stale stays."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def put(self, key: str, reason: str) -> None:
        """Remembers where a TweetModel stands."""
        self._reasons[key] = reason

    def drop(self, key: str) -> None:
        """Forgets a TweetModel that is gone."""
        self._reasons.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily | HistogramMetricFamily]:
        """One gauge for each reason that occurs."""
        family = GaugeMetricFamily("tweetmodel_models", "TweetModels by the reason of Ready.", labels=["reason"])
        for reason, count in Counter(self._reasons.values()).items():
            family.add_metric([reason], count)
        yield family


def _begin() -> None:
    """Has all that may be counted start at 0: Prometheus sees no increase where a sample appears with it."""
    stages, verbs = get_args(StepName), ("GET", "POST", "PATCH", "DELETE")
    codes = ("200", "201", "401", "403", "404", "409", "410", "422", "429", "500", "503", "504", "none")
    of_no_pod = (Reason.DEADLINE_EXCEEDED, Reason.POD_REFUSED)
    failed = [("Failed", reason) for reason in Reason if REASONS[reason].exit_code or reason in of_no_pod]
    runs = [*((word, word) for word in ("Succeeded", "Superseded", "NotImproved")), *failed]
    jobs = [*((word, word) for word in ("Succeeded", "Deleted")), *failed]
    every: list[tuple[CounterMetric | Histogram, Iterable[tuple[str, ...]]]] = [
        (RECONCILES, product(("success", "error"))),
        (API_REQUESTS, product(verbs, codes)),
        (API_REQUEST_SECONDS, product(verbs)),
        (PROGRESS_POSTS, product(("200", "400", "401", "403", "404", "503"))),
        (TRANSITIONS, product(Reason)),
        (RUNS, runs),
        (JOBS, [(stage, *end) for stage in stages for end in jobs]),
        *((metric, product(stages)) for metric in (JOB_SECONDS, JOB_QUEUE_SECONDS, JOB_WAIT_SECONDS)),
    ]
    for metric, labels in every:
        for values in labels:
            metric.labels(*values)
    for plural in KINDS:
        heard(plural)


_begin()
STATES = States()
REGISTRY.register(STATES)
