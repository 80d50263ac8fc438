"""Records the result of a step in the status: the data set, the current model with its samples, the history of runs."""

from dataclasses import replace
from datetime import datetime

from tweetmodel_api.identities import base_model_hash, collection_id
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_api.status import (
    MAX_SAMPLE_LENGTH,
    MAX_SAMPLES,
    Run,
    TrainedModel,
    TweetModelStatus,
)
from tweetmodel_operator.decide.history import RunHistory
from tweetmodel_operator.decide.steps import Step, StepResult
from tweetmodel_operator.times import format_time


def record_result(
    status: TweetModelStatus, result: StepResult, spec: TweetModelSpec, now: datetime
) -> tuple[TweetModelStatus, StepResult]:
    """Return the status with the result of a step, and the result with its final message."""
    if result.step.name == "collect":
        return _record_dataset(status, result), result
    model = result.state.model
    if result.state.succeeded and model:
        return _record_model(status, result, model, spec, now)
    return _record_incomplete(status, result, model, spec, now), result


def _record_dataset(status: TweetModelStatus, result: StepResult) -> TweetModelStatus:
    dataset = result.state.dataset
    if dataset is None or not result.state.succeeded:
        return status.model_copy(update={"collection": None, "dataset": None})
    history = RunHistory(status.runs).erased(dataset.erased_from)
    changes = {"collection": result.step.id, "dataset": dataset, "runs": history.runs}
    return status.model_copy(update=changes)


def _record_model(
    status: TweetModelStatus, result: StepResult, model: TrainedModel, spec: TweetModelSpec, now: datetime
) -> tuple[TweetModelStatus, StepResult]:
    step, report = result.step, result.state.report
    assert report is not None  # the model is part of the report
    history = _history_with(step, status, spec, now)
    loss_to_improve = _loss_to_improve(step, model)
    if loss_to_improve and float(model.evaluation.loss) >= float(loss_to_improve):
        message = (
            "The current model was kept: the held-out loss of the new model is not lower "
            f"({model.evaluation.loss} instead of {loss_to_improve})."
        )
        not_improved = history.not_improved(step.id, model, now)
        state = replace(result.state, message=message)
        return status.model_copy(update={"runs": not_improved.runs}), replace(result, state=state)
    entry = history.get(step.id)
    if spec.pinned_run and entry and entry.outcome == "NotImproved":
        history = history.not_improved(step.id, model, now)  # a pin makes no model better
    else:
        history = history.succeeded(step.id, model, now)
    samples = tuple(sample[:MAX_SAMPLE_LENGTH] for sample in report.samples[:MAX_SAMPLES])
    return status.model_copy(update={"model": model, "samples": samples, "runs": history.runs}), result


def _loss_to_improve(step: Step, model: TrainedModel) -> str | None:
    """Return the held-out loss to improve: for a warm start the loss before training, on the same posts."""
    if step.baseline_loss is None:
        return None
    return model.evaluation.loss_before if step.initial_model else step.baseline_loss


def _record_incomplete(
    status: TweetModelStatus, result: StepResult, model: TrainedModel | None, spec: TweetModelSpec, now: datetime
) -> TweetModelStatus:
    step, history = result.step, RunHistory(status.runs)
    if result.status and result.status.id == step.id:
        history = _history_with(step, status, spec, now)
        if result.state.outcome == "Failed":
            history = history.failed(step.id, result.status, model, now)
        else:
            history = history.resumed(step.id)
    if result.state.reason is not Reason.RUN_MISSING:
        return status.model_copy(update={"runs": history.runs})
    current = history.current(status.model)
    missing = _missing_models(step)
    changes: dict[str, object] = {"runs": history.without_models(missing).runs}
    if current and (current.id in missing or current.model_uri in missing):
        changes |= {"model": None, "samples": ()}
    return status.model_copy(update=changes)


def _missing_models(step: Step) -> set[str]:
    """Return run id and URI of the model missing in storage: the run's own model, or the initial model."""
    if step.name == "train" and step.initial_model:
        return {step.id, step.initial_model.uri}
    return {step.id}


def _history_with(step: Step, status: TweetModelStatus, spec: TweetModelSpec, now: datetime) -> RunHistory:
    """Return the history with the run of a step."""
    history, dataset = RunHistory(status.runs), status.dataset
    if history.get(step.id):
        return history
    assert dataset is not None  # a new run follows a complete collect step
    run = Run(
        id=step.id,
        dataset_digest=dataset.digest,
        posts=dataset.kept,
        collection_hash=collection_id(spec),
        base_model_hash=base_model_hash(spec),
        initial_model=step.initial_model,
        outcome="Active",
        start_time=format_time(now),
    )
    return history.started(run)
