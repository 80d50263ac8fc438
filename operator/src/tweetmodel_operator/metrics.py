"""What Prometheus reads. No label has an unbounded set of values: a TweetModel's name is never one."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client import REGISTRY
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics import Gauge, Histogram, Info
from prometheus_client.registry import Collector

from tweetmodel_operator import __version__

RECONCILES = CounterMetric("tweetmodel_reconciles_total", "Reconciles by result.", ["result"])
RECONCILE_SECONDS = Histogram("tweetmodel_reconcile_seconds", "Time of one reconcile, requests included.")
API_REQUESTS = CounterMetric("tweetmodel_api_requests_total", "Requests to the API server.", ["verb", "code"])
TRANSITIONS = CounterMetric("tweetmodel_transitions_total", "Changes of Ready's reason, by the new one.", ["reason"])
PROGRESS_POSTS = CounterMetric("tweetmodel_progress_posts_total", "Posts of progress, by answer.", ["code"])
QUEUE_DEPTH = Gauge("tweetmodel_queue_depth", "TweetModels that wait for a reconcile.")
Info("tweetmodel_build", "The operator's version.").info({"version": __version__})


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
