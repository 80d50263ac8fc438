"""The history of runs, with named transitions such as started, superseded, succeeded and failed.

A run enters the history with its first Job. The id of a run depends on its initial model. A recorded run keeps its
initial model, and only a new run starts from the current model; otherwise each warm start would cause another run.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from tweetmodel_api.identities import base_model_hash, collection_id, run_id
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import MAX_RUNS, Run, StepStatus, TrainedModel
from tweetmodel_operator.times import format_time

FINISHED = ("Succeeded", "NotImproved")
"""Outcomes of runs with a trained model."""


@dataclass(frozen=True)
class RunHistory:
    """The last runs, newest first."""

    runs: tuple[Run, ...] = ()

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def get(self, run: str | None) -> Run | None:
        """Return the run with an id, or None."""
        return next((r for r in self.runs if r.id == run), None)

    def current(self, model: TrainedModel | None) -> Run | None:
        """Return the run of the current model, or None."""
        if model is None:
            return None
        return next((run for run in self.runs if run.model_uri == model.uri), None)

    def started(self, run: Run) -> "RunHistory":
        """Return the history with a new run, whose first Job was created."""
        return RunHistory((run, *self.runs))

    def resumed(self, run: str) -> "RunHistory":
        """Return the history with a run active again, unless the run already has a model."""
        entry = self.get(run)
        if entry and entry.outcome in FINISHED:
            return self
        return self._update(run, {"outcome": "Active", "completion_time": None, "failure": None})

    def superseded(self, active_run: str | None, now: datetime) -> "RunHistory":
        """Return the history with all active runs except this run superseded."""
        changes: dict[str, object] = {"outcome": "Superseded", "completion_time": format_time(now)}
        return self._update_all(lambda run: run.outcome == "Active" and run.id != active_run, changes)

    def succeeded(self, run: str, model: TrainedModel, now: datetime) -> "RunHistory":
        """Return the history with a run whose model became the current model."""
        return self._finished(run, "Succeeded", model, now)

    def not_improved(self, run: str, model: TrainedModel, now: datetime) -> "RunHistory":
        """Return the history with a run whose model is no better than the current model."""
        return self._finished(run, "NotImproved", model, now)

    def _finished(self, run: str, outcome: str, model: TrainedModel, now: datetime) -> "RunHistory":
        changes = {"outcome": outcome, "completion_time": self._completion_time(run, now), "failure": None}
        return self._update(run, changes | _model_fields(model))

    def _completion_time(self, run: str, now: datetime) -> str:
        entry = self.get(run)
        return (entry and entry.completion_time) or format_time(now)

    def failed(self, run: str, failure: StepStatus, model: TrainedModel | None, now: datetime) -> "RunHistory":
        """Return the history with a failed run. A run that already succeeded or did not improve keeps its outcome.

        Args:
            run: id of the run.
            failure: the failed step.
            model: model of the run, if only the publication failed.
            now: the time.
        """
        facts = _model_fields(model) if model else {}
        entry = self.get(run)
        if entry and entry.outcome in FINISHED:
            return self._update(run, facts)
        changes = {"outcome": "Failed", "completion_time": self._completion_time(run, now), "failure": failure}
        return self._update(run, changes | facts)

    def without_models(self, missing: Collection[str]) -> "RunHistory":
        """Return the history without the models with these run ids or URIs, which are no longer in storage."""
        return self._update_all(lambda run: run.id in missing or run.model_uri in missing, {"model_uri": None})

    def erased(self, datasets: Collection[str]) -> "RunHistory":
        """Return the history with the runs of these data sets (prefixes) marked as containing erased posts."""
        return self._update_all(lambda run: run.dataset_digest[:16] in datasets, {"contains_erased_posts": True})

    def with_best(self, run: str) -> "RunHistory":
        """Return the history with a NotImproved run changed to Succeeded, because no better model is left."""
        return self._update(run, {"outcome": "Succeeded"})

    def truncated(self, model: TrainedModel | None) -> "RunHistory":
        """Return the last runs; the run of the current model is always among them."""
        kept, dropped = self.runs[:MAX_RUNS], self.runs[MAX_RUNS:]
        current = RunHistory(dropped).current(model)
        return RunHistory((*kept[:-1], current) if current else kept)

    def _update(self, run: str, changes: dict[str, object]) -> "RunHistory":
        return self._update_all(lambda r: r.id == run, changes)

    def _update_all(self, matches: Callable[[Run], bool], changes: dict[str, object]) -> "RunHistory":
        return replace(self, runs=tuple(run.model_copy(update=changes) if matches(run) else run for run in self.runs))


def _model_fields(model: TrainedModel) -> dict[str, object]:
    return {"evaluation": model.evaluation, "model_uri": model.uri, "generation_hash": model.generation_hash}


def has_recipe(run: Run, spec: TweetModelSpec) -> bool:
    """Return whether a run differs from the spec only by posts and initial model: the models are comparable."""
    return run.collection_hash == collection_id(spec) and is_run_of(run, spec, run.dataset_digest)


def is_run_of(run: Run, spec: TweetModelSpec, dataset_digest: str) -> bool:
    """Return whether a run has the id for this spec and data set, with the initial model of the run."""
    return run.dataset_digest == dataset_digest and run.id == run_id(spec, dataset_digest, run.initial_model)


def can_start_from(run: Run, spec: TweetModelSpec) -> bool:
    """Return whether a warm start can begin from the model of a run."""
    return run.base_model_hash == base_model_hash(spec) and not run.contains_erased_posts
