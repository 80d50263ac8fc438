"""Decides about the deletion of a TweetModel with deletionPolicy Delete.

A finalizer keeps the TweetModel until a Job has purged its folder in the bucket. The operator removes the finalizer
and emits a warning with the remaining folder if a Job does not end, if the purge takes longer than MAX_PURGE_SECONDS,
or if the cluster rejects the purge Job, as during the deletion of a namespace.
"""

from datetime import datetime

from tweetmodel_api.identities import pod_template_hash
from tweetmodel_api.layout import Layout
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_operator import names
from tweetmodel_operator.decide import status_builder
from tweetmodel_operator.decide.attempts import reconcile_step
from tweetmodel_operator.decide.diagnosis import check_node
from tweetmodel_operator.decide.job_request import request_job
from tweetmodel_operator.decide.messages import sentences
from tweetmodel_operator.decide.steps import Step, StepResult, StepState
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.limits import MAX_PURGE_SECONDS
from tweetmodel_operator.observed import Observed, ObservedJob, PolicyResult
from tweetmodel_operator.rejections import is_transient_rejection
from tweetmodel_operator.times import parse_time, seconds_between

DELETION_REQUEUE_SECONDS = 60.0


def finalizer_change(observed: Observed, spec: TweetModelSpec) -> bool | None:
    """Return True to add the finalizer, False to remove the finalizer, or None if nothing changes."""
    is_wanted = spec.deletion_policy == "Delete"
    return None if is_wanted == observed.has_finalizer else is_wanted


def decide_deletion(observed: Observed, policy: PolicyResult, now: datetime) -> Decision:
    """Return the next writes for a TweetModel in deletion."""
    if not observed.has_finalizer:
        return Decision()
    if observed.spec is None:
        return _give_up(observed, observed.spec_error)
    if finalizer_change(observed, observed.spec) is False:  # deletionPolicy became Retain after the deletion
        return _cancel_purge(observed, now)
    active = [job for job in observed.jobs if job.step != "purge" and not job.is_finished]
    if active:
        return _stop_jobs(observed, active, now)
    return _purge(observed, observed.spec, policy, now)


def _cancel_purge(observed: Observed, now: datetime) -> Decision:
    """Remove the finalizer once the purge has ended: its pod could delete the data of the next TweetModel."""
    purges = [job for job in observed.jobs if job.step == "purge" and not job.is_finished]
    if all(_is_stuck(job, observed, now) for job in purges):
        return Decision(set_finalizer=False)
    return Decision(delete=_active_purges(observed), requeue_after=DELETION_REQUEUE_SECONDS)


def _stop_jobs(observed: Observed, active: list[ObservedJob], now: datetime) -> Decision:
    """Delete the unfinished Jobs, whose pods write to the folder; give up if a Job does not end in time."""
    for job in active:
        if _is_stuck(job, observed, now):
            return _give_up(observed, f"Job {job.name} does not end")
    message = "The folder in the bucket is not deleted yet (its Jobs must end first): no action is needed."
    state = StepState("Active", Reason.PURGING, message)
    delete = tuple(job.name for job in active if not job.is_deleting)
    return Decision(
        delete=delete,
        status=status_builder.purging_status(observed, check_node(active[0], now, state), now),
        requeue_after=DELETION_REQUEUE_SECONDS,
    )


def _is_stuck(job: ObservedJob, observed: Observed, now: datetime) -> bool:
    if job.deleted_at is None or observed.deleted_at is None:
        return False
    return _is_too_long(max(job.deleted_at, observed.deleted_at), now)


def _purge(observed: Observed, spec: TweetModelSpec, policy: PolicyResult, now: datetime) -> Decision:
    # Pods that the policy forbids receive no keys: the purge then uses the administrator's own image and account.
    pod_template = None if policy.forbids_pods else spec.pod_template
    step = Step(
        "purge",
        names.purge_id(observed.uid),
        pod_template_hash("purge", spec.model_copy(update={"pod_template": pod_template}), observed.retry),
        pod_template=pod_template,
    )
    result = reconcile_step(step, observed, None, now)
    if result.state.succeeded:
        return Decision(set_finalizer=False)
    started_at, message = _first_attempt(observed, result.state.message)
    is_late = started_at is not None and _is_too_long(started_at, now)
    if is_late or result.state.outcome == "Failed":
        duration = f"after {MAX_PURGE_SECONDS // 60} minutes: " if is_late else ""
        return _give_up(observed, duration + message.rstrip("."))
    return _continue_purge(observed, spec, result, now)


def _continue_purge(observed: Observed, spec: TweetModelSpec, result: StepResult, now: datetime) -> Decision:
    steps = (result.status,) if result.status else ()
    return Decision(
        delete=result.delete,
        create=(request_job(observed, spec, result, {}),) if result.create_attempt is not None else (),
        status=status_builder.purging_status(observed, result.state, now, steps),
        requeue_after=DELETION_REQUEUE_SECONDS,
    )


def _first_attempt(observed: Observed, message: str) -> tuple[datetime | None, str]:
    """Return the time of the first attempt to purge, and the message about the purge.

    The operator may have been down since the deletion, so the time of the deletion does not count. A rejected purge
    Job is the only state with Ready False and Reconciling True, so the last of the two transitions is the rejection.
    """
    purges = [job.created_at for job in observed.jobs if job.step == "purge"]
    if purges:
        return min(purges), message
    ready, reconciling = observed.status.condition("Ready"), observed.status.condition("Reconciling")
    if ready is None or reconciling is None or (ready.status, reconciling.status) != ("False", "True"):
        return None, message
    times = [parse_time(condition.last_transition_time) for condition in (ready, reconciling)]
    return max(filter(None, times), default=None), ready.message


def _is_too_long(since: datetime, now: datetime) -> bool:
    return seconds_between(since, now) > MAX_PURGE_SECONDS


def _active_purges(observed: Observed) -> tuple[str, ...]:
    return tuple(job.name for job in observed.jobs if job.step == "purge" and job.is_active)


def decide_rejected_purge(observed: Observed, message: str, now: datetime) -> Decision:
    """Return the decision after the cluster rejected the purge Job: retry a transient rejection, or give up."""
    if not is_transient_rejection(message):
        return _give_up(observed, message)
    what = f"The folder in the bucket can't be deleted yet ({message.rstrip('. ')})"
    state = StepState("Active", Reason.POD_REFUSED, sentences(what, "The operator retries every minute"))
    purging = status_builder.purging_status(observed, state, now, observed.status.steps, ready="False")
    return Decision(status=purging, requeue_after=DELETION_REQUEUE_SECONDS)


def _give_up(observed: Observed, cause: str) -> Decision:
    """Remove the finalizer although the folder may remain, with a warning.

    An active purge is deleted, since the purge would also delete the data of the next TweetModel of this name.
    """
    folder = "the TweetModel's folder in the bucket"
    if observed.spec:
        folder = Layout(observed.spec.storage.uri, observed.key.namespace, observed.key.name).root
    warning = sentences(f"{folder} was not deleted ({cause.rstrip('. ')})", REASONS[Reason.PURGE_FAILED].advice)
    return Decision(delete=_active_purges(observed), set_finalizer=False, orphan_warning=warning)
