"""A life of a TweetModel: a small model of the API server and the Job controller around the pure `decide`.

What may happen in it is in `EVENTS`, what must hold after each event in `ALWAYS`; `test_walks.py` goes through them.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from makers import KEY, UID, JobMaker, dataset, failure, model, spec, success
from tweetmodel_api.identities import publish_hash
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import PERMANENT, Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Publication, TweetModelStatus
from tweetmodel_operator.decide import decide
from tweetmodel_operator.decide.schedule import problem
from tweetmodel_operator.state import Decision, Observed, ObservedJob

HOURLY = {"cron": "0 * * * *", "minNewPosts": 10}
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"training": {"epochs": 9}},
    {"gpus": 0},
    {"storage": {"uri": "s3://bucket/models", "secretRef": {"name": "other"}}},
    {"schedule": HOURLY},
    {"schedule": HOURLY | {"concurrencyPolicy": "Replace"}, "training": {"warmStart": True}},
    {"schedule": HOURLY, "sources": [{"handle": "bob", "archive": {"uri": "s3://bucket/bob.zip"}}]},
    {"queueName": "gpus"},
    {"deletionPolicy": "Delete"},
    {"publish": {"huggingFace": {"secretRef": {"name": "hub"}}}},
    {"reportTo": {"tensorBoard": {}}},
    {"schedule": HOURLY, "publish": {"huggingFace": {"secretRef": {"name": "hub"}}}},
    {"training": {"warmStart": True}, "publish": {"huggingFace": {"secretRef": {"name": "hub"}}}},
    {"schedule": {"cron": "61 * * * *"}},
)
SPECS = tuple(spec(**change) for change in CHANGES)
START = datetime.fromisoformat("2026-11-23T00:00:00Z")
ENDED_WELL = ("Succeeded", "NotImproved")
POSTS = (1000, 1005, 1020)
LOSSES = ("3.0", "3.1", "2.9")
MOST_LOOKS = 12
MOST_RETRIES = 4
MOST_JOBS = 8


def may_run(job: ObservedJob) -> bool:
    """Whether its pods may be there, and their node tells of them."""
    return not (job.finished or job.suspended or job.deleting or is_lost(job))


def may_write(job: ObservedJob) -> bool:
    """Whether a pod of it is there that is not known to have ended."""
    return not job.finished and bool(job.pods) and job.pods[-1].exit_code is None


def is_lost(job: ObservedJob) -> bool:
    return may_write(job) and job.pods[-1].unheard


Method = Callable[["Life"], None]


class Event(NamedTuple):
    """Something that happens, at times when it may."""

    happens: Method
    may_happen: Callable[["Life"], bool]


EVENTS: list[Event] = []
ALWAYS: list[Method] = []


def event(may_happen: Callable[["Life"], bool] = lambda _: True) -> Callable[[Method], Method]:
    def noted(happens: Method) -> Method:
        EVENTS.append(Event(happens, may_happen))
        return happens

    return noted


def always(holds: Method) -> Method:
    ALWAYS.append(holds)
    return holds


class Life:
    """A TweetModel in a cluster, and an operator that looks at it."""

    def __init__(self, choose: Callable[[Sequence[Any]], Any]) -> None:
        self.choose = choose
        self.specs = [choose(SPECS) for _ in range(3)]
        """What it may say in this life: few, so that it often goes back to what it said before."""
        self.spec: TweetModelSpec = self.specs[0]
        self.status: TweetModelStatus | None = None
        self.kept: frozenset[str] = frozenset()
        """Runs whose model is in the bucket."""
        self.jobs: dict[str, ObservedJob] = {}
        self.plans: dict[str, Plan] = {}
        self.generation = 1
        self.version = 0
        self.retry = ""
        self.deleted = ""
        self.held = False
        self.gone = False
        self.clock = START
        self.awake = self.roomy = self.allowed = self.readable = True
        self.begun = False
        self.ended: dict[str, str] = {}
        self.outcomes: dict[str, str] = {}
        self.last_due = self.latest = ""
        self.next = Decision()
        """What the operator would do now; each of `ALWAYS` looks at it."""
        self._decided: tuple[Observed, str, Decision] | None = None

    # The cluster

    @property
    def now(self) -> str:
        return self.clock.isoformat().replace("+00:00", "Z")

    def view(self, finished: bool = True) -> Observed:
        """What is read afresh; else what the operator's memory has, which lets go of finished Jobs with their TTL."""
        return Observed(
            key=KEY,
            uid=UID,
            generation=self.generation,
            resource_version=str(self.version),
            deleted=self.deleted,
            held=self.held,
            retry=self.retry,
            spec=self.spec if self.readable else None,
            spec_error="" if self.readable else "spec.new: Extra inputs are not permitted",
            forbidden="" if self.allowed else "spec.gpus 1 is more than the 0 that this cluster allows",
            absent=("queueName",),
            status=self.status,
            jobs=tuple(job for job in self.jobs.values() if finished or not (job.finished and job.has_ttl)),
            proven=finished,
        )

    def decided(self) -> Decision:
        """What the operator would do now; thought of once, however often it is asked."""
        if self.gone:
            return Decision()
        seen = self.view()
        if self._decided is None or self._decided[:2] != (seen, self.now):
            self._decided = (seen, self.now, decide(seen, self.now, 10))
        return self._decided[2]

    def apply(self, seen: Observed, decision: Decision, writes: int = 99) -> int:
        """Does what `apply.py` does, until `writes` are made; returns how many there were."""
        todo: list[Any] = []
        self._is_told_truly(seen, decision)
        fresh = seen.resource_version == str(self.version)
        if decision.hold:
            todo.append(lambda: fresh and self._hold(True))
        todo += [lambda name=name: self._delete(name) for name in decision.delete]
        todo += [lambda name=name, to=to: self._suspend(name, to) for name, to in decision.suspend]
        todo += [lambda request=request: self._create(request) for request in decision.create]
        if decision.status and decision.status != seen.status:
            todo.append(lambda: fresh and self._write(decision.status))
        todo += [lambda name=name: self._change(name, has_ttl=True) for name in decision.expire]
        if decision.hold is False:
            todo.append(lambda: fresh and self._hold(False))
        for write in todo[:writes]:
            write()
        return len(todo)

    def _is_told_truly(self, seen: Observed, decision: Decision) -> None:
        """Where work is told of that was not told of before, there is a Job for it."""
        before, after = (status.attempt if status else None for status in (seen.status, decision.status))
        if after and after != before and after.outcome == "Active":
            there = [job.name for job in self.jobs.values() if not job.finished]
            assert after.job in [*there, *(request.name for request in decision.create)]
            assert after.job not in self.jobs or after.job in there

    def _hold(self, held: bool) -> None:
        self.held = held
        if self.deleted and not held:
            assert not [job for job in self._unfinished() if job.step == "purge" and not job.deleting]
            self.gone = True

    def _delete(self, name: str) -> None:
        if job := self.jobs.get(name):
            if job.pods and not job.finished:
                self.jobs[name] = replace(job, deleted=self.now)  # until its pods are gone
            else:
                del self.jobs[name]

    def _suspend(self, name: str, to: bool) -> None:
        assert not (to and name in self.jobs and self.jobs[name].queued), "it would keep its room in the queue"
        self._change(name, suspended=to, suspended_by_us=to)

    def _change(self, name: str, **changes: Any) -> None:
        if name in self.jobs:
            self.jobs[name] = replace(self.jobs[name], **changes)

    def _create(self, request: Any) -> None:
        assert not self.gone
        queued = request.plan.step == "train" and bool(request.plan.spec.queue_name) and not request.plan.report_only
        made = ObservedJob(
            name=request.name,
            step=request.plan.step,
            id=request.id,
            attempt=request.attempt,
            inputs=request.inputs,
            created=self.now,
            suspended=queued,
            queued=queued,
        )
        if request.name not in self.jobs:
            self.jobs[request.name], self.plans[request.name] = made, request.plan

    def _write(self, status: TweetModelStatus | None) -> None:
        assert status is not None
        TweetModelStatus.model_validate_json(status.model_dump_json(by_alias=True, exclude_defaults=True))
        self.status = status
        self.version += 1

    def _pod(self, job: ObservedJob, **changes: Any) -> None:
        """Its newest pod changes."""
        self.jobs[job.name] = replace(job, pods=(*job.pods[:-1], replace(job.pods[-1], **changes)))

    def _unfinished(self) -> list[ObservedJob]:
        return [job for job in self.jobs.values() if not job.finished]

    def _staying(self) -> list[ObservedJob]:
        """The unfinished Jobs that nobody has deleted or is about to."""
        return [job for job in self._unfinished() if not (job.deleting or job.name in self.next.delete)]

    def _pick(self, which: Callable[[ObservedJob], bool]) -> list[ObservedJob]:
        """One of the Jobs that are so, or none."""
        fitting = sorted(filter(which, self.jobs.values()), key=lambda job: job.name)
        return [self.choose(fitting)] if fitting else []

    def happen(self, event: Event) -> None:
        """An event, after which operator and cluster do their work, and all that always holds is looked at."""
        event.happens(self)
        self.operator_and_cluster_do_their_work()
        self.next = self.decided()
        for holds in ALWAYS:
            holds(self)

    # What happens

    @event()
    def the_operator_falls_asleep_or_wakes(self) -> None:
        self.awake = not self.awake

    @event()
    def the_cluster_fills_up_or_has_room(self) -> None:
        self.roomy = not self.roomy

    def operator_and_cluster_do_their_work(self) -> None:
        """After each event the operator looks, while it is awake, and pods start, while there is room."""
        if self.awake and not self.gone:
            self.look()
        for job in [job for job in self.jobs.values() if self.roomy and may_run(job) and not may_write(job)]:
            self.jobs[job.name] = JobMaker(replace(job, started=self.now)).running().obj()

    @event(lambda self: not self.gone)
    def look(self) -> None:
        """As `reconcile.py` does: by memory where that is harmless, else by a fresh read."""
        seen = self.view(finished=False)
        decision = decide(seen, self.now, 10) if len(seen.jobs) < len(self.jobs) else self.decided()
        if decision.needs_proof(seen):
            seen, decision = self.view(), self.decided()
        self.apply(seen, decision)

    @event(lambda self: not self.gone)
    def crash_in_the_middle(self) -> None:
        self.apply(self.view(), self.decided(), writes=self.choose(range(4)))

    @event(lambda self: not self.deleted)
    def edit(self) -> None:
        """The spec changes, perhaps while the operator acts on what it saw before."""
        seen = self.view()
        self.spec = self.choose(self.specs).model_copy(update={"suspend": self.spec.suspend})
        self.generation += 1
        self.version += 1
        if self.choose((False, True)):
            self.apply(seen, decide(seen, self.now, 10))

    @event(lambda self: not self.deleted)
    def suspend_or_resume(self) -> None:
        self.spec = self.spec.model_copy(update={"suspend": not self.spec.suspend})
        self.generation += 1
        self.version += 1

    @event()
    def the_administrator_allows_or_forbids(self) -> None:
        self.allowed = not self.allowed

    @event(lambda self: not self.deleted)
    def the_operator_and_the_spec_differ_in_version_or_again_agree(self) -> None:
        self.readable = not self.readable
        self.version += 1

    @event(lambda self: not self.deleted)
    def pin(self) -> None:
        runs = [run.id for run in self.status.runs] if self.status else []
        pinned = self.choose([None, *runs])
        self.spec = self.spec.model_copy(update={"pinned_run": pinned})
        self.generation += 1
        self.version += 1

    @event(lambda self: not self.gone)
    def ask_for_a_retry(self) -> None:
        self.retry = self.now
        self.version += 1

    @event(lambda self: not self.deleted)
    def delete(self) -> None:
        if self.choose(range(10)) != 7:  # rarely, since little happens afterwards
            return
        self.deleted = self.now
        self.generation += 1
        self.version += 1
        self.gone = not self.held

    @event()
    def time_passes(self) -> None:
        self.clock += timedelta(minutes=self.choose((1, 31, 240)))

    @event(lambda self: bool(self.status and self.status.schedule and self.status.schedule.next_time))
    def it_is_due_and_all_goes_well(self) -> None:
        due = (self.status and self.status.schedule and self.status.schedule.next_time) or self.now
        self.clock = max(self.clock, datetime.fromisoformat(due))
        self.all_goes_well_for_a_while()

    @event()
    def the_clock_jumps(self) -> None:
        self.clock += timedelta(minutes=self.choose((-3000, -240, -31, -1, 3000, 600_000)))

    @event()
    def all_goes_well_for_a_while(self) -> None:
        self.all_goes_well(self.choose(POSTS), self.choose(LOSSES))

    def all_goes_well(self, posts: int = POSTS[0], loss: str = LOSSES[0]) -> None:
        """Pods of deleted Jobs end, queues admit, Jobs do what they can, until there is nothing left to do."""
        for job in filter(is_lost, list(self.jobs.values())):
            self.jobs[job.name] = replace(job, pods=())
        for _ in range(MOST_JOBS):
            self.rest()
            self.jobs = {name: job for name, job in self.jobs.items() if not job.deleting}
            self.rest()
            held = self.spec.suspend and not self.deleted
            left = [job for job in self._unfinished() if not (held and job.suspended)]
            if not left or self.gone:
                return
            for job in left:
                self._succeed(replace(job, suspended=False), posts, loss)
        raise AssertionError("it makes Jobs for ever")

    def _succeed(self, job: ObservedJob, posts: int, loss: str) -> None:
        made = model(job.id)
        if self._misses(job):
            self.jobs[job.name] = JobMaker(job).pod_ended(66, failure(Reason.RUN_MISSING)).failed(at=self.now).obj()
            return
        self.kept |= {job.id} if job.step == "train" else set()
        asked = publish_hash(self.plans[job.name].spec)
        known = {
            "evaluation": made.evaluation.model_copy(update={"loss": loss}),
            "publication": Publication(spec_hash=asked, url="https://hub/ada") if asked else None,
        }
        report = {
            "collect": success(dataset=dataset(digest=f"{posts:064x}", kept=posts, new_posts=posts - 1000)),
            "train": success(model=made.model_copy(update=known | {"digest": f"{job.id:0>64}"})),
            "purge": success(),
        }[job.step]
        self.jobs[job.name] = JobMaker(job).complete(report).obj()

    def _misses(self, job: ObservedJob) -> bool:
        """Whether its model, or the one that it starts from, is not in the bucket."""
        plan = self.plans[job.name]
        orphan = plan.initial_model is not None and plan.initial_model.uri not in {model(run).uri for run in self.kept}
        return job.step == "train" and job.id not in self.kept and (plan.report_only or orphan)

    @event(lambda self: bool(self.kept))
    def a_run_is_deleted_from_the_bucket(self) -> None:
        self.kept -= {self.choose(sorted(self.kept))}

    @event()
    def a_node_stops_answering(self) -> None:
        for job in self._pick(may_write):
            self._pod(job, unheard=True, node="n1")

    @event()
    def the_pod_of_a_lost_node_is_deleted(self) -> None:
        for job in self._pick(is_lost):
            self._pod(job, due=self.now)

    @event()
    def a_node_answers_again(self) -> None:
        for job in self._pick(is_lost):
            self._pod(job, unheard=False, due="")

    @event()
    def a_lost_node_is_given_up(self) -> None:
        for job in self._pick(is_lost):
            self.jobs[job.name] = replace(job, pods=())

    @event()
    def job_succeeds(self) -> None:
        for job in self._pick(may_run):
            self._succeed(job, self.choose(POSTS), self.choose(LOSSES))

    @event()
    def pod_fails(self) -> None:
        for job in self._pick(lambda job: may_run(job) and may_write(job)):
            report = failure(Reason.STORAGE_UNREACHABLE) if self.choose((False, True)) else None
            code = self.choose((*map(int, PERMANENT), 75, 137, 143, self.choose(range(1, 256))))
            self._pod(job, running=False, exit_code=code, exit_reason="Error", report=report)
            if code in PERMANENT:
                self.jobs[job.name] = JobMaker(self.jobs[job.name]).failed(at=self.now).obj()

    @event()
    def the_hub_refuses(self) -> None:
        for job in self._pick(lambda job: job.step == "train" and may_run(job) and not self._misses(job)):
            self.kept |= {job.id}
            report = failure(Reason.HUB_DENIED).model_copy(update={"model": model(job.id)})
            self.jobs[job.name] = JobMaker(job).pod_ended(77, report).failed(at=self.now).obj()

    @event()
    def retries_run_out(self) -> None:
        for job in self._pick(lambda job: may_run(job) and bool(job.pods)):
            self.jobs[job.name] = JobMaker(job).failed("BackoffLimitExceeded", at=self.now).obj()

    @event()
    def pods_vanish_with_their_reports(self) -> None:
        for job in self._pick(lambda _: True):
            self.jobs[job.name] = replace(job, pods=())

    @event()
    def somebody_deletes_a_job(self) -> None:
        for job in self._pick(lambda _: True):
            self._delete(job.name)

    @event()
    def ttls_are_over(self) -> None:
        self.jobs = {name: job for name, job in self.jobs.items() if not (job.finished and job.has_ttl)}

    @event()
    def pods_of_deleted_jobs_are_gone(self) -> None:
        self.jobs = {name: job for name, job in self.jobs.items() if not job.deleting or is_lost(job)}

    @event()
    def queue_suspends_or_admits(self) -> None:
        for job in self._pick(lambda job: not job.finished and not job.deleting and not job.suspended_by_us):
            self.jobs[job.name] = replace(job, suspended=self.choose((False, True)))

    # What always holds

    @always
    def one_active_job_a_stage(self) -> None:
        for stage in ("collect", "train", "purge"):
            active = {job.name for job in self._staying() if job.step == stage}
            active |= {request.name for request in self.next.create if request.plan.step == stage}
            assert len(active) <= 1

    @always
    def nobody_writes_where_another_pod_may_still_write(self) -> None:
        writing = {(job.step, job.id) for job in self.jobs.values() if may_write(job)}
        for request in self.next.create:
            assert (request.plan.step, request.id) not in writing

    @always
    def nothing_is_trained_that_is_done(self) -> None:
        done = {run.id for run in self.status.runs if run.model_uri} if self.status else set()
        for request in self.next.create:
            assert request.plan.step != "train" or request.plan.report_only or request.id not in done

    @always
    def each_write_changes_something(self) -> None:
        assert not any(self.jobs[name].deleting for name in self.next.delete)
        assert all(self.jobs[name].suspended != to for name, to in self.next.suspend)
        assert not any(self.jobs[name].has_ttl for name in self.next.expire)
        assert self.next.hold is None or self.next.hold != self.held
        assert not any(request.name in self.jobs for request in self.next.create)

    @always
    def no_default_is_filled_in_once_it_has_begun(self) -> None:
        self.begun |= bool(self.status and self.status.attempt)
        assert not (self.begun and self.view().unfilled)

    @always
    def what_is_not_allowed_or_suspended_is_at_work_no_more(self) -> None:
        if self.deleted or not self.readable:
            return
        held = {name for name, to in self.next.suspend if to}
        for job in self._staying():
            assert self.allowed
            assert not self.spec.suspend or job.suspended or job.name in held
        assert not self.next.create or (self.allowed and not self.spec.suspend)

    @always
    def no_job_is_at_work_where_all_is_done(self) -> None:
        if self.deleted or self.status is None:
            return
        if self.status.is_true("Ready") and not self.next.changes(self.view()):
            assert not [job for job in self._unfinished() if not job.deleting]

    @always
    def a_deletion_policy_is_followed_whatever_else_is_wrong(self) -> None:
        if not self.deleted and self.readable:
            assert (self.spec.deletion_policy == "Delete") == (self.held if self.next.hold is None else self.next.hold)

    @always
    def what_ended_well_stays(self) -> None:
        for run in self.status.runs if self.status else ():
            if self.ended.get(run.id) in ENDED_WELL:
                assert run.outcome in ENDED_WELL
            self.ended[run.id] = run.outcome

    @always
    def the_present_model_is_one_of_the_runs(self) -> None:
        if self.status and self.status.model:
            assert self.status.model.uri in {run.model_uri for run in self.status.runs}

    @always
    def a_pin_that_is_ready_shows_its_model(self) -> None:
        if self.status is None or self.status.observed_generation != self.generation or not self.spec.pinned_run:
            return
        if self.status.is_true("Ready"):
            assert self.status.model
            assert self.status.model.uri == model(self.spec.pinned_run).uri

    @always
    def what_is_ready_is_published_as_the_spec_asks(self) -> None:
        if self.status is None or self.status.observed_generation != self.generation or self.spec.pinned_run:
            return
        if self.status.is_true("Ready") and (asked := publish_hash(self.spec)):
            assert self.status.model
            assert self.status.model.publication
            assert self.status.model.publication.spec_hash == asked

    @always
    def a_model_that_was_outdone_is_present_only_by_a_pin(self) -> None:
        if self.status is None or self.status.observed_generation != self.generation or self.spec.pinned_run:
            return
        if self.status.is_true("Ready") and self.status.model:
            assert "NotImproved" not in {r.outcome for r in self.status.runs if r.model_uri == self.status.model.uri}

    @always
    def a_run_is_outdone_for_good_unless_it_is_asked_for_anew(self) -> None:
        """A pin changes no outcome."""
        for run in self.status.runs if self.status and self.spec.pinned_run else ():
            assert self.outcomes.get(run.id, run.outcome) == run.outcome or self.outcomes[run.id] not in ENDED_WELL
        self.outcomes = {run.id: run.outcome for run in self.status.runs} if self.status else {}

    @always
    def due_times_go_forward(self) -> None:
        last = (self.status and self.status.schedule and self.status.schedule.last_time) or ""
        self.latest = max(self.latest, self.now)
        assert self.last_due <= last <= self.latest
        self.last_due = last

    @always
    def a_failure_is_not_repeated_unasked(self) -> None:
        failed = self.status.attempt if self.status else None
        if failed is None or failed.outcome != "Failed":
            return
        since = {(job.step, job.id) for job in self.jobs.values() if job.attempt > failed.number}
        for request in self.next.create:
            goal = (request.plan.step, request.id, request.inputs)
            # One that came after it, and that the status does not know of yet, was asked for and may need another.
            assert goal != (failed.step, failed.id, failed.pod_template_hash) or goal[:2] in since

    def comes_to_rest(self) -> None:
        """Looked at again and again with nothing else happening, it writes no more, as seconds go by either."""
        twin = self.twin()
        for _ in range(3):
            looks = twin.rest()
            twin.clock += timedelta(seconds=1)
        assert looks <= 1

    def ends_well(self) -> None:
        """Where all goes well from here on, it ends ready, or says what it waits for."""
        twin = self.twin()
        twin.all_goes_well()
        if twin.gone or twin.status is None:
            return
        conditions = {c.type: c for c in twin.status.conditions}
        done = conditions["Ready"].status == "True" or conditions["Stalled"].status == "True"
        assert done or twin.spec.suspend, conditions
        twin.ends_ready_where_a_person_helps()

    def ends_ready_where_a_person_helps(self) -> None:
        """Without a pin, a suspension or anything that is not allowed, a few retries bring every spec to its end."""
        assert self.status is not None
        self.allowed = self.readable = True
        self.spec = self.spec.model_copy(update={"pinned_run": None, "suspend": False})
        self.generation += 1
        if self.deleted or problem(self.spec.schedule, self.now):
            return
        for _ in range(MOST_RETRIES):
            self.all_goes_well()
            if self.status.is_true("Ready"):
                return
            self.clock += timedelta(minutes=1)
            self.retry = self.now
        raise AssertionError(f"no retry helps: {self.status.conditions}")

    def twin(self) -> "Life":
        """The same life, which may go on otherwise."""
        other = copy(self)
        other.jobs, other.plans = dict(self.jobs), dict(self.plans)
        return other

    def rest(self) -> int:
        """Looks until nothing is to be written; how often it did."""
        for looks in range(MOST_LOOKS):
            if self.gone:
                return looks
            if not self.apply(self.view(), self.decided()):
                return looks + 1
        raise AssertionError(f"it does not come to rest: {self.decided()}")
