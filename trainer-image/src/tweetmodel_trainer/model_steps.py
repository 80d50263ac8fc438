"""The train step and the sample step. `pipeline` imports this module late, since PyTorch takes seconds to import.

    train:   train → save the model → sample → evaluate → write page, card and results → upload
    sample:  load the stored model → sample → evaluate → write page, card and results → upload

Both steps share the stages after the training, which depend only on the model, its training result and the posts.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial

from tweetmodel_api.identities import generation_hash
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report
from tweetmodel_api.spec import BaseModelSource, S3Model
from tweetmodel_api.status import MAX_SAMPLES, TrainedModel
from tweetmodel_trainer.evaluation.evaluation_report import EvaluationReport, build_evaluation_report
from tweetmodel_trainer.evaluation.memorization import rank_samples
from tweetmodel_trainer.evaluation.sample import SamplingSettings
from tweetmodel_trainer.evaluation.sampling import draw_samples
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.models.base_model import load_folder
from tweetmodel_trainer.models.device import out_of_gpu_memory_failure, select_device
from tweetmodel_trainer.models.silence import silence_transformers
from tweetmodel_trainer.models.tokens import context_length
from tweetmodel_trainer.presentation.artifacts import PAGE_FILE, write_artifacts
from tweetmodel_trainer.presentation.run_summary import summarize_run
from tweetmodel_trainer.run_store import MODEL, PAGE, RESULTS, StoredRun, json_lines, write_results
from tweetmodel_trainer.step_context import DATASET, StepContext
from tweetmodel_trainer.trackers.events import Results
from tweetmodel_trainer.trackers.lineage import model_of, run_of
from tweetmodel_trainer.trackers.tracking import Tracking
from tweetmodel_trainer.training.loss_log import LossLog
from tweetmodel_trainer.training.result import TrainingResult
from tweetmodel_trainer.training.training_run import LoadedModel, SplitPosts, TrainingRun, texts_by_account

STORAGE_REASONS = (Reason.STORAGE_UNREACHABLE, Reason.ACCESS_DENIED, Reason.BUCKET_MISSING)
"""Failures after which writing the losses would only take more time."""

SAMPLING_MEMORY_ADVICE = "lower generation.maxNewTokens, or use a GPU with more memory"


def train_model(context: StepContext) -> Report:
    """Train the model of a run, upload the model with its first samples, and return the report.

    Raises:
        Failure: a stage failed.
        Interrupted: the training stopped on request after uploading a checkpoint.
    """
    plan, storage = context.plan, context.storage
    base_model = _base_model(context)
    losses = LossLog()
    upload_events = partial(storage.upload_folder, uri=context.layout.tensorboard(context.run), replace=True)
    with Tracking(plan.spec.report_to, run_of(plan), context.workdir / "trackers", upload_events) as tracking:
        posts = SplitPosts.read(context.workdir / DATASET)
        with _losses_uploaded_on_failure(context, losses):
            trained = TrainingRun(context, base_model, posts, [*tracking.callbacks, losses]).run()
            evaluation = evaluate_samples(context, trained, posts)
        stored = context.run_store.load(context.workdir)
        if stored:  # finished by the pod of an earlier attempt
            shutil.rmtree(context.workdir / MODEL)  # the stored model is published
            return stored.report
        uri = context.layout.model(context.run)
        manifest = storage.upload_folder(context.workdir / MODEL, uri, replace=True)
        report = _write_outputs(context, trained, evaluation, manifest.digest)
        context.run_store.upload_outputs(context.outputs)
        samples = [asdict(sample) for sample in evaluation.samples]
        results = Results(model=model_of(plan, uri, manifest.digest), samples=samples)
        # Trackers come last, since an unreachable tracker delays the end by a minute.
        warning = tracking.finish(trained.result.optimizer_steps, evaluation.metrics, results)
    return report.model_copy(update={"message": report.message + warning})


def sample_model(context: StepContext, stored: StoredRun) -> Report:
    """Draw new samples from the stored model of a finished run, replace page and results, and return the new report.

    Raises:
        Failure: the model or the data set is incomplete, or the memory is too small.
    """
    training = stored.training
    context.download("data set", context.layout.dataset(training.dataset_digest), DATASET)
    context.download("model", context.layout.model(context.run), MODEL)
    context.progress.report(10)
    posts = SplitPosts.read(context.workdir / DATASET)
    trained = load_stored_model(context, training)
    evaluation = evaluate_samples(context, trained, posts)
    context.progress.report(90)
    assert stored.report.model is not None  # `RunStore.load` checks the report
    report = _write_outputs(context, trained, evaluation, stored.report.model.digest)
    context.run_store.replace_outputs(context.outputs)
    return report


@out_of_gpu_memory_failure(SAMPLING_MEMORY_ADVICE)
def load_stored_model(context: StepContext, training: TrainingResult) -> LoadedModel:
    """Load the model in the folder `model` of the work folder, onto a GPU if there is one.

    Raises:
        Failure: GPUUnusable if the pod has a GPU that CUDA can't use.
    """
    silence_transformers()
    model, tokenizer, _ = load_folder(context.workdir / MODEL)
    return LoadedModel(model.to(select_device(min(context.plan.spec.gpus, 1))), tokenizer, training)


@out_of_gpu_memory_failure(SAMPLING_MEMORY_ADVICE)
def evaluate_samples(context: StepContext, trained: LoadedModel, posts: SplitPosts) -> EvaluationReport:
    """Draw samples with the seed and the precision of the training, and compare them with the posts."""
    training = trained.result
    trained.convert_to_training_precision()
    samples = draw_samples(trained.model, trained.tokenizer, context.plan.spec.generation, training.settings.seed)
    return build_evaluation_report(
        training.scores,
        training.tokens,
        samples,
        texts_by_account(posts.train),
        [post.text for post in posts.held_out],
    )


def _base_model(context: StepContext) -> BaseModelSource:
    """Return the base model of the run, or the initial model of a warm start.

    Raises:
        Failure: RunMissing if the initial model is missing or changed.
    """
    initial = context.plan.initial_model
    if initial is None:
        return context.plan.spec.base_model
    manifest = context.storage.manifest(initial.uri)
    if manifest is None or manifest.digest != initial.digest:
        message = f"the initial model {initial.uri} is missing or changed: the next run begins without it."
        raise Failure(Reason.RUN_MISSING, message)
    return BaseModelSource(s3=S3Model(uri=initial.uri))


@contextmanager
def _losses_uploaded_on_failure(context: StepContext, losses: LossLog) -> Iterator[None]:
    """Upload the losses so far if the body fails. They are stored outside the results folder, which completes a run."""
    try:
        yield
    except Exception as error:
        is_storage_failure = isinstance(error, Failure) and error.reason in STORAGE_REASONS
        if losses.rows and not is_storage_failure:
            with suppress(Failure):  # the first error is reported
                context.storage.write_object(context.layout.metrics(context.run), json_lines(losses.rows).encode())
        raise


def _write_outputs(context: StepContext, trained: LoadedModel, evaluation: EvaluationReport, digest: str) -> Report:
    """Write page, model card and results into the folder of outputs, and return the report.

    Args:
        context: inputs of the step.
        trained: the model.
        evaluation: evaluation of its samples.
        digest: digest of the model folder in storage.
    """
    page = context.outputs / PAGE
    settings = SamplingSettings.of(context.plan.spec.generation, context_length(trained.model))
    dataset = context.workdir / DATASET
    write_artifacts(summarize_run(context.plan, trained.result, evaluation, settings, dataset), page)
    trained.model.generation_config.save_pretrained(page)
    report = _report(context, trained.result, evaluation, digest)
    return write_results(context.outputs / RESULTS, report, trained.result, evaluation)


def _report(context: StepContext, training: TrainingResult, evaluation: EvaluationReport, digest: str) -> Report:
    return Report(
        outcome="Succeeded",
        reason=Reason.SUCCEEDED,
        message=" ".join(filter(None, (evaluation.message, training.note))),
        model=TrainedModel(
            uri=context.layout.model(context.run),
            digest=digest,
            evaluation=evaluation.status,
            optimizer_steps=training.optimizer_steps,
            resumed_from_step=training.resumed_from_step,
            generation_hash=generation_hash(context.plan.spec),
            page=f"{context.layout.page(context.run)}/{PAGE_FILE}",
        ),
        samples=tuple(sample.text for sample in rank_samples(evaluation.samples, MAX_SAMPLES)),
    )
