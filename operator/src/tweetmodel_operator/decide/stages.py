"""Reading a Job: how its stage stands (`judge`), and whether it takes another one (`pursue`).

Success is the Job's condition *and* a pod's report: pod phases lie after kubelet restarts and evictions.
A Job of a finished attempt may vanish (TTL, a person), and its pods before it: the attempt in the status keeps
why it failed, and tells it from one never made. A complete Job whose report is gone is run again; it finds its
results in S3 and repeats the report.
"""

from dataclasses import dataclass, replace
from typing import Literal

from tweetmodel_api.fields import MAX_MESSAGE_LENGTH
from tweetmodel_api.identities import StepName
from tweetmodel_api.reasons import PERMANENT, REASONS, ExitCode, Reason
from tweetmodel_api.report import Report
from tweetmodel_api.status import Attempt, ModelReference, TrainedModel, TweetModelStatus
from tweetmodel_operator import names
from tweetmodel_operator.state import Observed, ObservedJob, ObservedPod, seconds_between

MOST_LOST_REPORTS = 5
PODLESS_SECONDS = 5.0
"""How long a Job may have no pod before it is told: a quota or a policy refuses pods, not Jobs. The Job controller says
that it could make none only after it has tried; it tries again after 1, 2, 4 … s, so a server that was busy is given
two more chances."""
LONGEST_PAUSE_SECONDS = 600.0
"""How long the Job controller waits before it makes another pod, where several have failed or were evicted."""
SLOW_START_SECONDS = 60.0
"""How long a pod may take to find a node, and then to start there, before it is told what that waits for."""
FURTHER_SECONDS = 600.0
"""How long a pod must run, or else tell progress, before it is taken to have got past what ended the one before it."""
LOST_SECONDS = 30.0
"""How long after it is due a pod is taken for lost: a kubelet that answers kills it then, and says so at once."""

UNDER_WAY: dict[StepName, Reason] = {"collect": Reason.COLLECTING, "train": Reason.TRAINING, "purge": Reason.PURGING}

WAITING: dict[str, Reason] = {
    "ErrImagePull": Reason.IMAGE_PULL_FAILED,
    "ImagePullBackOff": Reason.IMAGE_PULL_FAILED,
    "InvalidImageName": Reason.IMAGE_PULL_FAILED,
    "ErrImageNeverPull": Reason.IMAGE_PULL_FAILED,
    "CreateContainerConfigError": Reason.SECRET_INVALID,
    "CreateContainerError": Reason.POD_REFUSED,
    "RunContainerError": Reason.POD_REFUSED,
}
"""Why a container has not started (kubelet's words) and what we call it."""
PASSING = {"ErrImagePull"}
"""Of these, what a registry's hiccup causes too."""
UNANSWERED = "failed calling webhook"
PASSING_RULES = (UNANSWERED, "exceeded quota", "status unknown for quota")
"""The API server's words for an object that it refuses now and may take later, without anybody's doing."""
RULES = ("forbidden", "denied the request", "not found", "invalid")
"""Its words for what a rule refuses; without them it was only busy."""
OUTAGES = {r for r, fact in REASONS.items() if fact.exit_code in (ExitCode.TEMPORARY, ExitCode.INTERRUPTED)}
"""Why pods end after which another attempt may fare better, without anybody's doing."""
WAITED_FOR = {
    Reason.PENDING,
    Reason.UNSCHEDULABLE,
    Reason.IMAGE_PULL_FAILED,
    Reason.SECRET_INVALID,
    Reason.POD_REFUSED,
    Reason.NODE_LOST,
}
"""Why a Job may use up its time without having done anything."""


@dataclass(frozen=True)
class Goal:
    """A stage of a collection or run that should be done, with the inputs of its pod template."""

    step: StepName
    id: str
    inputs: str
    known: str | None = None
    """Digest of the data set that new posts are counted against."""
    start: ModelReference | None = None
    """The model that a run starts from, if that is not the base."""
    beat: str | None = None
    """Held-out loss that its model must be below to become the present one."""
    dataset: str | None = None
    """Digest of the data set that a run was trained on, which need not be the present one."""
    repeat: bool = False
    """Whether the run is done, and only its report is wanted, or that its model is published."""
    publish: str | None = None
    """Hash of what is to be published, where anything is."""
    due: str = ""
    """The due time that asks for it: what failed by an outage before is tried again."""

    def is_published(self, model: TrainedModel | None) -> bool:
        """Whether the model answers what spec.publish asks for, with a publication or the reason for none."""
        return self.publish is None or bool(model and model.publication and model.publication.spec_hash == self.publish)

    def job_name(self, observed: Observed, attempt: int) -> str:
        """Name of the Job of this attempt."""
        return names.job_name(observed.key.name, observed.uid, self.step, self.id, attempt)


@dataclass(frozen=True)
class Verdict:
    """How a stage stands, in a word for programs and a sentence for people."""

    outcome: Literal["Active", "Succeeded", "Failed"]
    reason: Reason
    message: str
    report: Report | None = None
    outdone: bool = False
    """Whether the model that was made does not become the present one."""
    needs_person: bool = False
    """Whether it goes on only when somebody acts."""
    look_again: float | None = None
    """Seconds after which it may stand otherwise without an event."""

    @property
    def succeeded(self) -> bool:
        """Whether the stage is done."""
        return self.outcome == "Succeeded"


@dataclass(frozen=True)
class Pursuit:
    """A goal, how it stands, and what to do for it."""

    goal: Goal
    verdict: Verdict
    attempt: Attempt | None = None
    """None where the status already holds the result."""
    create: int | None = None
    """Number of the attempt whose Job to create."""
    delete: tuple[str, ...] = ()
    settled: bool = False
    """Whether the status holds the result already, so that its Jobs no longer matter."""


def settled(goal: Goal, message: str) -> Pursuit:
    """A goal whose result the status already holds."""
    return Pursuit(goal, Verdict("Succeeded", Reason.SUCCEEDED, message), settled=True)


def pursue(goal: Goal, observed: Observed, now: str) -> Pursuit:
    """How the goal stands and what to do for it."""
    jobs = [job for job in observed.jobs if (job.step, job.id) == (goal.step, goal.id)]
    newest = max(jobs, key=lambda job: job.attempt, default=None)
    recorded, ended = _recorded(goal, observed.before)
    if recorded:
        if recorded.outcome == "Failed" and (newest is None or newest.attempt <= recorded.number):
            if recorded.pod_template_hash == goal.inputs and not _is_due(goal, recorded.reason, ended):
                return Pursuit(goal, _remembered(recorded), attempt=recorded)
            return _begin(goal, observed, recorded.number + 1)
        if newest is None or newest.attempt < recorded.number:
            return _begin(goal, observed, recorded.number + 1)
    if newest is None:
        return _begin(goal, observed, 1)
    lost = sum(1 for job in jobs if job.complete and judge(job, now) is None)
    return _pursue_with(_steered(newest, observed), goal, observed, now, lost)


def _recorded(goal: Goal, before: TweetModelStatus) -> tuple[Attempt | None, str]:
    """What the status says of the goal's last attempt, and when that failed, if another stage's came after it."""
    last = before.attempt
    if last and (last.step, last.id) == (goal.step, goal.id):
        return last, ""
    run = next((run for run in before.runs if goal.step == "train" and run.id == goal.id), None)
    return (run.failure, run.completion_time or "") if run else (None, "")


def _is_due(goal: Goal, reason: str | None, ended: str) -> bool:
    """Whether what an outage ended is asked for again by a due time that came after it."""
    return reason in OUTAGES and "" < ended < goal.due


def _steered(job: ObservedJob, observed: Observed) -> ObservedJob:
    """A Job as this very pass leaves it where spec.suspend has changed; what another manager holds back stays so."""
    if job.finished:
        return job
    if observed.suspended and not (job.suspended or job.queued):
        return replace(job, suspended=True, suspended_by_us=True)
    if not observed.suspended and job.suspended_by_us:
        return replace(job, suspended=False, suspended_by_us=False)
    return job


def _pursue_with(job: ObservedJob, goal: Goal, observed: Observed, now: str, lost_reports: int) -> Pursuit:
    held = _held(observed, f"Job {job.name} is deleted.")
    if job.deleting and not job.finished:
        follows = Verdict("Active", Reason.PENDING, f"Job {job.name} is being deleted; the next attempt follows.")
        waiting = held if observed.suspended else follows
        waiting = waited_for(job, now, waiting)
        return Pursuit(goal, waiting, attempt=_attempt(goal, job, waiting))
    if observed.must_end(job):
        return Pursuit(goal, held, attempt=_attempt(goal, job, held), delete=(job.name,))
    verdict = judge(job, now)
    if verdict is None:  # complete, but no report left
        if lost_reports < MOST_LOST_REPORTS:
            return _begin(goal, observed, job.attempt + 1)
        lost = f"{lost_reports} Jobs ended without a report. {_advice(Reason.INTERNAL_ERROR)}"
        verdict = Verdict("Failed", Reason.INTERNAL_ERROR, lost, needs_person=True)
    enough = verdict.succeeded and goal.is_published(verdict.report.model if verdict.report else None)
    if verdict.outcome == "Failed" and _is_due(goal, verdict.reason, job.ended):
        return _begin(goal, observed, job.attempt + 1)
    if job.inputs != goal.inputs and not enough:
        if job.finished:
            return _begin(goal, observed, job.attempt + 1)
        waiting = Verdict("Active", Reason.PENDING, f"Job {job.name} is replaced, because the spec of its pod changed.")
        return Pursuit(goal, waiting, attempt=_attempt(goal, job, waiting), delete=(job.name,))
    verdict = _with_way_out(_with_hindsight(verdict, job, observed), job.step)
    return Pursuit(goal, verdict, attempt=_attempt(goal, job, verdict))


def _with_hindsight(verdict: Verdict, job: ObservedJob, observed: Observed) -> Verdict:
    """The verdict with what the status says already.

    ErrImagePull and ImagePullBackOff take turns: what was said first stands, and so does that a person must act. A Job
    whose time is over while it waited says for what: its deadline is not at fault.
    """
    before = observed.before
    ready = before.condition("Ready")
    if ready is None:
        return verdict
    if verdict.reason is Reason.IMAGE_PULL_FAILED and ready.reason == verdict.reason:
        return replace(verdict, message=ready.message, needs_person=verdict.needs_person or before.is_true("Stalled"))
    worked = bool(job.reported) or any(pod.started for pod in job.pods)
    if verdict.reason is Reason.DEADLINE_EXCEEDED and ready.reason in WAITED_FOR and not worked:
        return replace(verdict, message=f"{REASONS[verdict.reason].meaning} It waited all the while: {ready.message}")
    return verdict


def _with_way_out(verdict: Verdict, stage: StepName) -> Verdict:
    """The verdict on a failure with how to try again, if it does not say so itself."""
    says_so = names.RETRY in verdict.message or verdict.reason is Reason.RUN_MISSING
    if verdict.outcome != "Failed" or says_so or stage == "purge":
        return verdict
    told = f" To try again as it is, set the annotation {names.RETRY}."
    return replace(verdict, message=verdict.message[: MAX_MESSAGE_LENGTH - len(told)] + told)


def may_pass(refusal: str) -> bool:
    """Whether what was refused may be allowed later, without anybody's doing."""
    return any(words in refusal for words in PASSING_RULES)


def _begin(goal: Goal, observed: Observed, number: int) -> Pursuit:
    if observed.suspended:
        held = _held(observed, "No Job was made.")
        return Pursuit(goal, held, attempt=observed.before.attempt)
    name = goal.job_name(observed, number)
    attempt = Attempt(
        step=goal.step, id=goal.id, number=number, pod_template_hash=goal.inputs, job=name, outcome="Active"
    )
    return Pursuit(goal, _working(goal.step), attempt=attempt, create=number)


def _held(observed: Observed, done: str) -> Verdict:
    if observed.forbidden:
        return Verdict("Active", Reason.NOT_ALLOWED, f"{observed.forbidden}. {done}")
    return Verdict("Active", Reason.SUSPENDED, f"{REASONS[Reason.SUSPENDED].meaning} {done}")


def _attempt(goal: Goal, job: ObservedJob, verdict: Verdict) -> Attempt:
    failed = verdict.outcome == "Failed"
    return Attempt(
        step=goal.step,
        id=goal.id,
        number=job.attempt,
        pod_template_hash=job.inputs,
        job=job.name,
        outcome=verdict.outcome,
        reason=verdict.reason if failed else None,
        message=verdict.message[:MAX_MESSAGE_LENGTH] if failed else None,
    )


def _remembered(attempt: Attempt) -> Verdict:
    """The failure that the status keeps: its Job and pods may be gone."""
    known = {reason.value: reason for reason in Reason}  # a later version may have written another
    reason = known.get(attempt.reason or "", Reason.INTERNAL_ERROR)
    return Verdict("Failed", reason, attempt.message or REASONS[reason].meaning, needs_person=True)


def judge(job: ObservedJob, now: str) -> Verdict | None:
    """How a Job's stage stands; None where it is complete without a report."""
    latest = job.pods[-1] if job.pods else None
    if job.complete:
        report = next((p.report for p in reversed(job.pods) if p.report and p.report.outcome == "Succeeded"), None)
        return Verdict("Succeeded", Reason.SUCCEEDED, report.message, report) if report else None
    if job.failed_reason:
        return _failure(job)
    if job.suspended:
        reason = Reason.SUSPENDED if job.suspended_by_us else Reason.QUEUED
        told = f" {REASONS[reason].advice}" if job.queued else ""  # we suspend none there
        return Verdict("Active", reason, f"Job {job.name} is suspended. {REASONS[reason].meaning}{told}")
    return waited_for(job, now, _under_way(job, latest, now)) if latest else _podless(job, now)


def waited_for(job: ObservedJob, now: str, verdict: Verdict) -> Verdict:
    """The verdict on a Job at work, or that its pod is lost with its node.

    Kubernetes deletes a pod five minutes after its node was heard of last, but the pod stays until the node says that
    it has ended, and until then podReplacementPolicy Failed has the Job wait (Kueue's KEP-6757 tells it all).
    """
    pod = job.pods[-1] if job.pods else None
    if pod is None or not (pod.unheard or pod.due):
        return verdict
    left = LOST_SECONDS - seconds_between(pod.due, now) if pod.due else None
    overdue = left is not None and left <= 0
    if pod.unheard or overdue:
        told = f"Node {pod.node} does not answer for pod {pod.name}: whether it still runs is not known, and the next"
        message = f"{told} one waits for its end. {_advice(Reason.NODE_LOST)}"
        verdict = Verdict("Active", Reason.NODE_LOST, message, needs_person=overdue)
    return verdict if overdue or left is None else replace(verdict, look_again=left)


def is_podless(job: ObservedJob, now: str) -> bool:
    """Whether a Job at work should have a pod by now and has none."""
    at_work = not (job.finished or job.suspended or job.deleting or job.pods)
    return at_work and bool(job.idle_since) and seconds_between(job.idle_since, now) >= PODLESS_SECONDS


def _podless(job: ObservedJob, now: str) -> Verdict:
    """A Job without a pod: it is about to make one, pauses before it makes another, or is not allowed to.

    No watch tells of its next try, so it is looked at again after as long as it has had none.
    """
    idle = seconds_between(job.idle_since, now) if job.idle_since else 0.0
    if not is_podless(job, now):
        return replace(_working(job.step), look_again=PODLESS_SECONDS - idle if job.idle_since else None)
    if job.refusal:
        told = f"{REASONS[Reason.POD_REFUSED].meaning} {job.refusal}"
        lasting = any(words in job.refusal for words in RULES) and not may_pass(job.refusal)
        return Verdict("Active", Reason.POD_REFUSED, told, needs_person=lasting, look_again=idle)
    describe = f"`kubectl describe job {job.name}` says"
    if job.has_made_pods and idle < LONGEST_PAUSE_SECONDS:
        told = (
            f"The pod of Job {job.name} is gone, and another follows after a pause, if no rule forbids it; {describe}."
        )
        return Verdict("Active", Reason.PENDING, told, look_again=LONGEST_PAUSE_SECONDS - idle)
    why = f"Job {job.name} may make no pod; {describe} which rule forbids it."
    return Verdict("Active", Reason.POD_REFUSED, f"{REASONS[Reason.POD_REFUSED].meaning} {why}", look_again=idle)


def _failure(job: ObservedJob) -> Verdict:
    ended = next((pod for pod in reversed(job.pods) if pod.exit_code or pod.failure), None)
    # One of them may have got as far as the Hub.
    report = next((pod.report for pod in reversed(job.pods) if pod.report and pod.report.model), None)
    if job.failed_reason == "DeadlineExceeded":
        reason, message = Reason.DEADLINE_EXCEEDED, f"{job.failed_message}. {_advice(Reason.DEADLINE_EXCEEDED)}"
    elif ended is None:
        reason, message = Reason.INTERNAL_ERROR, f"Job {job.name} failed: {job.failed_message}"
    else:
        reason, message = _ending(ended, job.step)
    return Verdict("Failed", reason, message, report, needs_person=True)


def _ending(pod: ObservedPod, stage: StepName) -> tuple[Reason, str]:
    """Why a container ended with a code that is not zero, or never began."""
    if pod.report:
        return pod.report.reason, pod.report.message
    if pod.failure:
        reason = _by_its_node(pod.failure)
        told = f"Node {pod.node} has ended pod {pod.name}: {pod.failure.rstrip('. ')}."
        return reason, told if reason is Reason.INTERRUPTED else f"{told} {REASONS[reason].advice_for(stage)}"
    if pod.exit_reason == "OOMKilled":
        had = f"its limit of {pod.memory_limit}" if pod.memory_limit else "its node had left; it has no limit"
        needed = f"Pod {pod.name} needed more memory than {had}."
        return Reason.OUT_OF_MEMORY, f"{needed} {REASONS[Reason.OUT_OF_MEMORY].advice_for(stage)}"
    message = f"Pod {pod.name} ended with exit code {pod.exit_code} and no report. {_advice(Reason.INTERNAL_ERROR)}"
    return Reason.INTERNAL_ERROR, message


def _by_its_node(said: str) -> Reason:
    """What a kubelet's sentence on an evicted, rejected or preempted pod comes to."""
    words = said.lower()
    if "memory" in words:
        return Reason.OUT_OF_MEMORY
    if "ephemeral" in words or "disk" in words:
        return Reason.DISK_FULL
    return Reason.INTERRUPTED if "shutdown" in words or "preempt" in words else Reason.POD_REFUSED


def _under_way(job: ObservedJob, pod: ObservedPod, now: str) -> Verdict:
    if pod.unschedulable:
        return Verdict("Active", Reason.UNSCHEDULABLE, _said(Reason.UNSCHEDULABLE, pod.unschedulable, job.step))
    if pod.waiting_reason in WAITING and not _is_unread(pod):
        reason = WAITING[pod.waiting_reason]
        if reason is Reason.SECRET_INVALID and "secret" not in pod.waiting_message.lower():
            reason = Reason.POD_REFUSED  # what the chart's trainer.env names
        lasting = pod.waiting_reason not in PASSING
        return Verdict("Active", reason, _said(reason, pod.waiting_message, job.step), needs_person=lasting)
    if failed := _failed(pod, job.step):
        return failed
    started = pod.running or pod.exit_code is not None
    return _again(job, pod, now, _working(job.step) if started else _starting(job.step, pod, now))


def _again(job: ObservedJob, pod: ObservedPod, now: str, verdict: Verdict) -> Verdict:
    """The verdict on a pod without trouble, or what ended the one before, until this one has got further."""
    earlier = _failed(job.pods[-2], job.step) if len(job.pods) > 1 else None
    left = FURTHER_SECONDS - (seconds_between(pod.started, now) if pod.started else 0.0)
    further = left <= 0 or job.reported > pod.started > ""
    if earlier is None or earlier.reason is UNDER_WAY[job.step] or further:
        return verdict
    waits = f" {verdict.message}" if verdict.reason is Reason.PENDING else ""
    return replace(earlier, message=earlier.message + waits, look_again=min(left, verdict.look_again or left))


def _failed(pod: ObservedPod, stage: StepName) -> Verdict | None:
    """What is told of a pod that failed while its Job tries again; None where it did not."""
    if pod.exit_code in (0, *PERMANENT) or not (pod.exit_code or pod.failure):
        return None  # at a permanent code the Job is about to fail, and says so
    reason, message = _ending(pod, stage)
    if reason is Reason.INTERRUPTED:
        return Verdict("Active", UNDER_WAY[stage], f"{message} The next pod goes on from there.")
    return Verdict("Active", reason, f"{message} It is tried again.")


def _is_unread(pod: ObservedPod) -> bool:
    """Whether the kubelet has not read a Secret or ConfigMap of the pod in time, and tries again.

    That there is none, or no such key in it, it says in other words (kubernetes/kubernetes#117972).
    """
    return pod.waiting_message.startswith("failed to sync ")


def _starting(stage: StepName, pod: ObservedPod, now: str) -> Verdict:
    """A pod on its way to its start: only one that takes long is worth a word, and a write."""
    left = SLOW_START_SECONDS - seconds_between(pod.scheduled or pod.created, now)
    if left > 0:
        return replace(_working(stage), look_again=left)
    if not pod.node:
        told = f"No scheduler has looked for a node for pod {pod.name} yet."
    elif pod.unprepared:
        told = f"Node {pod.node} has not set pod {pod.name} up yet, with its network, volumes and runtime class."
    elif _is_unread(pod):
        told = f"Node {pod.node} has not read the Secrets of pod {pod.name} yet ({pod.waiting_message})."
    else:
        told = f"Node {pod.node} is still pulling the image of pod {pod.name}."
    return Verdict("Active", Reason.PENDING, f"{told} `kubectl describe pod {pod.name}` says more.")


def _working(stage: StepName) -> Verdict:
    """Under way without trouble, from the Job's creation on: one sentence, so that a pod's start costs no write."""
    reason = UNDER_WAY[stage]
    return Verdict("Active", reason, REASONS[reason].meaning)


def _said(reason: Reason, cause: str, stage: StepName) -> str:
    """What happened, in the words of who noticed it, and what to do."""
    told = f"{cause.rstrip('. ')}." if cause else ""
    return " ".join(filter(None, (REASONS[reason].meaning, told, REASONS[reason].advice_for(stage))))


def _advice(reason: Reason) -> str:
    return REASONS[reason].advice
