"""The end of a TweetModel whose deletionPolicy is Delete: a finalizer holds it until a Job has purged its folder.

It is never held for ever: where a Job does not end or purges for longer than PURGE_SECONDS, or the cluster allows no
Job (a namespace that is being deleted itself), it goes, and a warning names what is left in the bucket.
"""

from dataclasses import replace

from tweetmodel_api.identities import pod_template_hash
from tweetmodel_api.layout import Layout
from tweetmodel_api.reasons import REASONS, Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_operator import names
from tweetmodel_operator.decide import conditions
from tweetmodel_operator.decide.requests import request
from tweetmodel_operator.decide.stages import Goal, Verdict, may_pass, pursue, waited_for
from tweetmodel_operator.state import Decision, Observed, seconds_between

PURGE_SECONDS = 1800
LOOK_AGAIN_SECONDS = 60.0


def hold(observed: Observed, spec: TweetModelSpec) -> bool | None:
    """Whether the finalizer is to be set (True) or taken away (False); None where it is as it should be."""
    wanted = spec.deletion_policy == "Delete"
    return None if wanted == observed.held else wanted


def decide(observed: Observed, now: str) -> Decision:
    """What happens now to a TweetModel that is being deleted."""
    if not observed.held:
        return Decision()
    if observed.spec is None:
        return given_up(observed, observed.spec_error)
    if hold(observed, observed.spec) is False:  # it was deleted first, and then its folder was to stay
        return Decision(delete=_purges(observed), hold=False)
    working = [job for job in observed.jobs if job.step != "purge" and not job.finished]
    long = (job for job in working if job.deleting and _is_long(max(job.deleted, observed.deleted), now))
    if stuck := next(long, None):
        return given_up(observed, f"Job {stuck.name} does not end")  # a lost node never says that its pod has ended
    if working:  # their pods still write
        verdict = Verdict("Active", Reason.PURGING, "Its Jobs are stopped before its folder is deleted.")
        status = conditions.purging(observed, waited_for(working[0], now, verdict), now)
        left = tuple(job.name for job in working if not job.deleting)
        return Decision(delete=left, status=status, requeue_after=LOOK_AGAIN_SECONDS)
    # An image or account that is not allowed gets no keys: the administrator's own purges then.
    pods = {"pod_template": None} if observed.forbidden_pods else {}
    spec = observed.spec.model_copy(update={"suspend": False} | pods)
    goal = Goal("purge", names.purge_id(observed.uid), pod_template_hash("purge", spec, observed.retry))
    pursuit = pursue(goal, replace(observed, spec=spec, forbidden=""), now)
    if pursuit.verdict.succeeded:
        return Decision(hold=False)
    since, told = _tried_since(observed, pursuit.verdict.message)
    late = bool(since) and _is_long(since, now)
    if late or pursuit.verdict.outcome == "Failed":
        waited = f"after {PURGE_SECONDS // 60} minutes: " if late else ""
        return given_up(observed, waited + told.rstrip("."))
    return Decision(
        delete=pursuit.delete,
        create=(request(observed, spec, pursuit, None),) if pursuit.create is not None else (),
        status=conditions.purging(observed, pursuit.verdict, now, pursuit.attempt),
        requeue_after=LOOK_AGAIN_SECONDS,
    )


def _tried_since(observed: Observed, told: str) -> tuple[str, str]:
    """Since when a purge has been tried, and what there is to say of it: the operator may have come late itself."""
    if purges := [job.created for job in observed.jobs if job.step == "purge"]:
        return min(purges), told
    ready = observed.before.condition("Ready")
    if ready and ready.reason == Reason.POD_REFUSED and ready.observed_generation == observed.generation:
        return max(observed.deleted, ready.last_transition_time), ready.message
    return "", told


def _is_long(since: str, now: str) -> bool:
    return seconds_between(since, now) > PURGE_SECONDS


def _purges(observed: Observed) -> tuple[str, ...]:
    return tuple(job.name for job in observed.jobs if job.step == "purge" and not (job.finished or job.deleting))


def refused(observed: Observed, message: str, now: str) -> Decision:
    """What follows when the cluster does not allow the Job that purges: where that may pass, it is tried again."""
    if not may_pass(message):
        return given_up(observed, message)
    verdict = Verdict("Active", Reason.POD_REFUSED, f"Its folder can't be deleted yet: {message}.")
    status = conditions.purging(observed, verdict, now, observed.before.attempt)
    return Decision(status=status, requeue_after=LOOK_AGAIN_SECONDS)


def given_up(observed: Observed, why: str) -> Decision:
    """Lets it go although its folder may still be there, and says so.

    A purge that still tries is ended: nobody owns it, and it would delete what the next one of this name writes.
    """
    layout = Layout(observed.spec.storage.uri, observed.key.namespace, observed.key.name) if observed.spec else None
    left = f"{layout.root} was not deleted" if layout else "its folder in the bucket was not deleted"
    farewell = f"{left} ({why}). {REASONS[Reason.PURGE_FAILED].advice}"
    return Decision(delete=_purges(observed), hold=False, farewell=farewell)
