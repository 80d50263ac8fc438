"""Continuous training, told as the days of a TweetModel: what it looks at, what it trains, which model stays."""

from typing import Any

import pytest

from makers import KEY, UID, JobMaker, dataset, model, spec, success
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import TweetModelStatus
from tweetmodel_operator.decide import decide
from tweetmodel_operator.decide.schedule import next_time, problem
from tweetmodel_operator.state import Decision, Observed, ObservedJob

DAILY = {"cron": "0 6 * * *"}
MONDAY, TUESDAY, WEDNESDAY = (f"2026-11-{day}T06:00:00Z" for day in (23, 24, 25))
NIGHT = "2026-11-23T00:00:00Z"


class Days:
    """A TweetModel whose Jobs end when the test says so."""

    def __init__(self, **changes: Any) -> None:
        self.spec: TweetModelSpec = spec(**changes)
        self.status: TweetModelStatus | None = None
        self.jobs: list[ObservedJob] = []

    def look(self, now: str) -> Decision:
        """What the operator decides now; Jobs are made and deleted as it says."""
        observed = Observed(
            key=KEY, uid=UID, generation=1, spec=self.spec, status=self.status, created=NIGHT, jobs=tuple(self.jobs)
        )
        decision = decide(observed, now, 5)
        self.status = decision.status or self.status
        self.jobs = [job for job in self.jobs if job.name not in decision.delete]
        self.jobs += [
            ObservedJob(name=r.name, stage=r.plan.stage, id=r.id, attempt=r.attempt, inputs=r.inputs, created=now)
            for r in decision.create
        ]
        return decision

    def collect(self, now: str, digest: str, kept: int) -> Decision:
        """The collect Job ends with this data set."""
        return self._end("collect", now, dataset=dataset(digest=digest * 64, kept=kept))

    def train(self, now: str, loss: str, before: str = "7.6") -> Decision:
        """The train Job ends with a model of this loss."""
        run = self.jobs[-1].id
        made = model(run)
        evaluation = made.evaluation.model_copy(update={"loss": loss, "loss_before": before})
        return self._end("train", now, model=made.model_copy(update={"evaluation": evaluation}))

    def _end(self, stage: str, now: str, **report: Any) -> Decision:
        job = self.jobs[-1]
        assert job.stage == stage
        self.jobs[-1] = JobMaker(job).complete(success(**report)).obj()
        return self.look(now)

    def first(self, loss: str = "3.0") -> None:
        """The first data set and model, in the night."""
        self.look(NIGHT)
        self.collect(NIGHT, "a", 1000)
        self.train(NIGHT, loss)
        assert self.ready

    @property
    def ready(self) -> bool:
        assert self.status
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def message(self) -> str:
        assert self.status
        return next(c.message for c in self.status.conditions if c.type == "Trained")

    @property
    def current(self) -> str:
        assert self.status
        assert self.status.model
        return self.status.model.uri


def stages(decision: Decision) -> list[str]:
    return [request.plan.stage for request in decision.create]


def test_it_sleeps_until_the_next_due_time_and_then_looks_at_its_sources() -> None:
    days = Days(schedule=DAILY)
    days.first()
    assert days.look(NIGHT).requeue_after == 6 * 3600
    assert days.status
    assert days.status.schedule
    assert (days.status.schedule.last_time, days.status.schedule.next_time) == (None, MONDAY)
    assert stages(days.look(MONDAY)) == ["collect"]
    assert days.status.schedule.last_time == MONDAY


def test_the_same_posts_train_nothing() -> None:
    days = Days(schedule=DAILY)
    days.first()
    before = days.current
    days.look(MONDAY)
    assert not days.collect(MONDAY, "a", 1000).create
    assert days.ready
    assert days.current == before


def test_it_trains_once_enough_is_new() -> None:
    days = Days(schedule=DAILY | {"minNewPosts": 50})
    days.first()
    days.look(MONDAY)
    assert not days.collect(MONDAY, "b", 1030).create
    assert days.ready
    assert days.message == "30 posts are new since the model was trained: it is trained again at 50."
    assert not days.look(MONDAY).create
    days.look(TUESDAY)
    assert stages(days.collect(TUESDAY, "c", 1050)) == ["train"]


def test_a_better_model_becomes_the_present_one() -> None:
    days = Days(schedule=DAILY)
    days.first(loss="3.0")
    before = days.current
    days.look(MONDAY)
    days.collect(MONDAY, "b", 1100)
    days.train(MONDAY, "2.9")
    assert days.ready
    assert days.current != before


def test_a_model_that_is_no_better_leaves_the_older_one_in_its_place() -> None:
    days = Days(schedule=DAILY)
    days.first(loss="3.0")
    before = days.current
    days.look(MONDAY)
    days.collect(MONDAY, "b", 1100)
    days.train(MONDAY, "3.0")
    assert days.ready
    assert days.current == before
    assert days.message == "The new model is no better (held-out loss 3.0, and 3.0 before), so the older one stays."
    assert days.status
    assert [run.outcome for run in days.status.runs] == ["Outdone", "Succeeded"]
    days.jobs = []
    assert not days.look(MONDAY).create


def test_a_changed_spec_is_not_compared_with_what_was_before() -> None:
    days = Days(schedule=DAILY)
    days.first(loss="3.0")
    before = days.current
    days.spec = spec(schedule=DAILY, training={"epochs": 9})
    assert stages(days.look(NIGHT)) == ["train"]
    days.train(NIGHT, "3.5")
    assert days.current != before


def test_a_warm_start_goes_on_from_the_present_model_and_is_no_reason_for_the_next_one() -> None:
    days = Days(schedule=DAILY, training={"warmStart": True})
    days.first()
    assert days.status
    assert days.status.model
    days.look(MONDAY)
    (request,) = days.collect(MONDAY, "b", 1100).create
    assert request.plan.start
    assert (request.plan.start.uri, request.plan.start.digest) == (days.current, days.status.model.digest)
    days.train(MONDAY, "2.5", before="2.9")
    assert days.ready
    assert not days.look(MONDAY).create
    days.jobs = []
    assert not days.look(MONDAY).create


def test_a_warm_start_must_beat_the_older_model_on_the_same_posts() -> None:
    days = Days(schedule=DAILY, training={"warmStart": True})
    days.first(loss="3.0")
    before = days.current
    days.look(MONDAY)
    days.collect(MONDAY, "b", 1100)
    days.train(MONDAY, "2.8", before="2.7")
    assert days.current == before


def test_another_base_is_not_started_from_the_older_model() -> None:
    days = Days(training={"warmStart": True})
    days.first()
    days.spec = spec(training={"warmStart": True}, baseModel={"scratch": {"preset": "Small"}})
    (request,) = days.look(NIGHT).create
    assert request.plan.start is None


def test_a_due_time_waits_until_the_run_has_ended_and_only_the_last_one_counts() -> None:
    days = Days(schedule=DAILY)
    days.look(NIGHT)
    days.collect(NIGHT, "a", 1000)
    assert not days.look(MONDAY).create
    assert not days.look(TUESDAY).create
    days.train(TUESDAY, "3.0")
    assert stages(days.look(TUESDAY)) == ["collect"]
    assert days.status
    assert days.status.schedule
    assert days.status.schedule.last_time == TUESDAY


def test_a_due_time_may_replace_the_run() -> None:
    days = Days(schedule=DAILY | {"concurrencyPolicy": "Replace"})
    days.look(NIGHT)
    days.collect(NIGHT, "a", 1000)
    running = days.jobs[-1].name
    decision = days.look(MONDAY)
    assert stages(decision) == ["collect"]
    assert running in decision.delete


@pytest.mark.parametrize(("now", "looks"), [("2026-11-23T06:04:00Z", True), ("2026-11-23T06:06:00Z", False)])
def test_a_due_time_that_was_missed_for_too_long_is_passed_over(now: str, looks: bool) -> None:
    days = Days(schedule=DAILY | {"startingDeadlineSeconds": 300})
    days.first()
    assert bool(days.look(now).create) is looks


def test_nothing_is_due_while_it_is_suspended() -> None:
    days = Days(schedule=DAILY)
    days.first()
    days.spec = spec(schedule=DAILY, suspend=True)
    assert not days.look(TUESDAY).create
    days.spec = spec(schedule=DAILY)
    assert stages(days.look(TUESDAY)) == ["collect"]


def test_taking_the_schedule_away_collects_nothing_anew() -> None:
    days = Days(schedule=DAILY)
    days.first()
    days.look(MONDAY)
    days.collect(MONDAY, "a", 1000)
    days.spec = spec()
    assert not days.look(TUESDAY).create
    assert days.ready


def test_a_time_zone_is_followed_over_its_clock_change() -> None:
    berlin = spec(schedule=DAILY | {"timeZone": "Europe/Berlin"}).schedule
    assert berlin
    assert next_time(berlin, "2026-10-24T12:00:00Z") == "2026-10-25T05:00:00Z"
    assert next_time(berlin, "2026-10-23T12:00:00Z") == "2026-10-24T04:00:00Z"


@pytest.mark.parametrize(
    ("schedule", "said"),
    [({"cron": "61 * * * *"}, "is no cron expression"), (DAILY | {"timeZone": "Mars/Olympus"}, "is not known")],
)
def test_a_schedule_that_cannot_be_followed_is_told_at_once(schedule: dict[str, str], said: str) -> None:
    days = Days(schedule=schedule)
    decision = days.look(NIGHT)
    assert not decision.create
    assert decision.status
    assert said in decision.status.conditions[0].message
    assert problem(spec().schedule, NIGHT) == ""


def two_runs() -> Days:
    days = Days()
    days.first()
    days.spec = spec(training={"epochs": 9})
    days.look(NIGHT)
    days.train(NIGHT, "2.0")
    days.jobs = []  # their TTL is over
    return days


def test_a_pinned_run_is_put_back_by_a_pod_without_a_gpu_that_repeats_its_report() -> None:
    days = two_runs()
    assert days.status
    newer, older = days.status.runs
    days.spec = spec(training={"epochs": 9}, pinnedRun=older.id)
    (request,) = days.look(MONDAY).create
    assert (request.plan.run, request.plan.repeat) == (older.id, True)
    days.train(MONDAY, "3.0")
    assert days.ready
    assert days.current == older.model_uri
    assert not days.look(MONDAY).create
    assert {run.outcome for run in days.status.runs} == {"Succeeded"}
    days.jobs = []
    days.spec = spec(training={"epochs": 9})
    (request,) = days.look(MONDAY).create
    assert request.plan.run == newer.id


def test_a_pinned_run_is_not_disturbed_by_the_schedule() -> None:
    days = two_runs()
    assert days.status
    days.spec = replace_spec(days.spec, pinned_run=days.status.runs[0].id, schedule=spec(schedule=DAILY).schedule)
    assert not days.look(MONDAY).create
    assert days.ready


def test_a_run_that_nobody_knows_cannot_be_pinned() -> None:
    days = two_runs()
    days.spec = replace_spec(days.spec, pinned_run="ab" * 8)
    decision = days.look(MONDAY)
    assert not decision.create
    assert decision.status
    assert "spec.pinnedRun abababababababab is no run in status.runs" in decision.status.conditions[0].message


def replace_spec(of: TweetModelSpec, **changes: Any) -> TweetModelSpec:
    return of.model_copy(update=changes)


def test_a_collection_that_failed_is_looked_at_again_at_the_next_due_time() -> None:
    days = Days(schedule=DAILY)
    days.look(NIGHT)
    days.jobs[-1] = JobMaker(days.jobs[-1]).pod_ended(1).failed("BackoffLimitExceeded").obj()
    assert not days.look(NIGHT).create
    assert stages(days.look(MONDAY)) == ["collect"]
