"""What Prometheus reads. No label has an unbounded set of values: a TweetModel's name is never one."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import REGISTRY
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics import Gauge, Histogram, Info
from prometheus_client.registry import Collector

from tweetmodel_operator import __version__
from tweetmodel_operator.state import ObservedJob, seconds_between

RECONCILES = CounterMetric("tweetmodel_reconciles_total", "Reconciles by result.", ["result"])
RECONCILE_SECONDS = Histogram("tweetmodel_reconcile_seconds", "Time of one reconcile, requests included.")
API_REQUESTS = CounterMetric("tweetmodel_api_requests_total", "Requests to the API server.", ["verb", "code"])
TRANSITIONS = CounterMetric("tweetmodel_transitions_total", "Changes of Ready's reason, by the new one.", ["reason"])
PROGRESS_POSTS = CounterMetric("tweetmodel_progress_posts_total", "Posts of progress, by answer.", ["code"])
QUEUE_DEPTH = Gauge("tweetmodel_queue_depth", "TweetModels that wait for a reconcile.")
ACTIVE_MODELS = Gauge("tweetmodel_active_models", "TweetModels that a Job is at work for.")
WATCH_HEARD = Gauge("tweetmodel_watch_event_timestamp_seconds", "When a watch last told of anything.", ["kind"])
JOBS = CounterMetric("tweetmodel_jobs_total", "Jobs that ended, by stage.", ["stage", "outcome", "reason"])
JOB_SECONDS = Histogram(
    "tweetmodel_job_seconds", "From a Job's start to its end.", ["stage"], buckets=(5, 15, 60, 300, 900, 3600, 14400)
)
JOB_WAIT_SECONDS = Histogram(
    "tweetmodel_job_wait_seconds",
    "From a Job's creation to its first running container: queue, scheduling and image.",
    ["stage"],
    buckets=(1, 5, 15, 60, 300, 900, 3600, 14400),
)
GPU_SECONDS = CounterMetric("tweetmodel_gpu_seconds_total", "GPUs asked for, times how long their Jobs took.")
Info("tweetmodel_build", "The operator's version.").info({"version": __version__})


def job_ended(job: ObservedJob, outcome: str, reason: str, gpus: int) -> None:
    """Counts a Job whose outcome is stored."""
    JOBS.labels(job.stage, outcome, reason).inc()
    if job.started and job.ended:
        seconds = seconds_between(job.started, job.ended)
        JOB_SECONDS.labels(job.stage).observe(seconds)
        if job.stage == "train":
            GPU_SECONDS.inc(gpus * seconds)
    ran = next((pod.started for pod in job.pods if pod.started), "")
    if ran:
        JOB_WAIT_SECONDS.labels(job.stage).observe(seconds_between(job.created, ran))


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


STATES = States()
REGISTRY.register(STATES)
