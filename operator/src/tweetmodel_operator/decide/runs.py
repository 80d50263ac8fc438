"""The history of runs in the status: the last ten, newest first."""

from tweetmodel_api.status import Run, TweetModelStatus
from tweetmodel_operator.decide.stages import Pursuit

MOST = 10


def has_current_model(status: TweetModelStatus, run: str) -> bool:
    """Whether the status already holds this run's model, so that no Job is needed."""
    entry = next((r for r in status.runs if r.id == run), None)
    return bool(entry and entry.outcome == "Succeeded" and status.model and status.model.uri == entry.model_uri)


def record(runs: tuple[Run, ...], train: Pursuit | None, dataset_digest: str, now: str) -> tuple[Run, ...]:
    """The history with the run of a train pursuit brought up to date and those it overtook marked.

    A run is there once it has a Job; while posts are still collected, `train` is None and no run is at work.
    """
    run = train.goal.id if train else ""
    marked = tuple(
        r.model_copy(update={"outcome": "Superseded", "completion_time": now})
        if r.outcome == "Active" and r.id != run
        else r
        for r in runs
    )
    if train is None or train.attempt is None or train.attempt.id != run:
        return marked
    old = next((r for r in runs if r.id == run), None)
    verdict = train.verdict
    if old and old.outcome == "Succeeded" and not verdict.succeeded:
        return marked  # it is published again, or repeated: what it made stays made
    model = verdict.report.model if verdict.report else None
    ended = verdict.outcome != "Active"
    current = Run(
        id=run,
        dataset_digest=dataset_digest,
        outcome=verdict.outcome,
        start_time=old.start_time if old else now,
        completion_time=((old.completion_time if old else None) or now) if ended else None,
        loss=model.evaluation.loss if model else None,
        model_uri=model.uri if model else None,
    )
    return (current, *(r for r in marked if r.id != run))[:MOST]
