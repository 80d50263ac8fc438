"""Selects the run for a spec and a data set: a new run, a recorded run, the best run, or the pinned run."""

from dataclasses import dataclass

from tweetmodel_api.identities import run_id
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import Dataset, ModelReference, Run, TweetModelStatus
from tweetmodel_operator.decide.history import FINISHED, RunHistory, can_start_from, has_recipe, is_run_of


@dataclass(frozen=True)
class DesiredRun:
    """The run that the spec and the data set call for: a new run, a recorded run, the best run or the pinned run."""

    id: str
    recorded: Run | None = None
    """Entry in the history."""
    initial_model: ModelReference | None = None
    """Initial model of a warm start."""
    baseline_loss: str | None = None
    """Held-out loss that a new model must improve; None if any new model becomes the current model."""
    message: str = ""
    """Why this run was selected instead of a new one; empty if no explanation is needed."""

    @property
    def has_model(self) -> bool:
        """True if the run has a finished model in storage."""
        return self.recorded is not None and self.recorded.model_uri is not None


def select_run(spec: TweetModelSpec, status: TweetModelStatus, dataset: Dataset) -> DesiredRun:
    """Return the desired run for a spec and a data set, according to the recorded history."""
    history = RunHistory(status.runs)
    recorded = _recorded_run(spec, status, dataset)
    current = _comparable_run(spec, status)
    best = _best_run(spec, history) or current
    if best and _is_not_improved(recorded):
        return _reuse(best)
    if best and best != current and _is_not_improved(current):
        return _reuse(best)  # a new model must improve on the best model, not on the current one
    initial_model = recorded.initial_model if recorded else _warm_start(spec, status, dataset)
    run = run_id(spec, dataset.digest, initial_model)
    baseline = current if spec.schedule else None
    if baseline and not history.get(run) and (message := _too_few_new_posts(spec, dataset)):
        return _reuse(baseline, message)
    baseline_loss = None
    if baseline and baseline.id != run and baseline.evaluation:
        baseline_loss = baseline.evaluation.loss
    return DesiredRun(run, recorded, initial_model, baseline_loss)


def pinned_run(spec: TweetModelSpec, status: TweetModelStatus) -> DesiredRun | None:
    """Return the run of spec.pinnedRun, or None without a pin."""
    if spec.pinned_run is None:
        return None
    message = f"Run {spec.pinned_run} is pinned by spec.pinnedRun."
    if spec.cleaning.erase:
        message += " New entries of cleaning.erase take effect after the pin is removed."
    run = RunHistory(status.runs).get(spec.pinned_run)
    return DesiredRun(spec.pinned_run, run, message=message)


def pin_error(spec: TweetModelSpec, status: TweetModelStatus) -> str:
    """Return why spec.pinnedRun is invalid, as a sentence without a full stop; empty if valid."""
    with_model = [run.id for run in status.runs if run.outcome in FINISHED or run.model_uri]
    if spec.pinned_run is None or spec.pinned_run in with_model:
        return ""
    what = f"spec.pinnedRun {spec.pinned_run} is not a run with a model in status.runs"
    if not with_model:
        return f"{what} (no run has a model yet): remove the field"
    return f"{what} (runs with a model: {', '.join(with_model)}): correct the field, or remove it"


def baseline_dataset(spec: TweetModelSpec, status: TweetModelStatus) -> str | None:
    """Return the digest of the data set for the count of new posts: the data set of the last trained model."""
    if spec.schedule is None or _comparable_run(spec, status) is None:
        return None
    finished = (run for run in status.runs if run.outcome in FINISHED and has_recipe(run, spec))
    return next((run.dataset_digest for run in finished), None)


def _recorded_run(spec: TweetModelSpec, status: TweetModelStatus, dataset: Dataset) -> Run | None:
    for run in status.runs:
        if is_run_of(run, spec, dataset.digest) and not _has_lost_parent(run, status):
            return run
    return None


def _has_lost_parent(run: Run, status: TweetModelStatus) -> bool:
    """Return whether a run can't be trained because its initial model is missing."""
    if run.initial_model is None or run.model_uri or run.outcome == "Active":
        return False
    if run.outcome == "Failed" and status.model is None:
        return True
    missing = (r for r in status.runs if r.outcome in FINISHED and r.model_uri is None)
    return any(f"/{r.id}/" in run.initial_model.uri for r in missing)


def _comparable_run(spec: TweetModelSpec, status: TweetModelStatus) -> Run | None:
    """Return the run of the current model if trained by the recipe of the spec."""
    current = RunHistory(status.runs).current(status.model)
    return current if current and has_recipe(current, spec) else None


def _best_run(spec: TweetModelSpec, history: RunHistory) -> Run | None:
    """Return the newest successful run of the recipe whose model still exists, or None."""
    for run in history:
        if run.outcome == "Succeeded" and run.model_uri and has_recipe(run, spec):
            return run
    return None


def _is_not_improved(run: Run | None) -> bool:
    return run is not None and run.outcome == "NotImproved"


def _reuse(run: Run, message: str = "") -> DesiredRun:
    return DesiredRun(run.id, run, run.initial_model, message=message)


def _warm_start(spec: TweetModelSpec, status: TweetModelStatus, dataset: Dataset) -> ModelReference | None:
    """Return the current model if a new run can start from it."""
    current = RunHistory(status.runs).current(status.model)
    if not spec.training.warm_start or status.model is None or current is None:
        return None
    if not can_start_from(current, spec) or current.dataset_digest[:16] in dataset.erased_from:
        return None  # the new model would still contain erased posts
    return ModelReference(uri=status.model.uri, digest=status.model.digest)


def _too_few_new_posts(spec: TweetModelSpec, dataset: Dataset) -> str:
    """Return why a scheduled run waits for more posts; empty if there are enough."""
    needed = spec.schedule.min_new_posts if spec.schedule else 0
    if dataset.new_posts is None or dataset.new_posts >= needed:
        return ""
    counts = f"the data set has {dataset.new_posts:,} new posts, and spec.schedule.minNewPosts is {needed:,}"
    return f"The current model was kept: {counts}."
