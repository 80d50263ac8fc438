"""Simulates the life of a TweetModel: users, nodes, clocks and crashes act on the cluster around the pure `decide`.

`ACTIONS` lists everything that may happen, `INVARIANTS` lists properties that hold after each action. The random walks
in `test_random_walks.py` draw sequences of actions.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from fakes.observed_cluster import ALL_WRITES, ObservedCluster
from fakes.trainer import successful_report
from makers import JobMaker, dataset, failure, model, spec
from tweetmodel_api.identities import generation_hash, publish_hash
from tweetmodel_api.reasons import PERMANENT_EXIT_CODES, Reason
from tweetmodel_api.report import Report
from tweetmodel_api.status import TweetModelStatus
from tweetmodel_api.steps import STEP_KINDS
from tweetmodel_operator.decide.schedule import find_error
from tweetmodel_operator.decision import Decision
from tweetmodel_operator.observed import Freshness, Observed, ObservedJob, PolicyResult

HOURLY = {"cron": "0 * * * *", "minNewPosts": 10}
HUB = {"huggingFace": {"secretRef": {"name": "hub"}}}
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"training": {"epochs": 9}},
    {"gpus": 0},
    {"generation": {"temperature": "0.5"}},
    {"generation": {"temperature": "0.5"}, "publish": HUB},
    {"storage": {"uri": "s3://bucket/models", "secretRef": {"name": "other"}}},
    {"schedule": HOURLY},
    {"schedule": HOURLY | {"concurrencyPolicy": "Replace"}, "training": {"warmStart": True}},
    {"schedule": HOURLY, "sources": [{"handle": "bob", "archive": {"uri": "s3://bucket/bob.zip"}}]},
    {"schedule": HOURLY, "generation": {"temperature": "0.5"}},
    {"queueName": "gpus"},
    {"deletionPolicy": "Delete"},
    {"publish": HUB},
    {"reportTo": {"tensorBoard": {}}},
    {"schedule": HOURLY, "publish": HUB},
    {"training": {"warmStart": True}, "publish": HUB},
    {"schedule": {"cron": "61 * * * *"}},
)
SPECS = tuple(spec(**change) for change in CHANGES)
START = datetime.fromisoformat("2026-11-23T00:00:00Z")
FINISHED = ("Succeeded", "NotImproved")
POSTS = (1000, 1005, 1020)
LOSSES = ("3.0", "3.1", "2.9")
VIOLATION = "spec.gpus 1 is more than the 0 that this cluster allows"
MAX_RECONCILES = 12
MAX_RETRIES = 4
MAX_JOBS = 8


def can_run(job: ObservedJob) -> bool:
    """Return whether pods of a Job can run, on a responsive node."""
    return job.is_active and not (job.is_suspended or is_on_lost_node(job))


def may_write(job: ObservedJob) -> bool:
    """Return whether a pod of a Job may still be running."""
    return not job.is_finished and bool(job.pods) and job.pods[-1].exit_code is None


def is_on_lost_node(job: ObservedJob) -> bool:
    return may_write(job) and job.pods[-1].node_unreachable


Method = Callable[["Simulation"], None]


class Action(NamedTuple):
    """Something that may happen while its precondition holds."""

    run: Method
    is_possible: Callable[["Simulation"], bool]


ACTIONS: list[Action] = []
INVARIANTS: list[Method] = []


def action(is_possible: Callable[["Simulation"], bool] = lambda _: True) -> Callable[[Method], Method]:
    def register(method: Method) -> Method:
        ACTIONS.append(Action(method, is_possible))
        return method

    return register


def invariant(method: Method) -> Method:
    INVARIANTS.append(method)
    return method


class Simulation(ObservedCluster):
    """A TweetModel in a cluster, with an operator."""

    def __init__(self, choose: Callable[[Sequence[Any]], Any]) -> None:
        self.choose = choose
        self.specs = [choose(SPECS) for _ in range(3)]
        """Specs of this simulation: few, so that a walk often returns to an earlier spec."""
        super().__init__(self.specs[0], START)
        self.stored: dict[str, str] = {}
        """Runs whose model is in the bucket, with the generation hash of the stored samples."""
        self.operator_runs = self.cluster_has_room = True
        self.has_started = False
        self.finished_runs: dict[str, str] = {}
        self.last_outcomes: dict[str, str] = {}
        self.last_due_time = ""
        self.latest_time = START
        self.next = Decision()
        """The next decision of the operator, for the invariants."""
        self._memo: tuple[Observed, PolicyResult, datetime, Decision] | None = None

    def decide_live(self) -> Decision:
        """Decide about a live observation; the last decision is reused while nothing has changed."""
        if self.is_gone:
            return Decision()
        observed = self.observe()
        if self._memo is None or self._memo[:3] != (observed, self.policy, self.clock):
            self._memo = (observed, self.policy, self.clock, self.decide(observed))
        return self._memo[3]

    def apply(self, observed: Observed, decision: Decision, max_writes: int = ALL_WRITES) -> int:
        """Write as `apply.py` does, after a check that a new active step of the status has a Job."""
        before = observed.active_step()
        steps = decision.status.steps if decision.status else ()
        active = next((step for step in steps if step.outcome == "Active"), None)
        if active and active != before:
            unfinished = [job.name for job in self.jobs.values() if not job.is_finished]
            assert active.job in [*unfinished, *(request.name for request in decision.create)]
            assert active.job not in self.jobs or active.job in unfinished
        return super().apply(observed, decision, max_writes)

    def _change_pod(self, job: ObservedJob, **facts: Any) -> None:
        """Change the newest pod of a Job."""
        self.jobs[job.name] = replace(job, pods=(*job.pods[:-1], replace(job.pods[-1], **facts)))

    def _unfinished(self) -> list[ObservedJob]:
        return [job for job in self.jobs.values() if not job.is_finished]

    def _remaining(self) -> list[ObservedJob]:
        """Return the active Jobs without those to be deleted next."""
        return [job for job in self.jobs.values() if job.is_active and job.name not in self.next.delete]

    def _pick(self, which: Callable[[ObservedJob], bool]) -> list[ObservedJob]:
        """Return a random matching Job in a list, or an empty list."""
        matching = sorted(filter(which, self.jobs.values()), key=lambda job: job.name)
        return [self.choose(matching)] if matching else []

    def take(self, action: Action) -> None:
        """Take an action, let operator and cluster work, and check all invariants."""
        action.run(self)
        self.work()
        self.next = self.decide_live()
        for check in INVARIANTS:
            check(self)

    def work(self) -> None:
        """Let a running operator reconcile once, and let pods start if there is room."""
        if self.operator_runs and not self.is_gone:
            self.reconcile()
        for job in [job for job in self.jobs.values() if can_run(job) and not may_write(job)]:
            if self.cluster_has_room:
                self.start_pod(job.name)

    # Actions

    @action()
    def stop_or_start_operator(self) -> None:
        self.operator_runs = not self.operator_runs

    @action()
    def fill_or_empty_cluster(self) -> None:
        self.cluster_has_room = not self.cluster_has_room

    @action(lambda self: not self.is_gone)
    def reconcile(self) -> None:
        """Reconcile as `reconcile.py`: by the cache if harmless, else by a live read."""
        observed = self.observe(Freshness.CACHED)
        decision = self.decide(observed) if len(observed.jobs) < len(self.jobs) else self.decide_live()
        if decision.requires_live_read(observed):
            observed, decision = self.observe(), self.decide_live()
        self.apply(observed, decision)

    @action(lambda self: not self.is_gone)
    def crash_between_writes(self) -> None:
        self.apply(self.observe(), self.decide_live(), max_writes=self.choose(range(4)))

    @action(lambda self: self.deleted_at is None)
    def edit_spec(self) -> None:
        """Change the spec, perhaps while the operator acts on the previous one."""
        observed = self.observe()
        self.edit(self.choose(self.specs).model_copy(update={"suspend": self.spec.suspend}))
        if self.choose((False, True)):
            self.apply(observed, self.decide(observed))

    @action(lambda self: self.deleted_at is None)
    def suspend_or_resume(self) -> None:
        self.edit(self.spec.model_copy(update={"suspend": not self.spec.suspend}))

    @action()
    def allow_or_forbid(self) -> None:
        self.violation = "" if self.violation else VIOLATION

    @action(lambda self: self.deleted_at is None)
    def make_spec_readable_or_unreadable(self) -> None:
        """Install an operator of another version, or the previous one."""
        self.spec_is_readable = not self.spec_is_readable
        self.version += 1

    @action(lambda self: self.deleted_at is None)
    def pin_run(self) -> None:
        runs = [run.id for run in self.status.runs] if self.status else []
        self.edit(self.spec.model_copy(update={"pinned_run": self.choose([None, *runs])}))

    @action(lambda self: not self.is_gone)
    def request_retry(self) -> None:
        self.retry = self.now
        self.version += 1

    @action(lambda self: self.deleted_at is None)
    def delete_tweetmodel(self) -> None:
        if self.choose(range(10)) != 7:  # rarely, since little happens afterwards
            return
        self.deleted_at = self.clock
        self.generation += 1
        self.version += 1
        self.is_gone = not self.has_finalizer

    @action()
    def let_time_pass(self) -> None:
        self.clock += timedelta(minutes=self.choose((1, 31, 240)))

    @action(lambda self: bool(self.status and self.status.schedule and self.status.schedule.next_time))
    def reach_due_time(self) -> None:
        due = (self.status and self.status.schedule and self.status.schedule.next_time) or self.now
        self.clock = max(self.clock, datetime.fromisoformat(due))
        self.finish_everything_for_a_while()

    @action()
    def set_clock(self) -> None:
        self.clock += timedelta(minutes=self.choose((-3000, -240, -31, -1, 3000, 600_000)))

    @action()
    def finish_everything_for_a_while(self) -> None:
        self.finish_everything(self.choose(POSTS), self.choose(LOSSES))

    def finish_everything(self, posts: int = POSTS[0], loss: str = LOSSES[0]) -> None:
        """Let deleted Jobs end, queues admit and Jobs succeed until no work is left."""
        for job in filter(is_on_lost_node, list(self.jobs.values())):
            self.jobs[job.name] = replace(job, pods=())
        for _ in range(MAX_JOBS):
            self.reconcile_until_idle()
            self.jobs = {name: job for name, job in self.jobs.items() if not job.is_deleting}
            self.reconcile_until_idle()
            is_held = self.spec.suspend and self.deleted_at is None
            remaining = [job for job in self._unfinished() if not (is_held and job.is_suspended)]
            if not remaining or self.is_gone:
                return
            for job in remaining:
                self._succeed(replace(job, is_suspended=False), posts, loss)
        raise AssertionError("the operator creates Jobs without end")

    def _succeed(self, job: ObservedJob, posts: int, loss: str) -> None:
        self.jobs[job.name] = job
        if self._lacks_model(job):
            self.fail_job(job.name, 66, failure(Reason.RUN_MISSING))
            return
        self._store(job)
        self.complete_job(job.name, self._report(job, posts, loss))

    def _store(self, job: ObservedJob) -> None:
        """Store model and samples of a step; a finished run is not trained again."""
        wanted = generation_hash(self.plans[job.name].spec)
        if job.step == "sample" or (job.step == "train" and job.step_id not in self.stored):
            self.stored = self.stored | {job.step_id: wanted}

    def _report(self, job: ObservedJob, posts: int, loss: str) -> Report:
        plan = self.plans[job.name]
        if plan.run is None:
            collected = dataset(digest=f"{posts:064x}", kept=posts, new_posts=posts - 1000)
            return successful_report(plan, posts=collected)
        digest = f"{job.step_id:0>64}"
        return successful_report(plan, loss=loss, generation_hash=self.stored[job.step_id], digest=digest)

    def _lacks_model(self, job: ObservedJob) -> bool:
        """Return whether the model for a step is missing from the bucket."""
        plan = self.plans[job.name]
        if job.step in ("collect", "purge") or job.step_id in self.stored:
            return False
        if job.step in ("sample", "publish"):
            return True
        stored = {model(run).uri for run in self.stored}
        return plan.initial_model is not None and plan.initial_model.uri not in stored

    @action(lambda self: bool(self.stored))
    def delete_run_from_bucket(self) -> None:
        gone = self.choose(sorted(self.stored))
        self.stored = {run: stored for run, stored in self.stored.items() if run != gone}

    @action()
    def lose_node(self) -> None:
        for job in self._pick(may_write):
            self._change_pod(job, node_unreachable=True)

    @action()
    def delete_pod_of_lost_node(self) -> None:
        for job in self._pick(is_on_lost_node):
            self._change_pod(job, deletion_deadline=self.clock)

    @action()
    def recover_node(self) -> None:
        for job in self._pick(is_on_lost_node):
            self._change_pod(job, node_unreachable=False, deletion_deadline=None)

    @action()
    def delete_lost_node(self) -> None:
        for job in self._pick(is_on_lost_node):
            self.jobs[job.name] = replace(job, pods=())

    @action()
    def finish_job(self) -> None:
        for job in self._pick(can_run):
            self._succeed(job, self.choose(POSTS), self.choose(LOSSES))

    @action()
    def fail_pod(self) -> None:
        for job in self._pick(lambda job: can_run(job) and may_write(job)):
            report = failure(Reason.STORAGE_UNREACHABLE) if self.choose((False, True)) else None
            code = self.choose((*map(int, PERMANENT_EXIT_CODES), 75, 137, 143, self.choose(range(1, 256))))
            self._change_pod(job, is_running=False, exit_code=code, exit_reason="Error", report=report)
            if code in PERMANENT_EXIT_CODES:
                self.jobs[job.name] = JobMaker(self.jobs[job.name]).failed(at=self.now).obj()

    @action()
    def deny_publication(self) -> None:
        def can_publish(job: ObservedJob) -> bool:
            return STEP_KINDS[job.step].publishes and can_run(job) and not self._lacks_model(job)

        for job in self._pick(can_publish):
            self._store(job)
            denied = model(job.step_id).model_copy(update={"generation_hash": self.stored[job.step_id]})
            report = failure(Reason.HUB_DENIED).model_copy(update={"model": denied})
            self.fail_job(job.name, 77, report)

    @action()
    def exhaust_retries(self) -> None:
        for job in self._pick(lambda job: can_run(job) and bool(job.pods)):
            self.jobs[job.name] = JobMaker(job).failed("BackoffLimitExceeded", at=self.now).obj()

    @action()
    def delete_pods_with_reports(self) -> None:
        for job in self._pick(lambda _: True):
            self.jobs[job.name] = replace(job, pods=())

    @action()
    def delete_any_job(self) -> None:
        for job in self._pick(lambda _: True):
            self.delete_job(job.name)

    @action()
    def expire_jobs(self) -> None:
        self.jobs = {name: job for name, job in self.jobs.items() if not (job.is_finished and job.has_ttl)}

    @action()
    def finish_deletions(self) -> None:
        self.jobs = {name: job for name, job in self.jobs.items() if not job.is_deleting or is_on_lost_node(job)}

    @action()
    def suspend_or_admit_by_queue(self) -> None:
        for job in self._pick(lambda job: job.is_active and not job.has_suspend_mark):
            self.jobs[job.name] = replace(job, is_suspended=self.choose((False, True)))

    # Invariants

    @invariant
    def at_most_one_active_job_per_id(self) -> None:
        active = [job.step_id for job in self._remaining()] + [
            request.step_id for request in self.next.create if request.name not in self.jobs
        ]
        assert len(active) == len(set(active))
        runs = {job.step_id for job in self._remaining() if job.step not in ("collect", "purge")}
        runs |= {request.step_id for request in self.next.create if request.plan.run}
        assert len(runs) <= 1

    @invariant
    def no_second_writer(self) -> None:
        """No Job is created while another pod may still write for the same collection or run."""
        writing = {job.step_id for job in self.jobs.values() if may_write(job)}
        for request in self.next.create:
            assert request.step_id not in writing

    @invariant
    def no_second_collection(self) -> None:
        """No collection starts while an earlier one may still write to the same folder."""
        collects = [job for job in self.jobs.values() if job.step == "collect" and not job.is_finished]
        assert not collects or all(request.plan.step != "collect" for request in self.next.create)

    @invariant
    def finished_runs_are_not_trained_again(self) -> None:
        done = {run.id for run in self.status.runs if run.model_uri} if self.status else set()
        for request in self.next.create:
            assert request.plan.step != "train" or request.step_id not in done

    @invariant
    def a_new_generation_trains_nothing(self) -> None:
        """A sample step is created only for a run whose samples are outdated."""
        runs = {run.id: run for run in self.next.status.runs} if self.next.status else {}
        for request in self.next.create:
            if request.plan.step == "sample":
                assert runs[request.step_id].generation_hash != generation_hash(request.plan.spec)

    @invariant
    def every_write_changes_something(self) -> None:
        assert not any(self.jobs[name].is_deleting for name in self.next.delete)
        assert all(self.jobs[name].is_suspended != to for name, to in self.next.suspend)
        assert not any(self.jobs[name].has_ttl for name in self.next.set_ttl)
        assert self.next.set_finalizer is None or self.next.set_finalizer != self.has_finalizer
        assert not any(request.name in self.jobs for request in self.next.create)

    @invariant
    def no_default_applies_after_the_first_job(self) -> None:
        self.has_started |= bool(self.status and self.status.steps)
        assert not (self.has_started and self.observe().defaultable_fields)

    @invariant
    def no_job_runs_while_held(self) -> None:
        if self.deleted_at or not self.spec_is_readable:
            return
        suspended = {name for name, to in self.next.suspend if to}
        for job in self._remaining():
            assert not self.violation
            assert not self.spec.suspend or job.is_suspended or job.name in suspended
        assert not self.next.create or not (self.violation or self.spec.suspend)

    @invariant
    def no_job_runs_once_ready(self) -> None:
        if self.deleted_at or self.status is None:
            return
        if self.status.is_true("Ready") and not self.next.has_writes(self.observe()):
            assert not [job for job in self._unfinished() if not job.is_deleting]

    @invariant
    def finalizer_follows_deletion_policy(self) -> None:
        if self.deleted_at is None and self.spec_is_readable:
            change = self.next.set_finalizer
            assert (self.spec.deletion_policy == "Delete") == (self.has_finalizer if change is None else change)

    @invariant
    def finished_runs_stay_finished(self) -> None:
        for run in self.status.runs if self.status else ():
            if self.finished_runs.get(run.id) in FINISHED:
                assert run.outcome in FINISHED
            self.finished_runs[run.id] = run.outcome

    @invariant
    def current_model_is_in_history(self) -> None:
        if self.status and self.status.model:
            assert self.status.model.uri in {run.model_uri for run in self.status.runs}

    def _ready_status(self) -> TweetModelStatus | None:
        """Return an up-to-date status with Ready, else None."""
        if self.status is None or self.status.observed_generation != self.generation:
            return None
        return self.status if self.status.is_true("Ready") else None

    @invariant
    def pinned_model_is_current(self) -> None:
        if (status := self._ready_status()) and self.spec.pinned_run:
            assert status.model
            assert status.model.uri == model(self.spec.pinned_run).uri

    @invariant
    def samples_follow_spec(self) -> None:
        if status := self._ready_status():
            assert status.model
            assert status.model.generation_hash == generation_hash(self.spec)

    @invariant
    def publication_follows_spec(self) -> None:
        status, due = self._ready_status(), publish_hash(self.spec)
        if status and due and not self.spec.pinned_run:
            assert status.model
            assert status.model.publication
            assert status.model.publication.spec_hash == due

    @invariant
    def not_improved_model_is_current_only_by_pin(self) -> None:
        status = self._ready_status()
        if status and status.model and not self.spec.pinned_run:
            assert "NotImproved" not in {run.outcome for run in status.runs if run.model_uri == status.model.uri}

    @invariant
    def pin_changes_no_outcome(self) -> None:
        for run in self.status.runs if self.status and self.spec.pinned_run else ():
            before = self.last_outcomes.get(run.id, run.outcome)
            assert before == run.outcome or before not in FINISHED
        self.last_outcomes = {run.id: run.outcome for run in self.status.runs} if self.status else {}

    @invariant
    def due_times_increase(self) -> None:
        last = (self.status and self.status.schedule and self.status.schedule.last_time) or ""
        self.latest_time = max(self.latest_time, self.clock)
        assert self.last_due_time <= last <= self.latest_time.isoformat().replace("+00:00", "Z")
        self.last_due_time = last

    @invariant
    def failed_attempts_are_not_repeated_unasked(self) -> None:
        failed = [step for step in self.status.steps if step.outcome == "Failed"] if self.status else []
        for step in failed:
            later = {job.step_id for job in self.jobs.values() if job.attempt > step.attempt}
            for request in self.next.create:
                same = (request.step_id, request.pod_template_hash) == (step.id, step.pod_template_hash)
                # A later attempt, which the status does not contain yet, was requested and may need another one.
                assert not same or request.step_id in later

    # Ends of a walk

    def check_idle(self) -> None:
        """Check that repeated reconciles without an action stop writing, also as seconds pass."""
        twin = self.twin()
        for _ in range(3):
            reconciles = twin.reconcile_until_idle()
            twin.clock += timedelta(seconds=1)
        assert reconciles <= 1

    def check_good_end(self) -> None:
        """Check that the TweetModel becomes Ready or Stalled if all Jobs succeed from now on."""
        twin = self.twin()
        twin.finish_everything()
        if twin.is_gone or twin.status is None:
            return
        conditions = {c.type: c for c in twin.status.conditions}
        is_done = conditions["Ready"].status == "True" or conditions["Stalled"].status == "True"
        assert is_done or twin.spec.suspend, conditions
        twin.check_ready_after_help()

    def check_ready_after_help(self) -> None:
        """Check that without pin, suspension and violation a few retries lead to Ready."""
        assert self.status is not None
        self.violation, self.spec_is_readable = "", True
        self.edit(self.spec.model_copy(update={"pinned_run": None, "suspend": False}))
        if self.deleted_at or find_error(self.spec.schedule, self.clock):
            return
        for _ in range(MAX_RETRIES):
            self.finish_everything()
            if self.status.is_true("Ready"):
                return
            self.clock += timedelta(minutes=1)
            self.retry = self.now
        raise AssertionError(f"no retry helps: {self.status.conditions}")

    def twin(self) -> "Simulation":
        """Return a copy of the simulation."""
        other = copy(self)
        other.jobs, other.plans = dict(self.jobs), dict(self.plans)
        return other

    def reconcile_until_idle(self) -> int:
        """Reconcile until nothing is written; return the number of reconciles."""
        for reconciles in range(MAX_RECONCILES):
            if self.is_gone:
                return reconciles
            if not self.apply(self.observe(), self.decide_live()):
                return reconciles + 1
        raise AssertionError(f"the operator does not become idle: {self.decide_live()}")
