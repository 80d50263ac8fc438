"""Prometheus metrics. No label has an unbounded set of values: the name of a TweetModel is never a label."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product

from prometheus_client import REGISTRY
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics import Gauge, Histogram, Info
from prometheus_client.registry import Collector

from tweetmodel_api import KIND, PLURAL
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.status import TweetModelStatus
from tweetmodel_api.steps import STEP_NAMES
from tweetmodel_operator import __version__
from tweetmodel_operator.children import CHILD_KINDS
from tweetmodel_operator.decision import JobOutcome
from tweetmodel_operator.observed import ObservedJob
from tweetmodel_operator.times import seconds_between

RECONCILES = CounterMetric("tweetmodel_reconciles_total", "Reconciles by result.", ["result"])
RECONCILE_SECONDS = Histogram("tweetmodel_reconcile_seconds", "Duration of a reconcile, including its requests.")
API_REQUESTS = CounterMetric("tweetmodel_api_requests_total", "Requests to the API server.", ["verb", "code"])
API_REQUEST_SECONDS = Histogram("tweetmodel_api_request_seconds", "Latency of requests to the API server.", ["verb"])
TRANSITIONS = CounterMetric(
    "tweetmodel_transitions_total", "Changes of the reason of Ready, by the new reason.", ["reason"]
)
PROGRESS_POSTS = CounterMetric("tweetmodel_progress_posts_total", "Progress reports of pods, by response.", ["code"])
QUEUE_DEPTH = Gauge("tweetmodel_queue_depth", "TweetModels that wait for a reconcile.")
ACTIVE_MODELS = Gauge("tweetmodel_active_models", "TweetModels with an unfinished Job, including suspended ones.")
WATCH_LAST_EVENT = Gauge(
    "tweetmodel_watch_last_event_timestamp_seconds",
    "Time of the last event of a watch, or of its last start. Each watch is restarted every ten minutes.",
    ["kind"],
)
WATCHED_KINDS = {PLURAL: KIND} | {child.plural: child.kind for child in CHILD_KINDS}
"""Watched kinds, by plural name."""
RUNS = CounterMetric("tweetmodel_runs_total", "Ended runs, by outcome in status.runs.", ["outcome", "reason"])
JOBS = CounterMetric("tweetmodel_jobs_total", "Ended Jobs, by step.", ["step", "outcome", "reason"])
JOB_SECONDS = Histogram(
    "tweetmodel_job_seconds",
    "Time from the start to the end of a Job.",
    ["step"],
    buckets=(5, 15, 60, 300, 900, 3600, 14400),
)
WAIT_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 14400)
JOB_QUEUE_SECONDS = Histogram(
    "tweetmodel_job_queue_seconds",
    "Time from the creation to the start of a Job, during which Kueue or another controller suspended the Job.",
    ["step"],
    buckets=WAIT_BUCKETS,
)
JOB_WAIT_SECONDS = Histogram(
    "tweetmodel_job_wait_seconds",
    "Time from the creation of a Job to its first running container: queue, scheduling and image pull.",
    ["step"],
    buckets=WAIT_BUCKETS,
)
GPU_SECONDS = CounterMetric("tweetmodel_gpu_seconds_total", "Requested GPUs of Jobs, multiplied by their duration.")
Info("tweetmodel_build", "Version of the operator.").info({"version": __version__})


def record_watch_event(plural: str) -> None:
    """Record an event of a watch, if the operator watches the kind."""
    if plural in WATCHED_KINDS:
        WATCH_LAST_EVENT.labels(WATCHED_KINDS[plural]).set_to_current_time()


def record_job_outcome(ended: JobOutcome, gpu_resource: str) -> None:
    """Count an ended Job, with its waiting times, duration and GPUs."""
    job = ended.job
    JOBS.labels(job.step, ended.outcome, ended.reason).inc()
    first_started = next((pod for pod in job.pods if pod.started_at), None)
    if first_started and first_started.started_at:
        JOB_WAIT_SECONDS.labels(job.step).observe(seconds_between(job.created_at, first_started.started_at))
    if job.started_at is None:
        return
    # A resumed Job has a later start than its first pod.
    began = min(job.started_at, first_started.created_at) if first_started else job.started_at
    JOB_QUEUE_SECONDS.labels(job.step).observe(seconds_between(job.created_at, began))
    if job.ended_at:
        seconds = max(0.0, seconds_between(job.started_at, job.ended_at))  # clocks differ
        JOB_SECONDS.labels(job.step).observe(seconds)
        GPU_SECONDS.inc(requested_gpus(job, gpu_resource) * seconds)


def requested_gpus(job: ObservedJob, gpu_resource: str) -> int:
    """Return the number of GPUs requested by a Job."""
    quantity = job.limits.get(gpu_resource, "")
    return int(quantity) if quantity.isdigit() else 0


def count_ended_runs(before: TweetModelStatus | None, after: TweetModelStatus) -> None:
    """Count the runs whose end was just written to the status."""
    known = {run.id: run.outcome for run in before.runs} if before else {}
    for run in after.runs:
        if run.outcome != "Active" and known.get(run.id, "Active") == "Active":
            reason = run.failure.reason if run.failure else None
            RUNS.labels(run.outcome, reason or run.outcome).inc()


class ModelStates(Collector):
    """TweetModels by the reason of their condition Ready, counted at each scrape."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def set(self, key: str, reason: str) -> None:
        """Set the reason of a TweetModel."""
        self._reasons[key] = reason

    def remove(self, key: str) -> None:
        """Remove a deleted TweetModel."""
        self._reasons.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily | HistogramMetricFamily]:
        """Yield a gauge with one sample for each reason that at least one TweetModel has."""
        family = GaugeMetricFamily("tweetmodel_models", "TweetModels by the reason of Ready.", labels=["reason"])
        for reason, count in Counter(self._reasons.values()).items():
            family.add_metric([reason], count)
        yield family


def _initialize_series() -> None:
    """Initialize all series with 0, since increase() in Prometheus ignores the first sample of a series."""
    steps, verbs = STEP_NAMES, ("GET", "POST", "PATCH", "DELETE")
    codes = ("200", "201", "401", "403", "404", "409", "410", "422", "429", "500", "503", "504", "none")
    without_pod = (Reason.DEADLINE_EXCEEDED, Reason.POD_REFUSED)
    failures = [("Failed", reason) for reason in Reason if REASONS[reason].exit_code or reason in without_pod]
    runs = [*((word, word) for word in ("Succeeded", "Superseded", "NotImproved")), *failures]
    jobs = [*((word, word) for word in ("Succeeded", "Deleted")), *failures]
    series: list[tuple[CounterMetric | Histogram, Iterable[tuple[str, ...]]]] = [
        (RECONCILES, product(("success", "error"))),
        (API_REQUESTS, product(verbs, codes)),
        (API_REQUEST_SECONDS, product(verbs)),
        (PROGRESS_POSTS, product(("200", "400", "401", "403", "404", "503"))),
        (TRANSITIONS, product(Reason)),
        (RUNS, runs),
        (JOBS, [(step, *end) for step in steps for end in jobs]),
        *((metric, product(steps)) for metric in (JOB_SECONDS, JOB_QUEUE_SECONDS, JOB_WAIT_SECONDS)),
    ]
    for metric, labels in series:
        for values in labels:
            metric.labels(*values)
    for plural in WATCHED_KINDS:
        record_watch_event(plural)


_initialize_series()
MODEL_STATES = ModelStates()
REGISTRY.register(MODEL_STATES)
