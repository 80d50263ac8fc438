"""Publishes the model of a finished run on the Hugging Face Hub, if the plan requests it and the criteria allow it."""

import os
import shutil
from pathlib import Path

from tweetmodel_api.identities import publish_hash
from tweetmodel_api.plan import Plan
from tweetmodel_api.report import Report
from tweetmodel_api.spec import Publish
from tweetmodel_api.status import Publication, TrainedModel
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.presentation.artifacts import PAGE_FILE
from tweetmodel_trainer.publishing import hub_repository
from tweetmodel_trainer.publishing.criteria import rejection
from tweetmodel_trainer.run_store import MODEL, PAGE
from tweetmodel_trainer.step_context import StepContext


def publish_model(context: StepContext, report: Report) -> Report:
    """Push the model of a report to the Hub, and return the report with the publication.

    A model that does not meet the criteria is not pushed, and the message contains the reason. The results of the run
    are complete before this stage, so after a failure of the Hub the next attempt only pushes the model.

    Raises:
        Failure: the Hub did not accept the model; the failure contains the model of the report.
    """
    plan, publish, model = context.plan, context.plan.spec.publish, report.model
    if not (publish and model):
        return report
    url = None
    reason = rejection(publish.criteria, model.evaluation, _baseline_loss(plan, model))
    if reason:
        outcome = f"The model was not published: {reason}."
    else:
        url = _push(context, publish, model)
        outcome = f"The model is published at {url}."
    spec_hash = publish_hash(plan.spec, model.generation_hash)
    assert spec_hash is not None
    publication = Publication(spec_hash=spec_hash, url=url)
    published = model.model_copy(update={"publication": publication})
    return report.model_copy(update={"message": f"{report.message} {outcome}", "model": published})


def _baseline_loss(plan: Plan, model: TrainedModel) -> str | None:
    """Return the loss to improve on: after a warm start, the loss of the initial model on the same held-out posts."""
    if plan.baseline_loss and plan.initial_model:
        return model.evaluation.loss_before
    return plan.baseline_loss


def _push(context: StepContext, publish: Publish, model: TrainedModel) -> str:
    context.progress.report(98)
    if not (context.workdir / MODEL).exists():
        context.download("model", model.uri, MODEL)
    if not (context.outputs / PAGE).exists():
        page, results = context.layout.page(context.run), context.layout.results(context.run)
        context.download("page", page, f"{context.outputs.name}/{PAGE}", delete=results)
    folder = assemble_repository(context.workdir / MODEL, context.outputs / PAGE, context.workdir / "hub")
    handles = [source.handle for source in context.plan.spec.sources]
    try:
        return hub_repository.push(folder, publish.hugging_face, handles, context.run)
    except Failure as failure:
        raise Failure(failure.reason, str(failure), model) from None


def assemble_repository(model: Path, page: Path, folder: Path) -> Path:
    """Put the files of a model and its card, preview image and generation settings into a new folder.

    The files of the model are hard links, since weights may be large.

    Args:
        model: folder of the model.
        page: folder of the page; its generation_config.json replaces that of the model.
        folder: target folder.

    Returns:
        The target folder.
    """
    replaced = shutil.ignore_patterns(*(file.name for file in page.iterdir()))
    shutil.copytree(model, folder, ignore=replaced, copy_function=os.link)
    shutil.copytree(page, folder, ignore=shutil.ignore_patterns(PAGE_FILE), dirs_exist_ok=True)
    return folder
