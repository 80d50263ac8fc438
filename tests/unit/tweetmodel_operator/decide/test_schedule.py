"""Due times of spec.schedule: cron expressions, delays, missed times, and retries after outages."""

import pytest

from fakes.timeline import DAILY, MIDNIGHT, MONDAY, TUESDAY, WEDNESDAY, Timeline, created_steps, finish_two_runs
from makers import spec, time
from tweetmodel_api.reasons import Reason
from tweetmodel_operator.decide.schedule import find_error, is_due_time, next_time


def due_times(timeline: Timeline) -> tuple[str | None, str | None]:
    """Return the last and the next due time of the status."""
    schedule = timeline.recorded.schedule
    assert schedule
    return schedule.last_time, schedule.next_time


# Due times


def test_the_next_due_time_is_awaited_and_starts_a_collection() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    assert timeline.reconcile(MIDNIGHT).requeue_after == 6 * 3600
    assert due_times(timeline) == (None, MONDAY)
    assert created_steps(timeline.reconcile(MONDAY)) == ["collect"]
    assert due_times(timeline)[0] == MONDAY


def test_the_message_of_ready_names_the_next_due_time() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    assert timeline.message("Ready").endswith(f" The next collection is due at {MONDAY}.")
    assert "next collection" not in timeline.message("Trained")


def test_a_due_time_is_delayed_until_the_run_has_ended_and_only_the_last_one_counts() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    assert not timeline.reconcile(MONDAY).create
    assert not timeline.reconcile(TUESDAY).create
    timeline.finish_run(TUESDAY, "3.0")
    assert created_steps(timeline.reconcile(TUESDAY)) == ["collect"]
    assert due_times(timeline)[0] == TUESDAY


def test_a_delayed_due_time_is_taken_at_the_end_of_the_run_without_another_event() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    timeline.start_pod(timeline.newest_job.name)
    assert timeline.reconcile(MONDAY).requeue_after is None
    assert timeline.finish_run(MONDAY, "3.0").requeue_after == 1


def test_a_due_time_replaces_the_run_with_the_policy_replace() -> None:
    timeline = Timeline(schedule=DAILY | {"concurrencyPolicy": "Replace"})
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    active = timeline.newest_job.name
    decision = timeline.reconcile(MONDAY)
    assert created_steps(decision) == ["collect"]
    assert active in decision.delete


@pytest.mark.parametrize(
    ("deadline", "now", "is_taken"),
    [
        (300, "2026-11-23T06:04:00Z", True),
        (300, "2026-11-23T06:06:00Z", False),
        (0, MONDAY, True),
        (0, "2026-11-23T06:00:01Z", False),
    ],
    ids=["before-deadline", "after-deadline", "zero-on-time", "zero-late"],
)
def test_a_due_time_is_skipped_after_its_starting_deadline(deadline: int, now: str, is_taken: bool) -> None:
    timeline = Timeline(schedule=DAILY | {"startingDeadlineSeconds": deadline})
    timeline.finish_first_run()
    assert bool(timeline.reconcile(now).create) is is_taken


def test_a_due_time_waits_for_the_end_of_a_suspension() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    timeline.change_spec(schedule=DAILY, suspend=True)
    assert not timeline.reconcile(TUESDAY).create
    timeline.change_spec(schedule=DAILY)
    assert created_steps(timeline.reconcile(TUESDAY)) == ["collect"]


def test_a_due_time_waits_for_the_end_of_a_violation() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    timeline.violation = "spec.gpus 8 is more than the 1 that this cluster allows"
    assert not timeline.reconcile(TUESDAY).create
    timeline.violation = ""
    assert created_steps(timeline.reconcile(TUESDAY)) == ["collect"]


def test_a_suspended_schedule_causes_no_reconcile_and_no_write() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    timeline.change_spec(schedule=DAILY, suspend=True)
    timeline.reconcile(MIDNIGHT)
    before = timeline.status
    assert timeline.reconcile(TUESDAY).requeue_after is None
    assert timeline.reconcile(WEDNESDAY).status == before


def test_a_schedule_does_not_disturb_a_pinned_run() -> None:
    timeline = finish_two_runs()
    timeline.change_fields(pinned_run=timeline.runs[0].id, schedule=spec(schedule=DAILY).schedule)
    assert not timeline.reconcile(MONDAY).create
    assert timeline.is_ready


# Changes of the schedule and of the clock


def test_a_new_schedule_waits_for_its_first_due_time() -> None:
    timeline = Timeline()
    timeline.finish_first_run()
    timeline.change_spec(schedule=DAILY)
    noon = "2026-11-25T12:00:00Z"
    assert not timeline.reconcile(noon).create
    assert not timeline.reconcile(noon).create
    assert created_steps(timeline.reconcile("2026-11-26T06:00:00Z")) == ["collect"]


def test_a_changed_schedule_drops_the_due_time_of_the_previous_one() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    timeline.change_spec(schedule={"cron": "0 7 * * *"})
    assert not timeline.reconcile("2026-11-23T06:30:00Z").create
    assert created_steps(timeline.reconcile("2026-11-23T07:00:00Z")) == ["collect"]


def test_the_removal_of_a_schedule_collects_nothing() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    timeline.reconcile(MONDAY)
    timeline.finish_collect(MONDAY, "a", 1000)
    timeline.change_spec()
    assert not timeline.reconcile(TUESDAY).create
    assert timeline.is_ready


def test_a_clock_that_is_set_back_repeats_no_due_time() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.finish_first_run()
    timeline.reconcile(TUESDAY)
    timeline.finish_collect(TUESDAY, "a", 1000, new=0)
    for earlier in (MIDNIGHT, MONDAY, TUESDAY):
        assert not timeline.reconcile(earlier).create
    assert due_times(timeline) == (TUESDAY, WEDNESDAY)


# Retries


def test_a_failed_collection_is_repeated_at_the_next_due_time() -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.reconcile(MIDNIGHT)
    timeline.fail_without_report(MIDNIGHT)
    assert not timeline.reconcile(MIDNIGHT).create
    assert created_steps(timeline.reconcile(MONDAY)) == ["collect"]


@pytest.mark.parametrize(
    ("reason", "retried"),
    [(Reason.STORAGE_UNREACHABLE, ["train"]), (Reason.INTERRUPTED, ["train"]), (Reason.DIVERGED, [])],
    ids=["outage", "interrupted", "diverged"],
)
@pytest.mark.parametrize("is_expired", [False, True], ids=["with-job", "without-job"])
def test_a_run_that_failed_by_an_outage_is_retried_once_at_each_due_time(
    reason: Reason, retried: list[str], is_expired: bool
) -> None:
    timeline = Timeline(schedule=DAILY)
    timeline.reconcile(MIDNIGHT)
    timeline.finish_collect(MIDNIGHT, "a", 1000)
    assert not timeline.fail(MIDNIGHT, reason).create
    for day in (MONDAY, TUESDAY):
        if is_expired:
            timeline.remove_finished_jobs()
        assert created_steps(timeline.reconcile(day)) == ["collect"]
        assert created_steps(timeline.finish_collect(day, "a", 1000)) == retried
        if retried:
            assert not timeline.fail(day.replace("06:00", "06:30"), reason).create
        assert timeline.recorded.is_true("Stalled")
        assert timeline.runs[0].failure
        assert timeline.runs[0].failure.reason == reason
    if retried:
        timeline.reconcile(WEDNESDAY)
        timeline.finish_collect(WEDNESDAY, "a", 1000)
        timeline.finish_run(WEDNESDAY, "3.0")
        assert timeline.is_ready


# Cron expressions


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
def test_a_cron_expression_means_the_same_as_in_a_cronjob(written: str, meant: str) -> None:
    schedule, same = (spec(schedule={"cron": cron}).schedule for cron in (written, meant))
    assert schedule
    assert same
    moment = time(MIDNIGHT)
    for _ in range(20):
        following = next_time(schedule, moment)
        assert following == next_time(same, moment)
        assert following
        moment = following


@pytest.mark.parametrize("cron", ["30 2 * * *", "0 2 * * *", "*/20 * * * *", "15 2,3 * * 0", "0 3 29 * *"])
def test_no_due_time_is_lost_at_a_change_to_or_from_daylight_saving_time(cron: str) -> None:
    schedule = spec(schedule={"cron": cron, "timeZone": "Europe/Berlin"}).schedule
    assert schedule
    for day in ("2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"):
        moment = next_time(schedule, time(day))
        for _ in range(120):
            assert moment
            assert is_due_time(schedule, moment)
            moment = next_time(schedule, moment)


def test_due_times_follow_their_time_zone() -> None:
    berlin = spec(schedule=DAILY | {"timeZone": "Europe/Berlin"}).schedule
    assert berlin
    assert next_time(berlin, time("2026-10-24T12:00:00Z")) == time("2026-10-25T05:00:00Z")
    assert next_time(berlin, time("2026-10-23T12:00:00Z")) == time("2026-10-24T04:00:00Z")


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        ({"cron": "61 * * * *"}, "is not a valid cron expression"),
        ({"cron": "0 6 */0 * *"}, "is not a valid cron expression"),
        (DAILY | {"timeZone": "Mars/Olympus"}, "is unknown"),
    ],
    ids=["minute", "step", "time-zone"],
)
def test_an_invalid_schedule_is_reported_before_any_job(schedule: dict[str, str], sentence: str) -> None:
    timeline = Timeline(schedule=schedule)
    assert not timeline.reconcile(MIDNIGHT).create
    assert sentence in timeline.message("Ready")


def test_a_spec_without_schedule_has_no_error() -> None:
    assert find_error(spec().schedule, time(MIDNIGHT)) == ""
