"""Continuous training, told as the days of a TweetModel: what it looks at, what it trains, which model stays."""

from typing import Any

import pytest

from makers import KEY, UID, JobMaker, dataset, decided, failure, model, spec, success, time
from tweetmodel_api.identities import publish_hash
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Publication, Run, TweetModelStatus
from tweetmodel_operator.decide.schedule import find_error, is_due_time, next_time
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import Freshness, Observed, ObservedJob, PolicyResult

DAILY = {"cron": "0 6 * * *"}
MONDAY, TUESDAY, WEDNESDAY = (f"2026-11-{day}T06:00:00Z" for day in (23, 24, 25))
NIGHT = "2026-11-23T00:00:00Z"


class Days:
    """A TweetModel whose Jobs end when the test says so."""

    def __init__(self, **changes: Any) -> None:
        self.spec: TweetModelSpec = spec(**changes)
        self.status: TweetModelStatus | None = None
        self.jobs: list[ObservedJob] = []
        self.violation = self.retry = ""

    def look(self, now: str) -> Decision:
        """Decide now; Jobs are created and deleted accordingly."""
        observed = Observed(
            key=KEY,
            uid=UID,
            generation=1,
            spec=self.spec,
            retry=self.retry,
            recorded_status=self.status,
            jobs=tuple(self.jobs),
            freshness=Freshness.LIVE,
        )
        decision = decided(observed, now, PolicyResult(violation=self.violation), progress_interval_seconds=5)
        self.status = decision.status or self.status
        self.jobs = [job for job in self.jobs if job.name not in decision.delete]
        self.jobs += [
            ObservedJob(
                name=request.name,
                step=request.plan.step,
                step_id=request.step_id,
                attempt=request.attempt,
                pod_template_hash=request.pod_template_hash,
                created_at=time(now),
            )
            for request in decision.create
        ]
        return decision

    def collect(self, now: str, digest: str, kept: int, new: int | None = None) -> Decision:
        """The collect Job ends with this data set."""
        return self._end("collect", now, dataset=dataset(digest=digest * 64, kept=kept, new_posts=new))

    def train(self, now: str, loss: str, before: str = "7.6") -> Decision:
        """The train or publish Job ends with a model of this loss."""
        job = self.jobs[-1]
        made = model(job.step_id, self.spec)
        asked = publish_hash(self.spec) if not self.spec.pinned_run else None
        known = {
            "evaluation": made.evaluation.model_copy(update={"loss": loss, "loss_before": before}),
            "publication": Publication(spec_hash=asked, url="https://hub/ada") if asked else None,
        }
        return self._end(job.step, now, model=made.model_copy(update=known))

    def fail(self, now: str, reason: Reason, **report: Any) -> Decision:
        """The newest Job fails by this reason."""
        told = failure(reason).model_copy(update=report)
        ended = JobMaker(self.jobs[-1]).pod_ended(REASONS[reason].exit_code or 1, told)
        self.jobs[-1] = ended.failed(at=now).obj()
        return self.look(now)

    def end_collect(self, now: str, **report: Any) -> Decision:
        """The collect Job ends with this report."""
        return self._end("collect", now, **report)

    def _end(self, step: str, now: str, **report: Any) -> Decision:
        job = self.jobs[-1]
        assert job.step == step
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
    return [request.plan.step for request in decision.create]


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
    assert not days.collect(MONDAY, "b", 1000, new=30).create
    assert days.ready
    assert days.message == "30 posts are new since the last training; the next run needs 50."
    assert not days.look(MONDAY).create
    days.look(TUESDAY)
    assert stages(days.collect(TUESDAY, "c", 1000, new=50)) == ["train"]


def test_what_is_new_is_counted_since_a_model_was_trained_last_whether_or_not_it_took_the_place() -> None:
    days = Days(schedule=DAILY | {"minNewPosts": 50})
    days.first(loss="3.0")
    (request,) = days.look(MONDAY).create
    assert request.plan.baseline_dataset == "a" * 64
    days.collect(MONDAY, "b", 1000, new=60)
    days.train(MONDAY, "3.5")
    (request,) = days.look(TUESDAY).create
    assert request.plan.baseline_dataset == "b" * 64
    assert not days.collect(TUESDAY, "c", 1000, new=1).create


def test_where_the_data_set_of_the_last_model_is_gone_all_posts_are_new() -> None:
    days = Days(schedule=DAILY | {"minNewPosts": 50})
    days.first()
    days.look(MONDAY)
    assert stages(days.collect(MONDAY, "b", 1010, new=None)) == ["train"]


def test_other_sources_are_trained_however_few_their_posts_and_compared_with_nobody() -> None:
    days = Days(schedule=DAILY | {"minNewPosts": 50})
    days.first(loss="3.0")
    before = days.current
    others = [{"handle": "bob", "archive": {"uri": "s3://bucket/bob.zip"}}]
    days.spec = spec(schedule=DAILY | {"minNewPosts": 50}, sources=others)
    (request,) = days.look(NIGHT).create
    assert request.plan.baseline_dataset is None
    assert stages(days.collect(NIGHT, "b", 900, new=0)) == ["train"]
    days.train(NIGHT, "3.5")
    assert days.current != before


def test_the_present_model_stays_in_the_history_and_in_its_place_however_many_were_no_better() -> None:
    days = Days(schedule={"cron": "0 * * * *"}, training={"warmStart": True})
    days.first()
    before = days.current
    for hour, digest in enumerate("0123456789bc", 1):
        now = f"2026-11-23T{hour:02d}:00:00Z"
        days.look(now)
        days.collect(now, digest, 1000)
        days.train(now, "9.0", before="8.0")
        assert days.current == before
    assert days.status
    assert len(days.status.runs) == 10
    assert days.status.runs[-1].model_uri == before


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
    assert days.message == "Kept the current model: its held-out loss is 3.0, the new one's is 3.0."
    assert days.status
    assert [run.outcome for run in days.status.runs] == ["NotImproved", "Succeeded"]
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
    assert request.plan.initial_model
    assert (request.plan.initial_model.uri, request.plan.initial_model.digest) == (
        days.current,
        days.status.model.digest,
    )
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
    assert request.plan.initial_model is None


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


def test_a_due_time_without_any_leeway_is_taken_by_who_is_awake() -> None:
    days = Days(schedule=DAILY | {"startingDeadlineSeconds": 0})
    days.first()
    assert days.look(MONDAY).create
    days = Days(schedule=DAILY | {"startingDeadlineSeconds": 0})
    days.first()
    assert not days.look("2026-11-23T06:00:01Z").create


def test_nothing_is_due_while_it_is_suspended() -> None:
    days = Days(schedule=DAILY)
    days.first()
    days.spec = spec(schedule=DAILY, suspend=True)
    assert not days.look(TUESDAY).create
    days.spec = spec(schedule=DAILY)
    assert stages(days.look(TUESDAY)) == ["collect"]


def test_nothing_is_due_while_it_is_not_allowed() -> None:
    days = Days(schedule=DAILY)
    days.first()
    days.violation = "spec.gpus 8 is more than the 1 that this cluster allows"
    assert not days.look(TUESDAY).create
    days.violation = ""
    assert stages(days.look(TUESDAY)) == ["collect"]


def test_a_schedule_that_is_held_up_is_not_even_looked_at() -> None:
    days = Days(schedule=DAILY)
    days.first()
    days.spec = spec(schedule=DAILY, suspend=True)
    days.look(NIGHT)
    before = days.status
    assert days.look(TUESDAY).requeue_after is None
    assert days.look(WEDNESDAY).status == before


def test_a_due_time_that_waited_for_a_run_is_taken_when_that_ends_without_another_event() -> None:
    days = Days(schedule=DAILY)
    days.look(NIGHT)
    days.collect(NIGHT, "a", 1000)
    days.jobs[-1] = JobMaker(days.jobs[-1]).running().obj()
    assert days.look(MONDAY).requeue_after is None
    assert days.train(MONDAY, "3.0").requeue_after == 1


def test_a_schedule_that_is_added_later_waits_for_its_first_due_time() -> None:
    days = Days()
    days.first()
    days.spec = spec(schedule=DAILY)
    noon = "2026-11-25T12:00:00Z"
    assert not days.look(noon).create
    assert not days.look(noon).create
    assert stages(days.look("2026-11-26T06:00:00Z")) == ["collect"]


def test_a_changed_schedule_forgets_a_due_time_that_it_does_not_have() -> None:
    days = Days(schedule=DAILY)
    days.first()
    days.spec = spec(schedule={"cron": "0 7 * * *"})
    assert not days.look("2026-11-23T06:30:00Z").create
    assert stages(days.look("2026-11-23T07:00:00Z")) == ["collect"]


def test_it_says_when_it_looks_again() -> None:
    days = Days(schedule=DAILY)
    days.first()
    assert days.status
    assert days.status.conditions[0].message.endswith(f" The next collection is due at {MONDAY}.")
    assert "looks for" not in days.message


def test_a_clock_that_is_set_back_brings_no_due_time_back() -> None:
    days = Days(schedule=DAILY)
    days.first()
    days.look(TUESDAY)
    days.collect(TUESDAY, "a", 1000, new=0)
    for earlier in (NIGHT, MONDAY, TUESDAY):
        assert not days.look(earlier).create
    assert days.status
    assert days.status.schedule
    assert (days.status.schedule.last_time, days.status.schedule.next_time) == (TUESDAY, WEDNESDAY)


def test_taking_the_schedule_away_collects_nothing_anew() -> None:
    days = Days(schedule=DAILY)
    days.first()
    days.look(MONDAY)
    days.collect(MONDAY, "a", 1000)
    days.spec = spec()
    assert not days.look(TUESDAY).create
    assert days.ready


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        ("0 6 ? * MON", "0 6 * * 1"),
        ("0  6\t* * *", "0 6 * * *"),
        (" 0 6 * * * ", "0 6 * * *"),
        ("0 6 */10 * 1", "0 6 1,11,21,31 * 1"),
        ("0 6 1 * */2", "0 6 1 * 0,2,4,6"),
        ("0 6 */1 * 1", "0 6 * * 1"),
        ("0 6 * * 1/3", "0 6 * * 1,4"),
        ("0 6 20/5,3 * ?", "0 6 3,20,25,30 * *"),
        ("0 6 */2,* * 1", "0 6 * * 1"),
        ("0 6 */01 * 1", "0 6 * * 1"),
        ("0 6 1-5/2 * *", "0 6 1,3,5 * *"),
        ("0 6 * * sat/1", "0 6 * * 6"),
    ],
)
def test_cron_is_read_as_cronjob_reads_it(written: str, meant: str) -> None:
    wanted, same = (spec(schedule={"cron": cron}).schedule for cron in (written, meant))
    assert wanted
    assert same
    moment = time(NIGHT)
    for _ in range(20):
        following = next_time(wanted, moment)
        assert following == next_time(same, moment)
        assert following
        moment = following


@pytest.mark.parametrize("cron", ["30 2 * * *", "0 2 * * *", "*/20 * * * *", "15 2,3 * * 0", "0 3 29 * *"])
def test_no_due_time_is_lost_when_clocks_change(cron: str) -> None:
    plan = spec(schedule={"cron": cron, "timeZone": "Europe/Berlin"}).schedule
    assert plan
    for day in ("2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"):
        moment = next_time(plan, time(day))
        for _ in range(120):
            assert moment
            assert is_due_time(plan, moment)
            moment = next_time(plan, moment)


def test_a_time_zone_is_followed_over_its_clock_change() -> None:
    berlin = spec(schedule=DAILY | {"timeZone": "Europe/Berlin"}).schedule
    assert berlin
    assert next_time(berlin, time("2026-10-24T12:00:00Z")) == time("2026-10-25T05:00:00Z")
    assert next_time(berlin, time("2026-10-23T12:00:00Z")) == time("2026-10-24T04:00:00Z")


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"cron": "61 * * * *"}, "is not a valid cron expression"),
        ({"cron": "0 6 */0 * *"}, "is not a valid cron expression"),
        (DAILY | {"timeZone": "Mars/Olympus"}, "is unknown"),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_told_at_once(schedule: dict[str, str], said: str) -> None:
    days = Days(schedule=schedule)
    decision = days.look(NIGHT)
    assert not decision.create
    assert decision.status
    assert said in decision.status.conditions[0].message
    assert find_error(spec().schedule, time(NIGHT)) == ""


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
    assert (request.plan.run, request.plan.step) == (older.id, "publish")
    days.train(MONDAY, "3.0")
    assert days.ready
    assert days.current == older.model_uri
    assert not days.look(MONDAY).create
    assert {run.outcome for run in days.status.runs} == {"Succeeded"}
    days.jobs = []
    days.spec = spec(training={"epochs": 9})
    (request,) = days.look(MONDAY).create
    assert (request.plan.run, request.plan.step) == (newer.id, "publish")


def test_going_back_to_an_older_spec_puts_its_model_back_without_a_gpu() -> None:
    days = two_runs()
    assert days.status
    older = days.status.runs[1]
    days.spec = spec()
    (request,) = days.look(MONDAY).create
    assert (request.plan.run, request.plan.step) == (older.id, "publish")
    days.train(MONDAY, "3.0")
    assert (days.ready, days.current) == (True, older.model_uri)


def test_a_model_that_is_gone_says_nothing_of_the_one_that_it_was_started_from() -> None:
    days = Days(training={"warmStart": True})
    days.first()
    days.spec = spec(training={"warmStart": True, "epochs": 9})
    days.look(NIGHT)
    days.train(NIGHT, "2.0")
    days.jobs = []
    assert days.status
    newer, older = days.status.runs
    assert newer.initial_model
    days.spec = days.spec.model_copy(update={"pinned_run": older.id})
    days.look(MONDAY)
    days.train(MONDAY, "3.0")
    days.jobs = []
    days.spec = days.spec.model_copy(update={"pinned_run": None})
    days.look(MONDAY)
    days.fail(MONDAY, Reason.RUN_MISSING)
    assert [run.model_uri for run in days.status.runs] == [None, older.model_uri]


def test_a_run_that_is_pinned_keeps_its_place_in_the_history() -> None:
    days = two_runs()
    assert days.status
    before = [run.id for run in days.status.runs]
    days.spec = spec(training={"epochs": 9}, pinnedRun=before[1])
    days.look(MONDAY)
    days.train(MONDAY, "3.0")
    assert [run.id for run in days.status.runs] == before


def outdone() -> Days:
    """A present model, and after it a run that was no better."""
    days = Days(schedule=DAILY)
    days.first(loss="3.0")
    days.look(MONDAY)
    days.collect(MONDAY, "b", 1100)
    days.train(MONDAY, "3.5")
    days.jobs = []
    return days


def pinned_to_the_worse(**schedule: Any) -> tuple[Days, Run, Run]:
    """A run that was no better, put back by a pin, and the runs: the worse one and the better."""
    days = outdone()
    assert days.status
    worse, better = days.status.runs
    days.spec = spec(schedule=DAILY | schedule, pinnedRun=worse.id)
    days.look(MONDAY)
    days.train(MONDAY, "3.5")
    return days, worse, better


def test_going_back_to_a_spec_whose_last_run_was_outdone_brings_back_its_better_model() -> None:
    days = outdone()
    better = days.current
    days.spec = spec(schedule=DAILY, training={"epochs": 9})
    days.look(MONDAY)
    days.train(MONDAY, "3.1")
    assert days.current != better
    days.jobs = []
    days.spec = spec(schedule=DAILY)
    (request,) = days.look(MONDAY).create
    assert request.plan.step == "publish"
    days.train(MONDAY, "3.0")
    assert days.current == better
    days.jobs = []
    assert not days.look(MONDAY).create
    assert days.ready


def test_taking_the_schedule_away_after_a_run_was_outdone_changes_no_model() -> None:
    days = outdone()
    before = days.current
    days.spec = spec()
    assert not days.look(TUESDAY).create
    assert days.current == before


PUBLISHED = {"publish": {"huggingFace": {"secretRef": {"name": "hub"}}}}


def test_publishing_is_asked_for_of_the_model_that_stays_however_its_last_look_ended() -> None:
    rarely = DAILY | {"minNewPosts": 50}
    waiting = Days(schedule=rarely)
    waiting.first()
    waiting.look(MONDAY)
    waiting.collect(MONDAY, "b", 1000, new=30)
    waiting.jobs = []
    for days, when in ((waiting, rarely), (outdone(), DAILY)):
        stays = days.current
        days.spec = spec(schedule=when, **PUBLISHED)
        (request,) = days.look(MONDAY).create
        assert request.plan.run in stays
        assert request.plan.dataset
        assert (request.plan.dataset.digest, request.plan.step) == ("a" * 64, "publish")
        assert request.plan.publish
        days.train(MONDAY, "3.0")
        assert (days.ready, days.current) == (True, stays)
        days.jobs = []
        assert not days.look(MONDAY).create


def test_what_is_put_back_is_published_too() -> None:
    days = two_runs()
    assert days.status
    newer, older = days.status.runs
    days.spec = spec(training={"epochs": 9}, pinnedRun=older.id, **PUBLISHED)
    assert not days.look(MONDAY).create[0].plan.publish
    days.train(MONDAY, "3.0")
    days.spec = spec(training={"epochs": 9}, pinnedRun=newer.id, **PUBLISHED)
    days.look(MONDAY)
    days.train(MONDAY, "2.0")
    days.spec = spec(training={"epochs": 9}, **PUBLISHED)
    (request,) = days.look(MONDAY).create
    assert (request.plan.run, request.plan.step) == (newer.id, "publish")
    assert request.plan.publish


def refused_by_the_hub() -> Days:
    """A first model, which the Hub does not take."""
    days = Days(**PUBLISHED)
    days.look(NIGHT)
    days.collect(NIGHT, "a", 1000)
    days.fail(NIGHT, Reason.HUB_DENIED, model=model(days.jobs[-1].step_id))
    assert not days.look(NIGHT).create
    days.jobs, days.retry = [], "now"
    days.look(MONDAY)
    days.collect(MONDAY, "a", 1000)
    return days


def test_a_model_that_the_hub_refused_is_pushed_again_without_a_gpu() -> None:
    days = refused_by_the_hub()
    assert days.status
    (run,) = days.status.runs
    assert (run.outcome, run.model_uri, bool(run.evaluation)) == ("Active", model(run.id).uri, True)
    days.jobs.pop()
    (request,) = days.look(MONDAY).create
    assert (request.plan.run, request.plan.step) == (run.id, "publish")
    days.train(MONDAY, "3.0")
    assert (days.ready, days.current) == (True, run.model_uri)
    days.jobs = []
    assert not days.look(MONDAY).create


def test_a_model_that_the_hub_refused_and_that_is_gone_since_is_trained_again() -> None:
    days = refused_by_the_hub()
    days.fail(MONDAY, Reason.RUN_MISSING)
    (request,) = days.look(MONDAY).create
    assert request.plan.step == "train"


def test_a_pinned_run_that_was_outdone_stays_so_and_makes_room_for_the_better_one_afterwards() -> None:
    days, worse, better = pinned_to_the_worse()
    assert days.status
    assert (days.ready, days.current) == (True, worse.model_uri)
    assert [run.outcome for run in days.status.runs] == ["NotImproved", "Succeeded"]
    assert not days.look(MONDAY).create
    days.jobs = []
    assert not days.look(MONDAY).create
    days.spec = spec(schedule=DAILY)
    (request,) = days.look(MONDAY).create
    assert request.plan.step == "publish"
    days.train(MONDAY, "3.0")
    assert days.current == better.model_uri


@pytest.mark.parametrize("publish", [{}, PUBLISHED])
def test_a_better_model_that_is_gone_from_the_bucket_is_passed_over_after_one_try(publish: dict[str, Any]) -> None:
    days, worse, better = pinned_to_the_worse()
    assert days.status
    days.spec = spec(schedule=DAILY, **publish)
    (request,) = days.look(MONDAY).create
    assert (request.plan.run, request.plan.step) == (better.id, "publish")
    days.fail(MONDAY, Reason.RUN_MISSING)
    assert [run.outcome for run in days.status.runs] == ["NotImproved", "Succeeded"], "what it made, it made"
    for request in days.look(MONDAY).create:
        assert (request.plan.run, bool(publish)) == (worse.id, True)
        days.train(MONDAY, "3.5")
    assert (days.ready, days.current) == (True, worse.model_uri)
    assert [run.outcome for run in days.status.runs] == ["Succeeded", "Succeeded"], "it is the best one left"
    days.jobs = []
    for now, digest, loss in ((TUESDAY, "c", "3.2"), (WEDNESDAY, "d", "3.4")):
        days.look(now)
        (request,) = days.collect(now, digest, 1000, new=5).create
        assert (request.plan.step, request.plan.baseline_loss) == ("train", "3.5" if now == TUESDAY else "3.2")
        days.train(now, loss)
    assert [run.outcome for run in days.status.runs] == ["NotImproved", "Succeeded", "Succeeded", "Succeeded"]


def test_the_run_of_the_present_posts_is_trained_again_where_it_is_gone_from_the_bucket() -> None:
    days, _, better = pinned_to_the_worse()
    assert days.status
    days.spec = spec(schedule=DAILY)
    days.jobs = []
    days.look(TUESDAY)
    days.collect(TUESDAY, "a", 1000, new=0)
    days.fail(TUESDAY, Reason.RUN_MISSING)
    (request,) = days.look(TUESDAY).create
    assert (request.plan.run, request.plan.step) == (better.id, "train")
    days.train(TUESDAY, "3.0")
    assert (days.ready, days.current) == (True, better.model_uri)


def test_a_warm_start_from_a_model_that_is_gone_is_followed_by_one_from_the_base() -> None:
    days = Days(schedule=DAILY, training={"warmStart": True})
    days.first()
    days.look(MONDAY)
    (request,) = days.collect(MONDAY, "b", 1100).create
    assert request.plan.initial_model
    days.fail(MONDAY, Reason.RUN_MISSING)
    (request,) = days.look(MONDAY).create
    assert (request.plan.initial_model, request.plan.baseline_loss) == (None, None)
    days.train(MONDAY, "3.3")
    assert days.ready


def test_a_present_model_that_is_gone_from_the_bucket_is_the_present_one_no_more() -> None:
    days = Days(schedule=DAILY | {"minNewPosts": 50})
    days.first()
    days.look(MONDAY)
    days.collect(MONDAY, "b", 1000, new=30)
    days.spec = spec(schedule=DAILY | {"minNewPosts": 50}, **PUBLISHED)
    days.look(MONDAY)
    days.fail(MONDAY, Reason.RUN_MISSING)
    assert days.status
    assert (days.status.model, days.status.samples, days.ready) == (None, (), False)
    days.look(TUESDAY)
    (request,) = days.collect(TUESDAY, "c", 1000, new=31).create
    assert (request.plan.step, request.plan.baseline_loss) == ("train", None)


@pytest.mark.parametrize(("digest", "new"), [("a", 0), ("c", 5)])
def test_the_better_model_comes_back_too_where_a_due_time_comes_with_the_end_of_a_pin(digest: str, new: int) -> None:
    days, _, better = pinned_to_the_worse(minNewPosts=10)
    days.jobs = []
    days.spec = spec(schedule=DAILY | {"minNewPosts": 10})
    assert stages(days.look(TUESDAY)) == ["collect"]
    (request,) = days.collect(TUESDAY, digest, 1000, new=new).create
    assert request.plan.run == better.id
    days.train(TUESDAY, "3.0")
    assert (days.ready, days.current) == (True, better.model_uri)


def test_a_new_model_must_beat_the_better_one_and_not_what_was_pinned() -> None:
    days, _, _ = pinned_to_the_worse()
    days.spec = spec(schedule=DAILY)
    days.look(TUESDAY)
    days.collect(TUESDAY, "c", 1000, new=5)
    assert days.jobs[-1].step == "publish"
    (request,) = days.train(TUESDAY, "3.0").create
    assert (request.plan.baseline_loss, request.plan.step) == ("3.0", "train")


def test_a_pinned_run_is_not_disturbed_by_the_schedule() -> None:
    days = two_runs()
    assert days.status
    days.spec = replace_spec(days.spec, pinned_run=days.status.runs[0].id, schedule=spec(schedule=DAILY).schedule)
    assert not days.look(MONDAY).create
    assert days.ready


def test_a_pin_says_that_what_is_to_be_forgotten_waits_for_its_end() -> None:
    days = two_runs()
    assert days.status
    pinned = days.status.runs[0].id
    days.spec = replace_spec(days.spec, pinned_run=pinned)
    days.look(MONDAY)
    assert "erase" not in str(days.status.conditions)
    days.spec = replace_spec(days.spec, cleaning=spec(cleaning={"erase": ["17"]}).cleaning)
    assert not days.look(MONDAY).create
    ready = days.status.condition("Ready")
    assert ready
    assert "New entries of cleaning.erase take effect after the pin is removed." in ready.message


def test_a_run_that_nobody_knows_cannot_be_pinned() -> None:
    days = two_runs()
    days.spec = replace_spec(days.spec, pinned_run="ab" * 8)
    decision = days.look(MONDAY)
    assert not decision.create
    assert decision.status
    assert (
        "spec.pinnedRun abababababababab is not a run with a model in status.runs"
        in decision.status.conditions[0].message
    )


def replace_spec(of: TweetModelSpec, **changes: Any) -> TweetModelSpec:
    return of.model_copy(update=changes)


def test_a_collection_that_failed_is_looked_at_again_at_the_next_due_time() -> None:
    days = Days(schedule=DAILY)
    days.look(NIGHT)
    days.jobs[-1] = JobMaker(days.jobs[-1]).pod_ended(1).failed("BackoffLimitExceeded").obj()
    assert not days.look(NIGHT).create
    assert stages(days.look(MONDAY)) == ["collect"]


@pytest.mark.parametrize(
    ("reason", "again"),
    [(Reason.STORAGE_UNREACHABLE, ["train"]), (Reason.INTERRUPTED, ["train"]), (Reason.DIVERGED, [])],
)
@pytest.mark.parametrize("ttl_is_over", [False, True])
def test_a_run_that_an_outage_ended_is_tried_again_once_at_each_due_time(
    reason: Reason, again: list[str], ttl_is_over: bool
) -> None:
    days = Days(schedule=DAILY)
    days.look(NIGHT)
    days.collect(NIGHT, "a", 1000)
    assert not days.fail(NIGHT, reason).create
    for day in (MONDAY, TUESDAY):
        days.jobs = [] if ttl_is_over else days.jobs
        assert stages(days.look(day)) == ["collect"]
        assert stages(days.collect(day, "a", 1000)) == again
        if again:
            assert not days.fail(day.replace("06:00", "06:30"), reason).create
        assert days.status
        assert days.status.is_true("Stalled")
        assert days.status.runs[0].failure
        assert days.status.runs[0].failure.reason == reason
    if again:
        days.look(WEDNESDAY)
        days.collect(WEDNESDAY, "a", 1000)
        days.train(WEDNESDAY, "3.0")
        assert days.ready


def test_a_pod_that_collects_is_told_of_the_retry_that_has_it_read_all_sources() -> None:
    days = Days(schedule=DAILY)
    days.first()
    (planned,) = days.look(MONDAY).create
    assert planned.plan.retry == ""
    days.retry = "now"
    assert days.look(MONDAY).delete == (planned.name,)
    (asked,) = days.look(MONDAY).create
    assert asked.plan.retry == "now"


def test_a_run_that_learnt_from_a_forgotten_post_is_stale_and_nothing_starts_from_it() -> None:
    days = Days(training={"warmStart": True})
    days.first()
    days.spec = spec(training={"warmStart": True}, cleaning={"erase": ["17"]})
    days.look(NIGHT)
    decision = days.end_collect(NIGHT, dataset=dataset(digest="b" * 64, erased_from=["a" * 16]))
    (request,) = decision.create
    assert request.plan.initial_model is None
    assert days.status
    assert [run.contains_erased_posts for run in days.status.runs] == [False, True]


def test_a_collection_is_told_which_data_sets_models_learnt_from() -> None:
    days = Days(schedule=DAILY)
    days.look(NIGHT)
    (request,) = days.collect(NIGHT, "a", 1000).create
    assert request.plan.trained_datasets == ()
    days.train(NIGHT, "3.0")
    days.look(MONDAY)
    days.collect(MONDAY, "b", 1000, new=60)
    days.train(MONDAY, "2.5")
    (request,) = days.look(TUESDAY).create
    assert set(request.plan.trained_datasets) == {"a" * 64, "b" * 64}
