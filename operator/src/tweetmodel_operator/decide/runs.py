"""The runs of a TweetModel: which one is wanted, whose model is the present one, and the last ten for the status.

A run's identity says what it starts from. So a run that is known keeps its start, and only a new one looks at the
present model; else every warm start would be the reason for the next one.
"""

from dataclasses import replace

from tweetmodel_api.identities import base_model_hash, collection_id, pod_template_hash, publish_hash, run_id
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import MAX_RUNS, Dataset, ModelReference, Run, TrainedModel, TweetModelStatus
from tweetmodel_operator.decide.stages import Goal, Pursuit

MADE_A_MODEL = ("Succeeded", "NotImproved")


def wanted(spec: TweetModelSpec, before: TweetModelStatus, dataset: Dataset, retry: str) -> tuple[Goal, str]:
    """The run to have by this spec and data set, and what there is to say where it is another one's that stays."""
    known = next((r for r in before.runs if _is_of(r, spec, dataset.digest) and not _is_orphan(r, before)), None)
    if put_back := _put_back(spec, before, known, retry):
        return put_back, ""
    start = known.initial_model if known else _start(spec, before, dataset)
    run = run_id(spec, dataset.digest, start)
    incumbent = _incumbent(spec, before)
    if incumbent and not any(r.id == run for r in before.runs) and (told := _too_few_new(spec, dataset)):
        return _kept(incumbent, spec, retry), told
    beat = incumbent.evaluation.loss if incumbent and incumbent.id != run and incumbent.evaluation else None
    done = known is not None and known.model_uri is not None
    inputs = pod_template_hash(
        "train", spec, retry, report_only=bool(known and _is_there(known))
    )  # what the Hub refused may wait
    return Goal("train", run, inputs, start=start, beat=beat, repeat=done, publish=publish_hash(spec)), ""


def _put_back(spec: TweetModelSpec, before: TweetModelStatus, known: Run | None, retry: str) -> Goal | None:
    """The best run of this recipe, where a worse one is asked for or stands in its place; of worse ones the present."""
    ours = _ours(spec, before)
    if not (_is_outdone(known) or _is_outdone(ours)):
        return None
    best = next((r for r in before.runs if _is_there(r) and _is_of_recipe(r, spec)), ours)
    if best is None:
        return None
    goal = _kept(best, spec, retry)
    return None if best == ours and goal.is_published(before.model) else goal


def _kept(run: Run, spec: TweetModelSpec, retry: str) -> Goal:
    """A run of this recipe that is done: its report is wanted, and a publication where the spec asks for one."""
    inputs, publish = pod_template_hash("train", spec, retry, report_only=True), publish_hash(spec)
    return Goal(
        "train", run.id, inputs, start=run.initial_model, dataset=run.dataset_digest, repeat=True, publish=publish
    )


def pinned(spec: TweetModelSpec, retry: str) -> Goal:
    """The run that spec.pinnedRun names: its report alone is wanted, and no publication."""
    inputs = pod_template_hash("train", spec.model_copy(update={"publish": None}), retry, report_only=True)
    return Goal("train", spec.pinned_run or "", inputs, repeat=True)


def problem(spec: TweetModelSpec, before: TweetModelStatus) -> str:
    """Why spec.pinnedRun can't be followed, as a sentence without its end; empty where it can."""
    ended_well = [run.id for run in before.runs if run.outcome in MADE_A_MODEL or run.model_uri]
    if spec.pinned_run is None or spec.pinned_run in ended_well:
        return ""
    there = f"there are {', '.join(ended_well)}" if ended_well else "there is none yet"
    return f"spec.pinnedRun {spec.pinned_run} is no run in status.runs that made a model: {there}"


def known_dataset(spec: TweetModelSpec, before: TweetModelStatus) -> str | None:
    """Digest of the data set that new posts are counted against: the one that a model was trained on last."""
    if not _incumbent(spec, before):
        return None
    return next(r.dataset_digest for r in before.runs if r.outcome in MADE_A_MODEL and _is_of_recipe(r, spec))


def _too_few_new(spec: TweetModelSpec, dataset: Dataset) -> str:
    """Why a scheduled run waits for more posts; empty where it need not."""
    needed = spec.schedule.min_new_posts if spec.schedule else 0
    if dataset.new_posts is None or dataset.new_posts >= needed:
        return ""
    return f"{dataset.new_posts:,} posts are new since a model was trained: the next one is trained at {needed:,}."


def is_settled(spec: TweetModelSpec, before: TweetModelStatus, goal: Goal) -> bool:
    """Whether the status already holds what came of this run, so that no Job is needed."""
    entry = next((run for run in before.runs if run.id == goal.id), None)
    current = _current(before)
    if entry is None or current is None or entry.outcome not in MADE_A_MODEL:
        return False
    stands = _is_of_recipe(current, spec) if _is_outdone(entry) and not spec.pinned_run else entry == current
    return stands and goal.is_published(before.model)


def compared(pursuit: Pursuit, present: TrainedModel | None) -> Pursuit:
    """The pursuit of a scheduled run that has ended: a model that is no better does not become the present one."""
    goal, report = pursuit.goal, pursuit.verdict.report
    if goal.beat is None or not pursuit.verdict.succeeded or not report or not report.model:
        return pursuit
    evaluation = report.model.evaluation
    beat = evaluation.loss_before if goal.start else goal.beat  # of the present model, on the same posts if it may be
    if float(evaluation.loss) < float(beat):
        return pursuit
    told = f"The new model is no better (held-out loss {evaluation.loss}, and {beat} before), so the older one stays."
    verdict = replace(pursuit.verdict, message=told, outdone=True)
    if not goal.is_published(present):  # which follows
        verdict = replace(verdict, outcome="Active", reason=Reason.TRAINING)
    return replace(pursuit, verdict=verdict)


def _is_lost(run: Run, train: Pursuit) -> bool:
    """Whether the model of a run is found missing in storage: where it was wanted itself, or to start from."""
    goal = train.goal
    wanted = {goal.id} if goal.repeat or not goal.start else {goal.id, goal.start.uri}
    return train.verdict.reason is Reason.RUN_MISSING and not wanted.isdisjoint((run.id, run.model_uri))


def present_model(before: TweetModelStatus, train: Pursuit | None) -> TrainedModel | None:
    """The model that was the present one, unless it is found missing."""
    current = _current(before)
    return None if train and current and _is_lost(current, train) else before.model


def record(
    runs: tuple[Run, ...],
    train: Pursuit | None,
    spec: TweetModelSpec,
    dataset: Dataset | None,
    present: TrainedModel | None,
    now: str,
) -> tuple[Run, ...]:
    """The history with the run of a train pursuit brought up to date and those it overtook marked.

    A run is there once it has a Job; while posts are still collected, `train` is None and no run is at work. The run
    of the present model is never forgotten, or nothing could be compared with it.
    """
    run = train.goal.id if train else ""
    marked = tuple(_marked(r, train, spec, dataset, present, now) for r in runs)
    if train is None or train.attempt is None or train.attempt.id != run:
        return marked
    old = next((r for r in marked if r.id == run), None)
    verdict = train.verdict
    model = verdict.report.model if verdict.report else None
    made = {"evaluation": model.evaluation, "model_uri": model.uri} if model else {}
    if old and old.outcome in MADE_A_MODEL and not (verdict.succeeded or verdict.outdone):
        # It is published again, or repeated: what it made stays made.
        return tuple(r.model_copy(update=made) if r.id == run else r for r in marked)
    ended = verdict.outdone or verdict.outcome != "Active"
    known = old or Run(
        id=run,
        dataset_digest=dataset.digest if dataset else "",
        posts=dataset.kept if dataset else 0,
        collection_hash=collection_id(spec),
        base_model_hash=base_model_hash(spec),
        initial_model=train.goal.start,
        outcome="Active",
        start_time=now,
    )
    outdone = verdict.outdone or (spec.pinned_run and _is_outdone(old))  # a pin makes no model better
    outcome = "NotImproved" if outdone else verdict.outcome
    completed = (known.completion_time or now) if ended else None
    failure = train.attempt if verdict.outcome == "Failed" else None
    update = {"outcome": outcome, "completion_time": completed, "failure": failure, **made}
    current = known.model_copy(update=update)
    told = tuple(current if r.id == run else r for r in marked) if old else (current, *marked)
    kept = told[:MAX_RUNS]
    last = next((r for r in told[MAX_RUNS:] if present and r.model_uri == present.uri), None)
    return (*kept[:-1], last) if last else kept


def _marked(
    run: Run,
    train: Pursuit | None,
    spec: TweetModelSpec,
    dataset: Dataset | None,
    present: TrainedModel | None,
    now: str,
) -> Run:
    """A run of the history with what others, storage and cleaning.erase have made of it."""
    if run.outcome == "Active" and not (train and train.goal.id == run.id):
        return run.model_copy(update={"outcome": "Superseded", "completion_time": now})
    if dataset and run.dataset_digest[:16] in dataset.erased_from:
        run = run.model_copy(update={"contains_erased_posts": True})
    if train and run.model_uri and _is_lost(run, train):
        return run.model_copy(update={"model_uri": None})
    stays = train and (train.settled or train.verdict.outdone) and not spec.pinned_run
    if stays and _is_outdone(run) and present and run.model_uri == present.uri:
        return run.model_copy(update={"outcome": "Succeeded"})  # the better one is gone
    return run


def _is_orphan(run: Run, before: TweetModelStatus) -> bool:
    """Whether it can't be made any more, because the model that it was to start from is gone."""
    if run.initial_model is None or run.model_uri or run.outcome == "Active":
        return False
    gone = (r for r in before.runs if r.outcome in MADE_A_MODEL and r.model_uri is None)
    lost = any(f"/{r.id}/" in run.initial_model.uri for r in gone)
    return lost or (run.outcome == "Failed" and before.model is None)


def _is_there(run: Run) -> bool:
    """Whether it made a better model than those before it, which nobody has found missing since."""
    return run.outcome == "Succeeded" and run.model_uri is not None


def _is_outdone(run: Run | None) -> bool:
    return run is not None and run.outcome == "NotImproved"


def _is_of(run: Run, spec: TweetModelSpec, dataset_digest: str) -> bool:
    return run.dataset_digest == dataset_digest and run.id == run_id(spec, dataset_digest, run.initial_model)


def _is_of_recipe(run: Run, spec: TweetModelSpec) -> bool:
    """Whether a run differs from what the spec asks for by its posts and start alone: such models can be compared."""
    return run.collection_hash == collection_id(spec) and _is_of(run, spec, run.dataset_digest)


def _current(before: TweetModelStatus) -> Run | None:
    """The run of the present model."""
    return next((run for run in before.runs if before.model and run.model_uri == before.model.uri), None)


def _start(spec: TweetModelSpec, before: TweetModelStatus, dataset: Dataset) -> ModelReference | None:
    """What a new run starts from, if that is not the base."""
    current = _current(before)
    if (
        not spec.training.warm_start
        or not before.model
        or not current
        or current.base_model_hash != base_model_hash(spec)
    ):
        return None
    if current.contains_erased_posts or current.dataset_digest[:16] in dataset.erased_from:
        return None  # what was forgotten would live on in it
    return ModelReference(uri=before.model.uri, digest=before.model.digest)


def _ours(spec: TweetModelSpec, before: TweetModelStatus) -> Run | None:
    """The run of the present model, where it is of this recipe."""
    current = _current(before)
    return current if current and _is_of_recipe(current, spec) else None


def _incumbent(spec: TweetModelSpec, before: TweetModelStatus) -> Run | None:
    """The same, where a schedule looks for a better one."""
    return _ours(spec, before) if spec.schedule else None
