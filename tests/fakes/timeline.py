"""The history of a TweetModel over days, in which the Jobs end as the test states."""

from typing import Any

from fakes.observed_cluster import ObservedCluster
from fakes.trainer import successful_report
from makers import JobMaker, dataset, failure, spec, success, time
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.report import Report
from tweetmodel_api.status import Run, TweetModelStatus
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import ObservedJob

MIDNIGHT = "2026-11-23T00:00:00Z"
MONDAY, TUESDAY, WEDNESDAY = (f"2026-11-{day}T06:00:00Z" for day in (23, 24, 25))
DAILY = {"cron": "0 6 * * *"}
"""A schedule that is due at MONDAY, TUESDAY and WEDNESDAY."""
PUBLISHED = {"publish": {"huggingFace": {"secretRef": {"name": "hub"}}}}


class Timeline(ObservedCluster):
    """A TweetModel with a clock of the test. Each method returns the decision of one reconcile."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(spec(**fields), time(MIDNIGHT))

    def change_spec(self, **fields: Any) -> None:
        """Replace the spec, with these fields."""
        self.edit(spec(**fields))

    def change_fields(self, **fields: Any) -> None:
        """Replace fields of the spec, by their names in Python."""
        self.edit(self.spec.model_copy(update=fields))

    def reconcile(self, now: str) -> Decision:
        """Decide once about a live observation, and apply the decision."""
        self.clock = time(now)
        observed = self.observe()
        decision = self.decide(observed)
        self.apply(observed, decision)
        return decision

    def finish(self, now: str, report: Report) -> Decision:
        """Complete the newest Job with a report."""
        self.clock = time(now)
        self.complete_job(self.newest_job.name, report)
        return self.reconcile(now)

    def finish_collect(self, now: str, digest: str, kept: int, new: int | None = None) -> Decision:
        """Complete the collect Job with a data set."""
        assert self.newest_job.step == "collect"
        return self.finish(now, success(dataset=dataset(digest=digest * 64, kept=kept, new_posts=new)))

    def finish_run(self, now: str, loss: str, loss_before: str = "7.6") -> Decision:
        """Complete the train, sample or publish Job with a model."""
        plan = self.plans[self.newest_job.name]
        assert plan.run
        return self.finish(now, successful_report(plan, loss=loss, loss_before=loss_before))

    def fail(self, now: str, reason: Reason, **facts: Any) -> Decision:
        """Let the newest Job fail with a report."""
        self.clock = time(now)
        report = failure(reason).model_copy(update=facts)
        self.fail_job(self.newest_job.name, REASONS[reason].exit_code or 1, report)
        return self.reconcile(now)

    def fail_without_report(self, now: str) -> Decision:
        """Let the newest Job fail after all its retries, without a report."""
        self.clock = time(now)
        self.fail_job(self.newest_job.name, 1, None, "BackoffLimitExceeded")
        return self.reconcile(now)

    def finish_first_run(self, loss: str = "3.0") -> None:
        """Collect the first data set and train the first model, at midnight."""
        self.reconcile(MIDNIGHT)
        self.finish_collect(MIDNIGHT, "a", 1000)
        self.finish_run(MIDNIGHT, loss)
        assert self.is_ready

    def remove_finished_jobs(self) -> None:
        """Remove the finished Jobs, as the TTL controller does."""
        self.jobs = {name: job for name, job in self.jobs.items() if not job.is_finished}

    @property
    def newest_job(self) -> ObservedJob:
        """The last created Job."""
        return list(self.jobs.values())[-1]

    @property
    def recorded(self) -> TweetModelStatus:
        """The recorded status."""
        assert self.status is not None
        return self.status

    @property
    def runs(self) -> tuple[Run, ...]:
        """The history of runs, newest first."""
        return self.recorded.runs

    @property
    def is_ready(self) -> bool:
        """True if the model of the spec exists."""
        return self.recorded.is_true("Ready")

    @property
    def model_uri(self) -> str:
        """URI of the current model."""
        assert self.recorded.model
        return self.recorded.model.uri

    def message(self, kind: Any = "Ready") -> str:
        """Return the message of a condition."""
        condition = self.recorded.condition(kind)
        assert condition
        return condition.message


def finish_two_runs() -> Timeline:
    """Return a timeline with finished runs of two specs, without Jobs."""
    timeline = Timeline()
    timeline.finish_first_run()
    timeline.change_spec(training={"epochs": 9})
    timeline.reconcile(MIDNIGHT)
    timeline.finish_run(MIDNIGHT, "2.0")
    timeline.remove_finished_jobs()
    return timeline


def finish_without_improvement() -> Timeline:
    """Return a timeline with a current model and a later run without improvement, without Jobs."""
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run(loss="3.0")
    timeline.reconcile(MONDAY)
    timeline.finish_collect(MONDAY, "b", 1100)
    timeline.finish_run(MONDAY, "3.5")
    timeline.remove_finished_jobs()
    return timeline


def pin_worse_run(**schedule: Any) -> tuple[Timeline, Run, Run]:
    """Return a timeline with a pinned run without improvement, and its worse and better runs."""
    timeline = finish_without_improvement()
    worse, better = timeline.runs
    timeline.change_spec(schedule=DAILY | schedule, pinnedRun=worse.id)
    timeline.reconcile(MONDAY)
    timeline.finish_run(MONDAY, "3.5")
    return timeline, worse, better


def created_steps(decision: Decision) -> list[str]:
    """Return the steps of the Jobs created by a decision."""
    return [request.plan.step for request in decision.create]


def running(job: ObservedJob) -> ObservedJob:
    """Return a Job with a running pod."""
    return JobMaker(job).running().obj()
