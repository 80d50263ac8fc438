"""The decisions of the operator, told as what happens to a TweetModel."""

from dataclasses import replace

import pytest

from makers import DIGEST, NOW, dataset, decided, failure, job, model, observed, spec, success, time
from tweetmodel_api.fields import MAX_MESSAGE_LENGTH
from tweetmodel_api.identities import publish_hash, run_id
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.report import Report
from tweetmodel_api.status import Metric, Progress, Publication, TweetModelStatus
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import Observed, PolicyResult

LATER = "2026-11-23T13:00:00Z"
RETRY = "To retry after a fix, run `kubectl annotate tm ada -n default tweetmodel.dev/retry=$(date +%s) --overwrite`."


def after(now: Observed, at: str = NOW, forbidden: str = "") -> Decision:
    return decided(now, at, PolicyResult(violation=forbidden))


def condition(decision: Decision, kind: str) -> tuple[str, str]:
    assert decision.status
    found = next(c for c in decision.status.conditions if c.type == kind)
    return found.status, found.reason


def message(decision: Decision, kind: str = "Ready") -> str:
    assert decision.status
    return next(c.message for c in decision.status.conditions if c.type == kind)


def collected(**changes: object) -> TweetModelStatus:
    """The status once the data set is there and the train Job was made."""
    report = success(dataset=dataset(**changes))
    status = after(observed(job().complete(report))).status
    assert status
    return status


def ready() -> TweetModelStatus:
    """The status of a finished run."""
    run = run_id(spec(), DIGEST)
    report = success(model=model(run), samples=["a tweet"])
    status = after(observed(job("train").complete(report), status=collected())).status
    assert status
    return status


def test_a_new_tweetmodel_gets_a_collect_job_and_no_train_job() -> None:
    decision = after(observed())
    assert [request.plan.step for request in decision.create] == ["collect"]
    assert condition(decision, "Ready") == ("Unknown", "Collecting")
    assert condition(decision, "Reconciling") == ("True", "Collecting")
    assert condition(decision, "Stalled") == ("False", "Collecting")


def test_deciding_twice_about_the_same_state_gives_the_same_jobs_and_status() -> None:
    assert after(observed()) == after(observed())
    status = after(observed()).status
    again = after(observed(job(), status=status), LATER)
    assert not again.create
    third = after(observed(job(), status=again.status), LATER)
    assert third.status == again.status


def test_the_train_job_is_made_when_the_data_set_is_there_and_gets_its_digest() -> None:
    decision = after(observed(job().complete(success(dataset=dataset()))))
    (request,) = decision.create
    assert request.plan.step == "train"
    assert request.plan.dataset
    assert request.plan.dataset.digest == DIGEST
    assert condition(decision, "DataReady") == ("True", "Succeeded")
    assert condition(decision, "Ready") == ("Unknown", "Training")


def test_a_finished_run_makes_the_tweetmodel_ready() -> None:
    run = run_id(spec(), DIGEST)
    report = success(model=model(run), samples=["a tweet"], message="It learnt.")
    decision = after(observed(job("train").complete(report), status=collected()))
    assert condition(decision, "Ready") == ("True", "Succeeded")
    assert condition(decision, "Reconciling") == ("False", "Succeeded")
    assert condition(decision, "Trained") == ("True", "Succeeded")
    assert decision.status
    assert decision.status.samples == ("a tweet",)
    assert decision.status.summary
    assert (decision.status.summary.loss, decision.status.summary.progress) == ("2.5", "100%")
    assert [(r.id, r.outcome) for r in decision.status.runs] == [(run, "Succeeded")]


def test_nothing_changes_once_it_is_ready() -> None:
    status = ready()
    decision = after(observed(status=status), LATER)
    assert decision == Decision(status=status)


def test_a_finished_job_that_vanishes_is_not_run_again() -> None:
    assert not after(observed(status=ready())).create
    assert not after(observed(job("train").running(), status=collected())).create
    failed = after(observed(job().pod_ended(65, failure(Reason.NOT_ENOUGH_TWEETS)).failed())).status
    gone = after(observed(status=failed), LATER)
    assert not gone.create
    assert gone.status == failed


def test_a_job_gets_its_ttl_only_when_its_outcome_is_in_the_status() -> None:
    finished = job("train").complete(success(model=model(run_id(spec(), DIGEST))))
    first = after(observed(finished, status=collected()))
    assert first.set_ttl == ()
    second = after(observed(finished, status=first.status), LATER)
    assert second.set_ttl == (finished.obj().name,)
    assert after(observed(finished.expiring(), status=first.status), LATER).set_ttl == ()


def test_a_missing_job_of_an_unfinished_run_is_made_again_as_the_next_attempt() -> None:
    decision = after(observed(status=after(observed()).status))
    assert [request.attempt for request in decision.create] == [2]


def test_a_complete_job_without_a_report_is_run_again_but_not_for_ever() -> None:
    assert [r.attempt for r in after(observed(job().complete(None))).create] == [2]
    five = [job().attempt(number).complete(None) for number in range(1, 6)]
    fifth = after(observed(*five))
    assert not fifth.create
    assert condition(fifth, "Stalled") == ("True", "InternalError")
    assert "5 Jobs" in message(fifth)


def test_a_failed_job_whose_ttl_runs_out_is_not_run_again() -> None:
    """Its pods go first, then it is seen with a deletion timestamp (the TTL controller deletes in the foreground)."""
    report = failure(Reason.NOT_ENOUGH_TWEETS, "@ada has 5,120 characters: add a source.")
    whole = job().pod_ended(65, report).failed()
    told = after(observed(whole)).status
    for remains in ((whole,), (whole.deleting(),), (job().failed(),), (job().failed().deleting(),), ()):
        decision = after(observed(*remains, status=told), LATER)
        assert not decision.create
        assert decision.status == told


def test_a_failure_is_remembered_in_its_own_words_whatever_came_between() -> None:
    other = spec(training={"epochs": 9})
    report = failure(Reason.DIVERGED, "training diverged: lower training.learningRate.")
    failed = after(observed(job("train", of=other).pod_ended(78, report).failed(), of=other, status=ready())).status
    reverted = after(observed(status=failed))
    assert condition(reverted, "Ready") == ("True", "Succeeded")
    assert "diverged" not in message(reverted)
    again = after(observed(of=other, status=reverted.status))
    assert not again.create
    assert condition(again, "Ready") == ("False", "Diverged")
    assert "lower training.learningRate" in message(again)


def test_going_back_to_the_finished_spec_is_ready_at_once_and_supersedes_the_other_run() -> None:
    other = spec(training={"epochs": 9})
    running = job("train", of=other).running()
    under_way = after(observed(running, of=other, status=ready())).status
    back = after(observed(running, status=under_way))
    assert back.delete == (running.obj().name,)
    assert condition(back, "Ready") == ("True", "Succeeded")
    assert "12.2" in message(back)
    assert back.status
    assert {r.id: r.outcome for r in back.status.runs}[run_id(other, DIGEST)] == "Superseded"
    assert not [step for step in back.status.steps if step.outcome == "Active"]


def test_an_older_attempt_whose_job_is_left_does_not_bring_back_a_newer_one_that_failed() -> None:
    first, second = job().pod_ended(1).failed(), job().attempt(2).pod_ended(77, failure(Reason.ACCESS_DENIED)).failed()
    told = after(observed(first, second)).status
    decision = after(observed(first, status=told))
    assert not decision.create
    assert condition(decision, "Ready") == ("False", "AccessDenied")


def test_a_job_that_may_make_no_pod_is_told_within_seconds() -> None:
    young = after(observed(job().without_pods(since=NOW)))
    assert condition(young, "Ready") == ("Unknown", "Collecting")
    assert young.requeue_after == 5
    old = after(observed(job().without_pods(since=NOW), status=young.status), "2026-11-23T12:00:05Z")
    assert condition(old, "Ready") == ("Unknown", "PodRefused")
    assert condition(old, "Stalled")[0] == "False", "a quota may have room later"
    assert "kubectl describe job" in message(old)
    later = after(observed(job().without_pods(since=NOW), status=old.status), LATER)
    assert (later.status, later.requeue_after) == (old.status, 3600), (
        "it has been an hour, and in another it may differ"
    )


def test_a_job_that_a_busy_job_controller_has_not_come_to_is_not_taken_for_refused() -> None:
    waiting, made_one = job(), job().without_pods(since=None)
    for late in (waiting, made_one):
        decision = after(observed(late), LATER)
        assert condition(decision, "Ready") == ("Unknown", "Collecting")
        assert decision.requeue_after is None


def test_a_job_that_pauses_after_its_pod_was_evicted_is_not_taken_for_refused() -> None:
    killed = job().without_pods(since=NOW).progress_reported()
    assert condition(after(observed(killed), "2026-11-23T12:00:20Z"), "Ready") == ("Unknown", "Pending")
    evicted = job().without_pods(since="2026-11-23T12:30:00Z", started=NOW)
    paused = after(observed(evicted), "2026-11-23T12:30:10Z")
    assert condition(paused, "Ready") == ("Unknown", "Pending")
    assert paused.requeue_after == 590
    refused = after(observed(evicted, status=paused.status), LATER)
    assert condition(refused, "Ready") == ("Unknown", "PodRefused")


def test_a_registry_that_hiccups_does_not_stall_and_one_that_lasts_is_told_once() -> None:
    first = after(observed(job().waiting("ErrImagePull", "rpc error: timeout")))
    assert condition(first, "Stalled")[0] == "False"
    lasting = after(observed(job().waiting("ImagePullBackOff", "back-off"), status=first.status))
    assert condition(lasting, "Stalled")[0] == "True"
    for word in ("ErrImagePull", "ImagePullBackOff"):
        assert after(observed(job().waiting(word, f"{word} again"), status=lasting.status)).status == lasting.status


def test_suspending_a_job_that_another_manager_holds_back_deletes_it() -> None:
    held = job().suspended()
    decision = after(observed(held, of=spec(suspend=True)))
    assert decision.delete == (held.obj().name,)
    assert condition(decision, "Ready") == ("False", "Suspended")
    gone = after(observed(of=spec(suspend=True), status=decision.status))
    assert not gone.create
    assert condition(gone, "Ready") == ("False", "Suspended")


def test_suspending_a_job_that_runs_from_a_queue_deletes_it_so_that_its_room_is_given_back() -> None:
    held = spec(suspend=True)
    running = job("train").running().queued()
    decision = after(observed(running, of=held, status=collected()))
    assert (decision.delete, decision.suspend) == ((running.obj().name,), ())
    assert condition(decision, "Ready") == ("False", "Suspended")
    ending = after(observed(running.deleting(), of=held, status=decision.status))
    assert (ending.delete, condition(ending, "Ready")) == ((), ("False", "Suspended"))
    gone = after(observed(of=held, status=ending.status))
    assert not gone.create
    resumed = after(observed(status=gone.status))
    assert [request.attempt for request in resumed.create] == [2]


def test_new_sources_supersede_the_run_at_work() -> None:
    other = spec(sources=[{"handle": "bob", "archive": {"uri": "s3://bucket/bob.zip"}}])
    before = after(observed(status=collected())).status
    decision = after(observed(job("train").running(), of=other, status=before))
    assert decision.status
    assert [r.outcome for r in decision.status.runs] == ["Superseded"]


def test_a_suspended_tweetmodel_shows_no_progress() -> None:
    status = collected().model_copy(update={"progress": Progress(progress_percentage=40)})
    decision = after(observed(job("train").suspended(by_operator=True), of=spec(suspend=True), status=status))
    assert decision.status
    assert decision.status.progress is None


def test_too_few_tweets_stalls_before_any_train_job() -> None:
    report = failure(Reason.NOT_ENOUGH_TWEETS, "@ada has 5,120 characters and needs 6,000: add a source.")
    decision = after(observed(job().pod_ended(65, report).failed()))
    assert decision.create == ()
    assert condition(decision, "Ready") == ("False", "NotEnoughTweets")
    assert condition(decision, "Stalled") == ("True", "NotEnoughTweets")
    assert condition(decision, "DataReady") == ("False", "NotEnoughTweets")
    assert "5,120" in message(decision)


def test_a_failed_attempt_is_repeated_when_a_person_asks_for_it() -> None:
    failed = job().pod_ended(77, failure(Reason.ACCESS_DENIED)).failed()
    status = after(observed(failed)).status
    assert not after(observed(failed, status=status)).create
    retried = after(observed(failed, status=status, retry="now"))
    assert len(retried.create) == 1
    assert retried.create[0].name != failed.obj().name
    vanished = after(observed(status=status, retry="now"))
    assert [request.name for request in vanished.create] == [retried.create[0].name]


def test_a_temporary_failure_is_shown_while_it_is_tried_again() -> None:
    decision = after(observed(job().pod_ended(75, failure(Reason.STORAGE_UNREACHABLE, "No answer."))))
    assert condition(decision, "Ready") == ("Unknown", "StorageUnreachable")
    assert condition(decision, "Stalled")[0] == "False"
    assert "The Job retries." in message(decision)


@pytest.mark.parametrize(
    ("code", "reason"), [(75, Reason.STORAGE_UNREACHABLE), (75, Reason.X_UNREACHABLE), (66, Reason.BUCKET_MISSING)]
)
def test_a_failure_that_stays_says_how_to_try_again_and_nothing_else(code: int, reason: Reason) -> None:
    ended = job().pod_ended(code, failure(reason, "No answer: look at it.")).failed("BackoffLimitExceeded")
    decision = after(observed(ended))
    assert condition(decision, "Stalled")[0] == "True"
    assert message(decision) == f"No answer: look at it. {RETRY}"
    long = after(observed(job().pod_ended(code, failure(reason, "x" * MAX_MESSAGE_LENGTH)).failed()))
    assert message(long).endswith(f"x {RETRY}")


def test_a_failure_is_shown_until_the_next_pod_has_got_further() -> None:
    ended = job().pod_ended(75, failure(Reason.STORAGE_UNREACHABLE, "No answer."))
    told = after(observed(ended)).status
    again = ended.running(NOW)
    trying = after(observed(again, status=told), "2026-11-23T12:01:40Z")
    assert (trying.status, trying.requeue_after) == (told, 500)
    assert condition(after(observed(again, status=told), LATER), "Ready") == ("Unknown", "Collecting")
    heard = after(observed(again.progress_reported("2026-11-23T12:01:00Z"), status=told), "2026-11-23T12:01:40Z")
    assert condition(heard, "Ready") == ("Unknown", "Collecting")
    slow = after(observed(ended.pending(), status=told))
    assert condition(slow, "Ready") == ("Unknown", "StorageUnreachable")
    assert "No answer. The Job retries. No scheduler has assigned pod" in message(slow)
    stopped = job().pod_ended(143, failure(Reason.INTERRUPTED)).running(NOW)
    assert message(after(observed(stopped))) == REASONS[Reason.COLLECTING].meaning


def test_a_permanent_failure_is_not_told_before_the_job_has_failed() -> None:
    before = after(observed(job().running()))
    ended = after(observed(job().pod_ended(66, failure(Reason.SOURCE_MISSING)), status=before.status))
    assert ended.status == before.status, "one write less, and no false hope of another try"


def test_a_changed_spec_makes_a_second_run_and_keeps_the_first() -> None:
    other = spec(training={"epochs": 9})
    decision = after(observed(of=other, status=ready(), generation=2))
    assert [request.step_id for request in decision.create] == [run_id(other, DIGEST)]
    assert decision.status
    assert [r.outcome for r in decision.status.runs] == ["Active", "Succeeded"]
    assert decision.status.model, "the last model stays usable while the new one is made"
    assert condition(decision, "Ready") == ("Unknown", "Training")


def test_a_changed_spec_ends_the_unfinished_older_run() -> None:
    running = job("train").running()
    other = spec(training={"epochs": 9})
    decision = after(observed(running, of=other, status=collected(), generation=2))
    assert decision.delete == (running.obj().name,)
    assert decision.status
    assert [r.outcome for r in decision.status.runs] == ["Active", "Superseded"]


def test_a_change_that_does_not_matter_to_the_result_starts_nothing_once_it_is_ready() -> None:
    other = spec(gpus=0, resources={"limits": {"memory": "4Gi"}})
    decision = after(observed(of=other, status=ready(), generation=2))
    assert not decision.create
    assert condition(decision, "Ready") == ("True", "Succeeded")


PUBLISHING = spec(publish={"huggingFace": {"secretRef": {"name": "hub"}}})


def published(run: str) -> Report:
    """The report of a run that was pushed to the Hub."""
    publication = Publication(spec_hash=publish_hash(PUBLISHING), url="https://huggingface.co/ada/huggingtweets-ada")
    return success(model=model(run).model_copy(update={"publication": publication}))


def test_publishing_that_is_asked_for_later_makes_a_job_of_the_same_run_and_keeps_its_result() -> None:
    run = run_id(spec(), DIGEST)
    assert run_id(PUBLISHING, DIGEST) == run
    for there in ((), (job("train").complete(success(model=model(run))),)):
        asked = after(observed(*there, of=PUBLISHING, status=ready(), generation=2))
        assert [(r.step_id, r.attempt, r.plan.step) for r in asked.create] == [(run, 2, "publish")], (
            "it asks for no GPU"
        )
        assert asked.status
        assert [r.outcome for r in asked.status.runs] == ["Succeeded"]
        assert asked.status.model

    pushed = job("train", PUBLISHING).attempt(2)
    done = after(observed(pushed.complete(published(run)), of=PUBLISHING, status=asked.status, generation=2))
    assert condition(done, "Ready") == ("True", "Succeeded")
    again = after(observed(of=PUBLISHING, status=done.status, generation=2))
    assert not again.create
    assert not after(observed(of=spec(), status=done.status, generation=3)).create


def test_a_tracker_that_is_added_replaces_the_job_at_work_and_trains_no_finished_run_anew() -> None:
    tracked = spec(reportTo={"tensorBoard": {}})
    finished = after(observed(of=tracked, status=ready(), generation=2))
    assert not finished.create
    assert condition(finished, "Ready") == ("True", "Succeeded")
    at_work = job("train").running()
    replaced = after(
        observed(at_work, of=tracked, status=after(observed(job().complete(success(dataset=dataset())))).status)
    )
    assert replaced.delete == (at_work.obj().name,)


def test_a_hub_that_refuses_stalls_and_the_run_stays_done() -> None:
    asked = after(observed(of=PUBLISHING, status=ready(), generation=2))
    pushing = job("train", PUBLISHING).attempt(2).with_hash(asked.create[0].pod_template_hash)
    refused = pushing.pod_ended(77, failure(Reason.HUB_DENIED)).failed()
    decision = after(observed(refused, of=PUBLISHING, status=asked.status, generation=2))
    assert condition(decision, "Stalled") == ("True", "HubDenied")
    assert decision.status
    assert [r.outcome for r in decision.status.runs] == ["Succeeded"]


def test_a_change_of_placement_replaces_the_running_job_under_the_same_run() -> None:
    other = spec(gpus=0)
    running = job("train").running()
    decision = after(observed(running, of=other, status=collected()))
    assert decision.delete == (running.obj().name,)
    assert not decision.create
    waiting = after(observed(running.deleting(), of=other, status=decision.status))
    assert not waiting.create
    assert not waiting.delete
    gone = after(observed(of=other, status=waiting.status))
    assert [(r.step_id, r.attempt) for r in gone.create] == [(run_id(spec(), DIGEST), 2)]


def test_suspend_stops_the_job_and_resume_goes_on_with_it() -> None:
    running = job("train").running()
    held = spec(suspend=True)
    decision = after(observed(running, of=held, status=collected()))
    assert decision.suspend == ((running.obj().name, True),)
    assert condition(decision, "Ready") == ("False", "Suspended")
    suspended = after(observed(job("train").suspended(by_operator=True), of=held, status=decision.status))
    assert suspended.status == decision.status
    assert condition(suspended, "Stalled")[0] == "False"
    resumed = after(observed(job("train").suspended(by_operator=True), status=suspended.status))
    assert resumed.suspend == ((running.obj().name, False),)
    assert condition(resumed, "Ready") == ("Unknown", "Training")


def test_a_suspended_tweetmodel_makes_no_job() -> None:
    decision = after(observed(of=spec(suspend=True)))
    assert not decision.create
    assert condition(decision, "Ready") == ("False", "Suspended")


def test_a_job_that_another_manager_holds_back_is_left_to_it() -> None:
    decision = after(observed(job().suspended()))
    assert decision.suspend == ()
    assert condition(decision, "Ready") == ("Unknown", "Queued")
    assert "workloads" not in message(decision)
    queued = after(observed(job().queued().suspended()))
    assert "If there is no Workload, correct spec.queueName" in message(queued)


@pytest.mark.parametrize(
    ("state", "reason", "stalled"),
    [
        (job().unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."), "Unschedulable", "False"),
        (job().waiting("ImagePullBackOff", "no such image"), "ImagePullFailed", "True"),
        (job().waiting("CreateContainerConfigError", 'secret "s3" not found'), "SecretInvalid", "True"),
        (job().pod_ended(137, None, "OOMKilled").failed("BackoffLimitExceeded"), "OutOfMemory", "True"),
        (job().running().failed("DeadlineExceeded"), "DeadlineExceeded", "True"),
        (job().pod_ended(1).failed("BackoffLimitExceeded"), "InternalError", "True"),
        (job().failed("BackoffLimitExceeded"), "InternalError", "True"),
        (job().pod_ended(143, failure(Reason.INTERRUPTED)), "Collecting", "False"),
    ],
)
def test_what_is_wrong_with_a_pod_is_told_by_reason(state: object, reason: str, stalled: str) -> None:
    decision = after(observed(state))
    assert condition(decision, "Ready")[1] == reason
    assert condition(decision, "Stalled")[0] == stalled
    assert message(decision)


@pytest.mark.parametrize("kind", ["secret", "configmap"])
def test_a_secret_that_its_node_has_not_read_yet_is_nobodys_mistake(kind: str) -> None:
    unread = f"failed to sync {kind} cache: timed out waiting for the condition"
    new = observed(job().waiting("CreateContainerConfigError", unread))
    decision = after(new, "2026-11-23T11:00:05Z")
    assert condition(decision, "Ready") == ("Unknown", "Collecting")
    assert condition(decision, "Stalled")[0] == "False"


def test_a_pod_that_ran_out_of_memory_says_how_much_it_had_and_what_to_lower() -> None:
    killed = {"code": 137, "report": None, "reason": "OOMKilled"}
    training = after(observed(job("train").pod_ended(**killed, memory="12Gi"), status=collected()))
    assert "exceeded its memory limit of 12Gi. Raise spec.resources.limits.memory" in message(training)
    assert "lower training.blockSize" in message(training)
    collecting = after(observed(job().pod_ended(**killed, memory="2Gi")))
    assert "its memory limit of 2Gi. Raise the chart's collect.resources.limits.memory." in message(collecting)
    assert "training." not in message(collecting)
    assert "exceeded the memory of its node" in message(after(observed(job().pod_ended(**killed))))


def test_a_pod_without_a_node_is_told_what_to_compare_the_nodes_with() -> None:
    full = "0/1 nodes are available: 1 Insufficient memory."
    assert "the chart's collect.resources" in message(after(observed(job().unschedulable(full))))
    assert "spec.gpus" in message(after(observed(job("train").unschedulable(full), status=collected())))


def test_a_node_that_does_not_answer_is_told_at_once_and_waited_for() -> None:
    node_unreachable = job("train").node_unreachable()
    decision = after(observed(node_unreachable, status=collected()))
    assert condition(decision, "Ready") == ("Unknown", "NodeLost")
    assert condition(decision, "Stalled")[0] == "False", "the node may come back"
    assert message(decision).startswith(
        f"Node n1 is unreachable and pod {node_unreachable.obj().name}-0 may still be running"
    )
    assert "delete its Node object" in message(decision)
    back = after(observed(job("train").running(), status=decision.status))
    assert condition(back, "Ready") == ("Unknown", "Training")


def test_a_pod_that_was_to_have_ended_but_never_says_so_needs_a_person() -> None:
    """The Job makes no other before (podReplacementPolicy: Failed), and neither does the operator."""
    deleted = job("train").pod_deleted(deadline="2026-11-23T12:02:00Z", node_unreachable=False)
    within = after(observed(deleted, status=collected()))
    assert condition(within, "Ready") == ("Unknown", "Training")
    assert within.requeue_after == 150
    lost = after(observed(deleted, status=within.status), "2026-11-23T12:02:30Z")
    assert condition(lost, "Stalled") == ("True", "NodeLost")
    assert not lost.create
    assert not lost.delete
    later = after(observed(deleted, status=lost.status), LATER)
    assert (later.status, later.requeue_after) == (lost.status, None)
    replaced = after(observed(deleted.running(), status=lost.status), LATER)
    assert condition(replaced, "Ready") == ("Unknown", "Training")


def test_a_job_that_can_not_go_because_its_node_is_lost_says_so() -> None:
    lost = job("train").pod_deleted(deadline=NOW).deleting()
    decision = after(observed(lost, of=spec(gpus=0), status=collected()), LATER)
    assert condition(decision, "Stalled") == ("True", "NodeLost")
    on_its_way_out = observed(
        lost, of=spec(deletionPolicy="Delete"), status=collected(), deleted_at=time(LATER), has_finalizer=True
    )
    assert condition(after(on_its_way_out, LATER), "Ready") == ("False", "NodeLost")


def test_the_schedulers_sentence_is_passed_on() -> None:
    decision = after(observed(job().unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")))
    assert "Insufficient nvidia.com/gpu" in message(decision)


def test_progress_shows_in_the_summary_and_is_dropped_with_its_job() -> None:
    posted = Progress(
        progress_percentage=45,
        estimated_remaining_seconds=83,
        metrics=(Metric(name="loss", value="3.21"),),
        last_updated_time=NOW,
    )
    decision = after(observed(job("train").running(), status=collected(), progress=posted))
    assert decision.status
    assert decision.status.summary
    shown = decision.status.summary
    assert (shown.progress, shown.eta, shown.loss) == ("45%", "1m23s", "3.21")
    next_run = after(observed(of=spec(training={"epochs": 9}), status=decision.status))
    assert next_run.status
    assert next_run.status.progress is None


def test_progress_alone_is_written_once_what_is_shown_is_ten_seconds_old() -> None:
    def at(second: int) -> str:
        return f"2026-11-23T12:00:{second:02d}Z"

    def seen(second: int, posted: int, status: TweetModelStatus | None) -> Decision:
        progress = Progress(progress_percentage=posted, last_updated_time=at(posted))
        return after(observed(job("train").running(), status=status, progress=progress), at(second))

    shown = seen(11, 10, collected()).status
    held = seen(13, 12, shown)
    assert held.status == shown
    assert held.requeue_after == 7
    written = seen(20, 12, shown).status  # although nothing was posted since
    assert written
    assert written.progress
    assert written.progress.progress_percentage == 12
    clock_put_back = seen(5, 5, written).status
    assert clock_put_back
    assert clock_put_back.progress
    assert clock_put_back.progress.progress_percentage == 5


def test_a_hundred_percent_is_not_believed_before_the_report() -> None:
    posted = Progress(progress_percentage=100, last_updated_time=NOW)
    decision = after(observed(job("train").running(), status=collected(), progress=posted))
    assert condition(decision, "Ready") == ("Unknown", "Training")


def test_the_time_of_a_condition_is_when_its_status_changed() -> None:
    first = after(observed())
    retried = job().pod_ended(75, failure(Reason.STORAGE_UNREACHABLE, "No answer."))
    second = after(observed(retried, status=first.status), LATER)
    assert second.status
    assert "No answer." in message(second)
    assert {c.last_transition_time for c in second.status.conditions} == {NOW}


def test_an_unreadable_spec_stalls_and_says_which_field() -> None:
    decision = after(replace(observed(), spec=None, spec_error="spec.training.epochs: too many"))
    assert condition(decision, "Stalled") == ("True", "InvalidSpec")
    assert "spec.training.epochs" in message(decision)


def test_what_the_administrator_does_not_allow_stalls_and_makes_no_job() -> None:
    decision = after(observed(), forbidden="spec.podTemplate.image x is not one of the images that this cluster allows")
    assert condition(decision, "Stalled") == ("True", "NotAllowed")
    assert "spec.podTemplate.image x" in message(decision)
    assert not decision.create


FORBIDDEN = "spec.sources names @ada, an account that this cluster never learns from"


def test_what_is_not_allowed_any_more_is_stopped_and_goes_on_from_its_checkpoint_once_it_is_allowed() -> None:
    posted = Progress(progress_percentage=45, last_updated_time=NOW)
    running = job("train").running()
    under_way = after(observed(running, status=collected(), progress=posted)).status
    for suspend in (False, True):
        stopped = after(observed(running, of=spec(suspend=suspend), status=under_way), forbidden=FORBIDDEN)
        assert (stopped.delete, stopped.suspend, stopped.create) == ((running.obj().name,), (), ())
        assert condition(stopped, "Stalled") == ("True", "NotAllowed")
        assert condition(stopped, "Trained") == ("Unknown", "NotAllowed")
        assert stopped.status
        assert stopped.status.progress is None
    gone = after(observed(status=stopped.status), at=LATER, forbidden=FORBIDDEN)
    assert not gone.create
    allowed = after(observed(status=gone.status))
    assert [(r.step_id, r.attempt) for r in allowed.create] == [(running.obj().step_id, 2)]


def test_a_job_that_ended_before_its_spec_was_forbidden_has_its_outcome_stored() -> None:
    finished = job("train").complete(success(model=model(run_id(spec(), DIGEST))))
    first = after(observed(finished, status=collected()), forbidden=FORBIDDEN)
    assert condition(first, "Stalled") == ("True", "NotAllowed")
    assert first.status
    assert [run.outcome for run in first.status.runs] == ["Succeeded"]
    assert after(observed(finished, status=first.status), forbidden=FORBIDDEN).set_ttl == (finished.obj().name,)


BAD = {"schedule": {"cron": "61 * * * *"}}


def test_a_mistake_in_the_spec_leaves_its_job_alone_until_it_is_corrected_but_a_suspension_counts() -> None:
    running = job("train").running()
    under_way = after(observed(running, status=collected())).status
    unread = replace(observed(running, status=under_way), spec=None, spec_error="spec.training.epochs: too many")
    for mistaken in (unread, observed(running, of=spec(**BAD), status=under_way)):
        left = after(mistaken)
        assert condition(left, "Stalled") == ("True", "InvalidSpec")
        assert (left.delete, left.suspend, left.create) == ((), (), ())
    held = spec(**BAD, suspend=True)
    assert after(observed(running, of=held, status=under_way)).suspend == ((running.obj().name, True),)
    stopped = running.suspended(by_operator=True)
    assert after(observed(stopped, of=spec(**BAD), status=under_way)).suspend == ((running.obj().name, False),)
    assert not after(observed(running.suspended(by_operator=True), of=held, status=under_way)).suspend
    assert after(observed(running.queued(), of=held, status=under_way)).delete == (running.obj().name,)
    assert after(observed(running, of=held, status=under_way), forbidden=FORBIDDEN).delete == (running.obj().name,)


@pytest.mark.parametrize(("of", "forbidden"), [({}, FORBIDDEN), (BAD, "")])
def test_a_deletion_policy_counts_whatever_else_is_wrong_with_the_spec(of: dict[str, object], forbidden: str) -> None:
    assert after(observed(of=spec(**of, deletionPolicy="Delete")), forbidden=forbidden).set_finalizer is True


def test_a_tweetmodel_that_is_being_deleted_is_left_alone() -> None:
    assert after(observed(deleted_at=time(NOW))) == Decision()


def test_the_last_ten_runs_are_kept() -> None:
    status = ready()
    for epochs in range(10, 30):
        of = spec(training={"epochs": epochs})
        result = success(model=model(run_id(of, DIGEST)))
        status = after(observed(job("train", of=of).complete(result), of=of, status=status)).status or status
    assert len(status.runs) == 10
    assert status.runs[0].id == run_id(spec(training={"epochs": 29}), DIGEST)
