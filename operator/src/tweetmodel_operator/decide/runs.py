"""The history of runs in the status: the last ten, newest first."""

from tweetmodel_api.status import Run, TweetModelStatus
from tweetmodel_operator.decide.stages import Pursuit

MOST = 10


def has_current_model(status: TweetModelStatus, run: str) -> bool:
    """Whether the status already holds this run's model, so that no Job is needed."""
    entry = next((r for r in status.runs if r.id == run), None)
    return bool(entry and entry.outcome == "Succeeded" and status.model and status.model.uri == entry.model_uri)


def record(runs: tuple[Run, ...], pursuit: Pursuit, dataset_digest: str, now: str) -> tuple[Run, ...]:
    """The history with the run of a train pursuit brought up to date and those it overtook marked."""
    if pursuit.attempt is None:
        return runs
    run, verdict = pursuit.goal.id, pursuit.verdict
    old = next((r for r in runs if r.id == run), None)
    if old and old.outcome == "Succeeded" and not verdict.succeeded:
        return runs  # it is published again, or repeated: what it made stays made
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
    others = tuple(
        r.model_copy(update={"outcome": "Superseded", "completion_time": now}) if r.outcome == "Active" else r
        for r in runs
        if r.id != run
    )
    return (current, *others)[:MOST]
