"""Attempts at a step: numbering, repetition, replacement, deletion, and the messages of failures."""

from typing import Any

import pytest

from makers import (
    DIGEST,
    NOW,
    JobMaker,
    collected_status,
    condition,
    dataset,
    decided,
    failure,
    finished_status,
    job,
    message,
    model,
    observed,
    run_entry,
    spec,
    status_after,
    status_with,
    success,
    time,
)
from tweetmodel_api.fields import MAX_MESSAGE_LENGTH
from tweetmodel_api.identities import publish_hash, run_id
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.report import Report
from tweetmodel_api.retry import retry_command
from tweetmodel_api.status import Publication, Run, StepStatus
from tweetmodel_operator.decide.attempts import _last_attempt, must_delete, reconcile_step
from tweetmodel_operator.decide.steps import Hold, Step
from tweetmodel_operator.observed import Observed, PolicyResult

LATER = "2026-11-23T13:00:00Z"
RETRY = "To retry after a fix, run `kubectl annotate tm ada -n default tweetmodel.dev/retry=$(date +%s) --overwrite`."
OTHER = spec(training={"epochs": 9})
PUBLISHING = spec(publish={"huggingFace": {"secretRef": {"name": "hub"}}})
SUSPENDED = Hold(Reason.SUSPENDED, "spec.suspend is true")
FORBIDDEN = Hold(Reason.NOT_ALLOWED, "it is forbidden", deletes_jobs=True)


def attempts(now_observed: Observed, now: str = NOW) -> list[int]:
    """Return the numbers of the attempts that a decision creates."""
    return [request.attempt for request in decided(now_observed, now).create]


def train_step(of: Any = None, **changes: Any) -> Step:
    made = job("train", of).obj()
    return Step("train", made.step_id, made.pod_template_hash, **changes)


def step_status(attempt: int = 1, outcome: str = "Failed", **changes: Any) -> StepStatus:
    """Return the recorded attempt of the run of `spec()`."""
    made = job("train").attempt(attempt).obj()
    base = StepStatus(
        name="train",
        id=made.step_id,
        attempt=attempt,
        pod_template_hash=made.pod_template_hash,
        job=made.name,
        outcome=outcome,
        reason=Reason.DIVERGED if outcome == "Failed" else None,
        message="It diverged." if outcome == "Failed" else None,
    )
    return base.model_copy(update=changes)


# The last attempt


def test_without_a_recorded_attempt_there_is_no_last_one() -> None:
    assert _last_attempt(train_step(), status_with()) is None
    assert _last_attempt(train_step(), status_with(run_entry())) is None
    other = step_status(id="a" * 16)
    assert _last_attempt(train_step(), status_with(steps=(other,))) is None


def test_the_last_attempt_is_the_highest_of_all_steps_with_the_same_id() -> None:
    trained, published = step_status(1, "Succeeded"), step_status(2, name="publish")
    last = _last_attempt(train_step(), status_with(steps=(published, trained)))
    assert last
    assert (last.status, last.ended_at) == (published, None)


def failed_run(**changes: Any) -> Run:
    return run_entry(outcome="Failed", failure=step_status(3), completion_time=NOW, **changes)


def test_the_last_attempt_is_that_of_the_failed_run_without_a_recorded_step() -> None:
    last = _last_attempt(train_step(), status_with(failed_run()))
    assert last
    assert (last.status.attempt, last.ended_at) == (3, time(NOW))


def test_a_recorded_step_precedes_the_failure_of_its_run() -> None:
    last = _last_attempt(train_step(), status_with(failed_run(), steps=(step_status(4),)))
    assert last
    assert (last.status.attempt, last.ended_at) == (4, None)


# The next attempt


def test_the_first_attempt_has_the_number_one() -> None:
    result = reconcile_step(train_step(), observed(), None, time(NOW))
    assert result.create_attempt == 1
    assert result.status == step_status(1, "Active")
    assert (result.state.reason, result.delete) == (Reason.TRAINING, ())


@pytest.mark.parametrize(
    ("recorded", "jobs", "expected"),
    [
        (step_status(1, "Active"), (), 2),
        (step_status(2, "Active"), (job("train"),), 3),
        (step_status(1, "Active"), (job("train"),), None),
        (step_status(1, "Failed"), (), None),
        (step_status(2, "Failed"), (job("train").pod_ended(1).failed(),), None),
        (step_status(1, "Failed"), (job("train").attempt(2),), None),
        (step_status(1, "Failed", pod_template_hash="f" * 16), (), 2),
        (step_status(1, "Failed", pod_template_hash="f" * 16), (job("train").pod_ended(1).failed(),), 2),
        (step_status(1, "Succeeded"), (), 2),
    ],
    ids=[
        *("lost-job", "lost-newer-job", "active-job", "failed", "failed-with-older-job", "failed-with-newer-job"),
        *("failed-with-another-template", "failed-job-with-another-template", "succeeded-without-result"),
    ],
)
def test_the_next_attempt_depends_on_the_recorded_one_and_the_jobs(
    recorded: StepStatus, jobs: tuple[JobMaker, ...], expected: int | None
) -> None:
    now_observed = observed(*jobs, status=status_with(steps=(recorded,)))
    assert reconcile_step(train_step(), now_observed, None, time(NOW)).create_attempt == expected


def test_a_missing_job_of_an_unfinished_step_is_created_again() -> None:
    assert attempts(observed(status=status_after(observed()))) == [2]


@pytest.mark.parametrize(
    ("reason", "ended", "due", "expected"),
    [
        (Reason.STORAGE_UNREACHABLE, "2026-11-23T11:00:00Z", NOW, 4),
        (Reason.INTERRUPTED, "2026-11-23T11:00:00Z", NOW, 4),
        (Reason.STORAGE_UNREACHABLE, NOW, NOW, None),
        (Reason.DIVERGED, "2026-11-23T11:00:00Z", NOW, None),
        (Reason.STORAGE_UNREACHABLE, "2026-11-23T11:00:00Z", None, None),
    ],
    ids=["outage", "interruption", "after-due-time", "permanent", "without-schedule"],
)
def test_a_due_time_retries_a_failure_by_an_earlier_outage(
    reason: Reason, ended: str, due: str | None, expected: int | None
) -> None:
    failed = run_entry(outcome="Failed", failure=step_status(3, reason=reason), completion_time=ended)
    step = train_step(due_time=time(due) if due else None)
    result = reconcile_step(step, observed(status=status_with(failed)), None, time(NOW))
    assert result.create_attempt == expected


def test_a_finished_job_that_vanishes_is_not_repeated() -> None:
    assert not decided(observed(status=finished_status())).create
    assert not decided(observed(job("train").running(), status=collected_status())).create
    failed = status_after(observed(job().pod_ended(65, failure(Reason.NOT_ENOUGH_TWEETS)).failed()))
    gone = decided(observed(status=failed), LATER)
    assert not gone.create
    assert gone.status == failed


def test_a_failed_job_that_expires_is_not_repeated() -> None:
    """Its pods go first, then the Job has a deletion timestamp (the TTL controller deletes in the foreground)."""
    report = failure(Reason.NOT_ENOUGH_TWEETS, "@ada has 5,120 characters: add a source.")
    whole = job().pod_ended(65, report).failed()
    recorded = status_after(observed(whole))
    for remains in ((whole,), (whole.deleting(),), (job().failed(),), (job().failed().deleting(),), ()):
        decision = decided(observed(*remains, status=recorded), LATER)
        assert not decision.create
        assert decision.status == recorded


def test_an_older_job_does_not_hide_a_newer_failed_attempt() -> None:
    first, second = job().pod_ended(1).failed(), job().attempt(2).pod_ended(77, failure(Reason.ACCESS_DENIED)).failed()
    decision = decided(observed(first, status=status_after(observed(first, second))))
    assert not decision.create
    assert condition(decision) == ("False", "AccessDenied")


def test_a_failure_keeps_its_message_while_other_specs_succeed() -> None:
    report = failure(Reason.DIVERGED, "training diverged: lower training.learningRate.")
    diverged = job("train", OTHER).pod_ended(78, report).failed()
    failed = status_after(observed(diverged, of=OTHER, status=finished_status()))
    reverted = decided(observed(status=failed))
    assert condition(reverted) == ("True", "Succeeded")
    assert "diverged" not in message(reverted)
    again = decided(observed(of=OTHER, status=reverted.status))
    assert not again.create
    assert condition(again) == ("False", "Diverged")
    assert "lower training.learningRate" in message(again)


def test_a_failure_recorded_by_a_later_version_is_shown() -> None:
    recorded = step_status(1, reason="OfALaterVersion", message="The moon is full.")
    decision = decided(observed(status=collected_status().model_copy(update={"steps": (recorded,)})))
    assert not decision.create
    assert condition(decision) == ("False", "InternalError")
    assert message(decision) == "The moon is full."


def test_a_requested_retry_repeats_a_failed_attempt() -> None:
    failed = job().pod_ended(77, failure(Reason.ACCESS_DENIED)).failed()
    status = status_after(observed(failed))
    assert not decided(observed(failed, status=status)).create
    retried = decided(observed(failed, status=status, retry="now"))
    assert len(retried.create) == 1
    assert retried.create[0].name != failed.obj().name
    without_job = decided(observed(status=status, retry="now"))
    assert [request.name for request in without_job.create] == [retried.create[0].name]


# Lost reports


def test_a_complete_job_without_a_report_is_repeated_up_to_a_limit() -> None:
    assert attempts(observed(job().complete(None))) == [2]
    fifth = decided(observed(*(job().attempt(number).complete(None) for number in range(1, 6))))
    assert not fifth.create
    assert condition(fifth, "Stalled") == ("True", "InternalError")
    assert message(fifth).startswith("5 Jobs completed, but their reports were lost")


# Replacement


@pytest.mark.parametrize(
    "of",
    [spec(gpus=0), spec(reportTo={"tensorBoard": {}}), spec(storage={"uri": "s3://bucket/models"})],
    ids=["placement", "tracker", "secret"],
)
def test_a_changed_pod_template_replaces_the_active_job(of: Any) -> None:
    running = job("train").running()
    replaced = decided(observed(running, of=of, status=collected_status()))
    assert (replaced.delete, replaced.create) == ((running.obj().name,), ())
    assert "is being replaced (fields of the spec have changed)" in message(replaced)
    waiting = decided(observed(running.deleting(), of=of, status=replaced.status))
    assert (waiting.delete, waiting.create) == ((), ())
    assert "is being deleted: the next attempt starts once its pods have terminated" in message(waiting)
    gone = decided(observed(of=of, status=waiting.status))
    assert [(request.step_id, request.attempt) for request in gone.create] == [(run_id(spec(), DIGEST), 2)]


def test_a_changed_pod_template_repeats_a_failed_job() -> None:
    failed = job("train").pod_ended(1).failed()
    assert attempts(observed(failed, of=spec(gpus=0), status=collected_status())) == [2]


def test_a_new_tracker_trains_no_finished_run_again() -> None:
    decision = decided(observed(of=spec(reportTo={"tensorBoard": {}}), status=finished_status(), generation=2))
    assert not decision.create
    assert condition(decision) == ("True", "Succeeded")


def test_a_complete_job_with_another_pod_template_still_answers() -> None:
    complete = job("train").complete(success(model=model(run_id(spec(), DIGEST))))
    decision = decided(observed(complete, of=spec(gpus=0), status=collected_status()))
    assert not decision.create
    assert condition(decision) == ("True", "Succeeded")


def published(run: str) -> Report:
    """Return the report of a run that was published on the Hub."""
    publication = Publication(spec_hash=publish_hash(PUBLISHING), url="https://huggingface.co/ada/huggingtweets-ada")
    return success(model=model(run).model_copy(update={"publication": publication}))


@pytest.mark.parametrize("has_job", [False, True], ids=["without-job", "with-train-job"])
def test_a_later_publication_is_the_next_attempt_at_the_same_run(has_job: bool) -> None:
    run = run_id(PUBLISHING, DIGEST)
    assert run == run_id(spec(), DIGEST)
    jobs = (job("train").complete(success(model=model(run))),) if has_job else ()
    requested = decided(observed(*jobs, of=PUBLISHING, status=finished_status(), generation=2))
    assert [(r.step_id, r.attempt, r.plan.step) for r in requested.create] == [(run, 2, "publish")]
    assert requested.status
    assert [r.outcome for r in requested.status.runs] == ["Succeeded"]
    assert requested.status.model
    publish = job("train", PUBLISHING).attempt(2).complete(published(run))
    done = decided(observed(publish, of=PUBLISHING, status=requested.status, generation=2))
    assert condition(done) == ("True", "Succeeded")
    assert not decided(observed(of=PUBLISHING, status=done.status, generation=2)).create
    assert not decided(observed(of=spec(), status=done.status, generation=3)).create


def test_a_denied_publication_stalls_and_its_run_stays_finished() -> None:
    requested = decided(observed(of=PUBLISHING, status=finished_status(), generation=2))
    publish = job("train", PUBLISHING).attempt(2).with_hash(requested.create[0].pod_template_hash)
    denied = publish.pod_ended(77, failure(Reason.HUB_DENIED)).failed()
    decision = decided(observed(denied, of=PUBLISHING, status=requested.status, generation=2))
    assert condition(decision, "Stalled") == ("True", "HubDenied")
    assert decision.status
    assert [run.outcome for run in decision.status.runs] == ["Succeeded"]


# Holds


def test_a_hold_creates_no_job() -> None:
    result = reconcile_step(train_step(), observed(), SUSPENDED, time(NOW))
    assert (result.create_attempt, result.status) == (None, None)
    assert (result.state.reason, result.state.message) == (
        Reason.SUSPENDED,
        "spec.suspend is true. No Job was created. Set spec.suspend to false to resume from the last checkpoint.",
    )


@pytest.mark.parametrize(
    ("made", "hold", "is_deleted"),
    [
        (job("train").running(), None, False),
        (job("train").running(), SUSPENDED, False),
        (job("train").suspended(by_operator=True), SUSPENDED, False),
        (job("train").suspended(), SUSPENDED, True),
        (job("train").running().queued(), SUSPENDED, True),
        (job("train").running(), FORBIDDEN, True),
        (job("train").complete(success()), FORBIDDEN, False),
        (job("train").complete(success()).queued(), SUSPENDED, False),
    ],
    ids=[
        *("no-hold", "own", "own-suspended", "suspended-elsewhere", "queued", "forbidden"),
        *("finished-forbidden", "finished-queued"),
    ],
)
def test_a_hold_deletes_jobs_that_a_suspension_does_not_stop(
    made: JobMaker, hold: Hold | None, is_deleted: bool
) -> None:
    assert must_delete(made.obj(), hold) is is_deleted


def test_a_suspension_deletes_a_job_that_another_controller_suspends() -> None:
    held = job().suspended()
    decision = decided(observed(held, of=spec(suspend=True)))
    assert decision.delete == (held.obj().name,)
    assert condition(decision) == ("False", "Suspended")
    gone = decided(observed(of=spec(suspend=True), status=decision.status))
    assert not gone.create
    assert condition(gone) == ("False", "Suspended")


def test_a_suspension_deletes_a_queued_job_so_that_kueue_frees_its_quota() -> None:
    of = spec(suspend=True)
    running = job("train").running().queued()
    decision = decided(observed(running, of=of, status=collected_status()))
    assert (decision.delete, decision.suspend) == ((running.obj().name,), ())
    assert condition(decision) == ("False", "Suspended")
    ending = decided(observed(running.deleting(), of=of, status=decision.status))
    assert (ending.delete, condition(ending)) == ((), ("False", "Suspended"))
    gone = decided(observed(of=of, status=ending.status))
    assert not gone.create
    assert attempts(observed(status=gone.status)) == [2]


def test_a_violation_deletes_the_job_and_the_next_attempt_follows_its_end() -> None:
    running = job("train").running()
    policy = PolicyResult(violation="spec.gpus 1 is more than the 0 that this cluster allows")
    before = status_after(observed(running, status=collected_status()))
    stopped = decided(observed(running, status=before), policy=policy)
    assert stopped.delete == (running.obj().name,)
    assert attempts(observed(status=stopped.status)) == [2]


# Messages


RETRYABLE_FAILURES = [(75, Reason.STORAGE_UNREACHABLE), (75, Reason.X_UNREACHABLE), (66, Reason.BUCKET_MISSING)]


@pytest.mark.parametrize(("code", "reason"), RETRYABLE_FAILURES, ids=[reason for _, reason in RETRYABLE_FAILURES])
def test_the_message_of_a_failure_ends_with_the_retry_command(code: int, reason: Reason) -> None:
    ended = job().pod_ended(code, failure(reason, "No answer: check it.")).failed("BackoffLimitExceeded")
    decision = decided(observed(ended))
    assert condition(decision, "Stalled")[0] == "True"
    assert message(decision) == f"No answer: check it. {RETRY}"


def test_a_long_message_is_cut_before_the_retry_command() -> None:
    ended = job().pod_ended(75, failure(Reason.STORAGE_UNREACHABLE, "x" * MAX_MESSAGE_LENGTH)).failed()
    assert message(decided(observed(ended))).endswith(f"x {RETRY}")
    assert len(message(decided(observed(ended)))) == MAX_MESSAGE_LENGTH


@pytest.mark.parametrize("reason", [reason for reason in Reason if REASONS[reason].exit_code])
def test_the_retry_command_is_shown_only_if_a_retry_can_help(reason: Reason) -> None:
    ended = job().pod_ended(REASONS[reason].exit_code or 1, failure(reason)).failed()
    assert (RETRY in message(decided(observed(ended)))) is REASONS[reason].retry_can_succeed


@pytest.mark.parametrize(
    "reason", [Reason.NOT_ENOUGH_TWEETS, Reason.DIVERGED, Reason.INVALID_SPEC, Reason.ACCOUNT_MISSING]
)
def test_a_failure_that_needs_a_changed_spec_shows_no_retry_command(reason: Reason) -> None:
    ended = job().pod_ended(REASONS[reason].exit_code or 1, failure(reason)).failed()
    assert message(decided(observed(ended))) == failure(reason).message


def test_the_retry_command_is_not_repeated() -> None:
    command = retry_command("default", "ada")
    ended = job().pod_ended(75, failure(Reason.STORAGE_UNREACHABLE, f"Run `{command}`.")).failed()
    assert message(decided(observed(ended))) == f"Run `{command}`."


def test_an_active_step_shows_no_retry_command() -> None:
    retried = decided(observed(job().pod_ended(75, failure(Reason.STORAGE_UNREACHABLE))))
    assert "kubectl annotate" not in message(retried)


def test_a_failed_purge_shows_no_retry_command() -> None:
    purge = job("purge").pod_ended(77, failure(Reason.ACCESS_DENIED)).failed()
    deleted = observed(purge, of=spec(deletionPolicy="Delete"), deleted_at=time(NOW), has_finalizer=True)
    assert "kubectl annotate" not in decided(deleted).orphan_warning


def test_a_registry_outage_stalls_once_it_lasts_and_keeps_its_first_message() -> None:
    first = decided(observed(job().waiting("ErrImagePull", "rpc error: timeout")))
    assert condition(first, "Stalled")[0] == "False"
    lasting = decided(observed(job().waiting("ImagePullBackOff", "back-off"), status=first.status))
    assert condition(lasting, "Stalled")[0] == "True"
    for reason in ("ErrImagePull", "ImagePullBackOff"):
        again = observed(job().waiting(reason, f"{reason} again"), status=lasting.status)
        assert decided(again).status == lasting.status


def test_a_collection_without_a_report_of_a_data_set_is_an_error() -> None:
    decision = decided(observed(job().complete(success())))
    assert condition(decision, "DataReady") == ("False", "InternalError")
    assert not decision.create


def test_the_data_set_of_a_retried_collection_is_recorded() -> None:
    second = job().attempt(2).complete(success(dataset=dataset()))
    status = status_after(observed(job().pod_ended(1).failed(), second, status=status_after(observed())))
    assert status.dataset == dataset()
