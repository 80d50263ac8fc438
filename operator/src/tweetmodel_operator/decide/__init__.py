"""What should be, given what is: pure functions over frozen values, without clock, network or environment.

`decide` asks the questions in order: can the spec be followed; is the data set there, else which collect Job;
is this run's model there, else which train Job; which Jobs are left over; what does the status say of all
that. `stages` reads a Job, `schedule` the clock, `runs` says which run is wanted and keeps the history,
`conditions` writes the status, `deletion` ends it all.
"""

from collections.abc import Iterable
from dataclasses import replace

from tweetmodel_api.identities import collection_id, pod_template_hash
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset
from tweetmodel_operator.decide import conditions, deletion, runs, schedule
from tweetmodel_operator.decide.requests import request
from tweetmodel_operator.decide.stages import Goal, Pursuit, Verdict, pursue, settled
from tweetmodel_operator.state import Decision, Observed, ObservedJob

REFUSED_SECONDS = 60.0
BORROW_SECONDS = 15.0


def decide(observed: Observed, now: str, progress_interval: int) -> Decision:
    """Everything that should happen now.

    Args:
        observed: the TweetModel and its Jobs.
        now: the time, RFC 3339 in UTC.
        progress_interval: seconds; progress alone is written once what is shown is that old.
    """
    if observed.deleting:
        return deletion.decide(observed, now)
    if observed.spec is None:
        status = conditions.stalled(observed.before, observed, Reason.INVALID_SPEC, observed.spec_error, now)
        return Decision(status=status, requeue_after=REFUSED_SECONDS if observed.unfilled else None)
    spec = observed.spec
    if problem := schedule.problem(spec.schedule, now) or runs.problem(spec, observed.before):
        return _left_alone(observed, spec, problem, now)
    if observed.forbidden:  # as if it were suspended, but for its Jobs, which go
        spec = spec.model_copy(update={"suspend": True})
        observed = replace(observed, spec=spec)
    return _followed(observed, spec, now, progress_interval)


def _left_alone(observed: Observed, spec: TweetModelSpec, problem: str, now: str) -> Decision:
    """What happens where a mistake in the spec keeps it from being followed: nothing begins, and no Job is lost to it.

    What has nothing to do with the mistake counts nevertheless: a suspension, the finalizer, what is not allowed.
    """
    reason, told = (Reason.NOT_ALLOWED, observed.forbidden) if observed.forbidden else (Reason.INVALID_SPEC, problem)
    ending = tuple(job.name for job in observed.jobs if observed.must_end(job) and not job.deleting)
    return Decision(
        delete=ending,
        suspend=_suspensions(spec, observed.jobs, ending),
        status=conditions.stalled(observed.before, observed, reason, told, now),
        hold=deletion.hold(observed, spec),
    )


def _followed(observed: Observed, spec: TweetModelSpec, now: str, progress_interval: int) -> Decision:
    turned = schedule.turn(spec, observed.before, now)
    due = (turned and turned.last_time) or ""
    pursuits, dataset = _pursue_in_order(observed, spec, due, now)
    status = conditions.status(observed, pursuits, dataset, turned, now)
    if observed.forbidden:
        status = conditions.stalled(status, observed, Reason.NOT_ALLOWED, observed.forbidden, now)
    status, requeue_after = conditions.throttle(observed.before, status, progress_interval, now)
    moments = [
        requeue_after,
        schedule.wake_after(spec, status, now),
        *(pursuit.verdict.look_again for pursuit in pursuits),
    ]
    wanted = {pursuit.goal for pursuit in pursuits if not pursuit.settled}
    ending = _superseded(observed, wanted) + tuple(name for p in pursuits for name in p.delete)
    decision = Decision(
        delete=ending,
        suspend=_suspensions(spec, observed.jobs, ending),
        create=tuple(request(observed, spec, p, dataset) for p in pursuits if p.create is not None),
        status=status,
        requeue_after=min((moment for moment in moments if moment is not None), default=None),
        hold=deletion.hold(observed, spec),
    )
    return replace(decision, expire=_expirable(observed)) if status == observed.status else decision


def refused(observed: Observed, decision: Decision, message: str, now: str) -> Decision:
    """What follows when the cluster did not allow a Job of `decision`: the status says why, and it is tried again."""
    if observed.deleting:
        return deletion.refused(observed, message, now)
    decided = (decision.status or observed.before).model_copy(update={"attempt": observed.before.attempt})
    status = conditions.refused(decided, observed, message, now)
    return Decision(status=status, requeue_after=REFUSED_SECONDS)


def _pursue_in_order(
    observed: Observed, spec: TweetModelSpec, due: str, now: str
) -> tuple[tuple[Pursuit, ...], Dataset | None]:
    """The collect stage, and once its data set is known the train stage."""
    before = observed.before
    collection = collection_id(spec, observed.retry, due)
    known = runs.known_dataset(spec, before)
    goal = Goal("collect", collection, pod_template_hash("collect", spec, observed.retry), known=known)
    if spec.pinned_run:
        told = f"Run {spec.pinned_run} is pinned by spec.pinnedRun."
        if spec.cleaning.erase:
            told += " What cleaning.erase names anew waits until none is."
        collect = settled(replace(goal, id=before.collection or collection), f"{told} Nothing is collected.")
        goal = runs.pinned(spec, observed.retry)
        train = settled(goal, told) if runs.is_settled(spec, before, goal) else pursue(goal, observed, now)
        return (collect, train), before.dataset
    if before.collection == collection and before.dataset:
        collect, dataset = settled(goal, conditions.sentence_of_dataset(before)), before.dataset
    else:
        collect = _lent(pursue(goal, observed, now), observed)
        report = collect.verdict.report
        if not (collect.verdict.succeeded and report and report.dataset):
            return (collect,), None
        dataset = report.dataset
    goal, told = runs.wanted(spec, before, dataset, observed.retry)
    if runs.is_settled(spec, before, goal):
        return (collect, settled(goal, told or conditions.sentence_of_model(before, goal.id))), dataset
    return (collect, runs.compared(pursue(replace(goal, due=due), observed, now), before.model)), dataset


def _lent(collect: Pursuit, observed: Observed) -> Pursuit:
    """The pursuit of a collection, whose Job is not made before the TweetModels that sources name have their posts."""
    missing = [f"{name}, which {why}" for name, why in observed.borrowed.items() if isinstance(why, str)]
    if collect.create is None or not missing:
        return collect
    told = f"Collecting waits for the data set of TweetModel {'; and of '.join(missing)}."
    if observed.spec and observed.spec.cleaning.erase:
        told += " So does what cleaning.erase names anew: without that source it goes on."
    return Pursuit(collect.goal, Verdict("Active", Reason.PENDING, told, look_again=BORROW_SECONDS))


def _superseded(observed: Observed, wanted: set[Goal]) -> tuple[str, ...]:
    """Unfinished Jobs that no present goal wants: their checkpoints stay in storage."""
    identities = {(goal.step, goal.id) for goal in wanted}
    return tuple(
        job.name
        for job in observed.jobs
        if not job.finished and not job.deleting and (job.step, job.id) not in identities
    )


def _suspensions(
    spec: TweetModelSpec, jobs: Iterable[ObservedJob], ending: tuple[str, ...]
) -> tuple[tuple[str, bool], ...]:
    """Follows spec.suspend; a Job that another manager suspends and resumes (Kueue) is left to that manager."""
    staying = [job for job in jobs if not (job.finished or job.deleting or job.name in ending)]
    if spec.suspend:
        return tuple((job.name, True) for job in staying if not (job.suspended or job.queued))
    return tuple((job.name, False) for job in staying if job.suspended and job.suspended_by_us)


def _expirable(observed: Observed) -> tuple[str, ...]:
    """Finished Jobs; asked for only when the status on the server already holds their outcome."""
    return tuple(job.name for job in observed.jobs if job.finished and not job.has_ttl and not job.deleting)
