"""The steps of a TweetModel. Each step runs in a pod of its own and consists of stages.

    collect:  erase posts → compare fingerprints → read sources → clean → split      → data set
    train:    load the base model → tokenize → score → fine-tune → score             → model
              sample → evaluate → write page, card and results                       → report, Hub
    sample:   load the model → sample → evaluate → write page, card and results      → report, Hub
    publish:  load the results                                                       → report, Hub
    purge:    delete the folder of the TweetModel

A finished run is not trained again. A collect step may be repeated: equal posts give an equal data set, and a complete
folder in storage is kept.
"""

import gc
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory

from tweetmodel_api.identities import generation_hash
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report
from tweetmodel_api.status import Dataset
from tweetmodel_api.steps import StepName
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.clean import clean_posts
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.erase import erase_datasets, find_erased_datasets
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.run_store import StoredRun
from tweetmodel_trainer.sources import fingerprint as fingerprints
from tweetmodel_trainer.sources.reader import ReadContext
from tweetmodel_trainer.sources.registry import erase_raw_posts, reader_of
from tweetmodel_trainer.step_context import DATASET, StepContext
from tweetmodel_trainer.storage import IncompleteFolder

logger = logging.getLogger(__name__)


def collect(context: StepContext) -> Report:
    """Read, clean and split the posts of all sources, and upload the data set.

    Raises:
        Failure: a source or the storage failed, or there is too little text.
    """
    plan, workdir, storage = context.plan, context.workdir, context.storage
    storage.check_bucket(plan.layout.root)
    if plan.spec.cleaning.erase:
        erase_datasets(plan.spec.cleaning, plan.layout, workdir, storage)
        erase_raw_posts(plan.spec.cleaning, plan.layout, workdir, storage)
    fingerprint = fingerprints.take_fingerprint(plan, storage)
    local = fingerprints.reuse_if_unchanged(fingerprint, plan, workdir / "last", storage) if fingerprint else None
    if local is None:
        local = _write_dataset(context)
        storage.upload_folder(local.folder, plan.layout.dataset(local.digest))
        if fingerprint:
            fingerprints.store_fingerprint(fingerprint, local, plan, workdir / "fingerprint", storage)
    total = local.total
    new_posts: int | None = None
    erased_from: tuple[str, ...] = ()
    if plan.baseline_dataset:
        new_posts = _count_new_posts(context, local.folder, plan.layout.dataset(plan.baseline_dataset))
    if plan.trained_datasets:
        erased_from = find_erased_datasets(plan.trained_datasets, plan.layout, storage)
    collected = Dataset(
        digest=local.digest,
        uri=plan.layout.dataset(local.digest),
        downloaded=total.downloaded,
        retweets_dropped=total.retweets,
        short_dropped=total.short,
        other_dropped=total.other_dropped,
        kept=total.kept,
        characters=total.characters,
        held_out=local.held_out,
        erased_from=erased_from,
        new_posts=new_posts,
    )
    message = dataset.summary(local.counts)
    return Report(outcome="Succeeded", reason=Reason.SUCCEEDED, message=message, dataset=collected)


def _write_dataset(context: StepContext) -> dataset.LocalDataset:
    """Write the data set of the cleaned posts of all sources."""
    plan = context.plan
    counts: dict[str, Counts] = {}
    posts = _read_posts(context, counts)
    return dataset.write(posts, counts, plan.spec.training.seed, context.workdir / DATASET, plan.cleaning)


def _read_posts(context: StepContext, counts: dict[str, Counts]) -> Iterator[Post]:
    """Yield the cleaned posts of all sources, source by source, and count them by handle."""
    plan, progress = context.plan, context.progress
    for number, source in enumerate(sorted(plan.spec.sources, key=attrgetter("handle"))):
        report_progress = partial(progress.report, 90 * number / len(plan.spec.sources))
        report_progress()
        logger.info("reading the posts of @%s", source.handle)
        counts[source.handle] = Counts()
        with TemporaryDirectory(dir=context.workdir) as folder:
            read_context = ReadContext(Path(folder), context.storage, counts[source.handle], report_progress)
            posts = reader_of(source, plan).read(read_context)
            yield from clean_posts(posts, counts[source.handle], plan.cleaning, source.handle)


def _count_new_posts(context: StepContext, folder: Path, baseline: str) -> int | None:
    """Return the number of posts that are not in the baseline data set; None if the baseline is missing."""
    baseline_folder = context.workdir / "baseline"
    try:
        context.storage.download_folder(baseline, baseline_folder)
    except IncompleteFolder as error:
        logger.warning("the baseline data set is missing (%s): all posts count as new", error)
        return None
    return dataset.count_new_posts(folder, baseline_folder)


def train(context: StepContext) -> Report:
    """Train, sample and publish the model of a run. For a finished run, only update outdated samples and publish.

    Raises:
        Failure: a stage failed.
        Interrupted: the training stopped on request after uploading a checkpoint.
    """
    if context.plan.dataset is None:
        raise Failure(Reason.INTERNAL_ERROR, "the plan of the train step has no data set: report the bug.")
    stored = context.run_store.load(context.workdir)
    if stored:
        return _publish(context, _with_current_samples(context, stored))
    context.download("data set", context.plan.dataset.uri, DATASET)
    with _fast_import():
        from tweetmodel_trainer import model_steps
    return _publish(context, model_steps.train_model(context))


def sample(context: StepContext) -> Report:
    """Draw new samples of a finished run if spec.generation has changed, and publish them. Trains nothing.

    Raises:
        Failure: RunMissing if the run is not in storage, or a stage failed.
    """
    return _publish(context, _with_current_samples(context, _finished_run(context)))


def publish(context: StepContext) -> Report:
    """Publish the model of a finished run, and return its stored report. Needs no PyTorch.

    Raises:
        Failure: RunMissing if the run is not in storage, or a failure of the Hub.
    """
    return _publish(context, _finished_run(context).report)


def purge(context: StepContext) -> Report:
    """Delete the folder of the TweetModel. A missing folder or bucket counts as deleted.

    Raises:
        Failure: the storage failed.
    """
    root = context.layout.root
    try:
        context.storage.delete(root)
    except Failure as failure:
        if failure.reason is not Reason.BUCKET_MISSING:
            raise
    return Report(outcome="Succeeded", reason=Reason.SUCCEEDED, message=f"{root} is deleted.")


STEPS: Mapping[StepName, Callable[[StepContext], Report]] = {
    "collect": collect,
    "train": train,
    "sample": sample,
    "publish": publish,
    "purge": purge,
}


def _finished_run(context: StepContext) -> StoredRun:
    stored = context.run_store.load(context.workdir)
    if stored is None:
        remedy = "no action is needed, since a new run starts"
        if context.plan.spec.pinned_run:
            remedy = "pin another run, or remove spec.pinnedRun"
        message = f"run {context.run} is not in storage any more: {remedy}."
        raise Failure(Reason.RUN_MISSING, message)
    return stored


def _with_current_samples(context: StepContext, stored: StoredRun) -> Report:
    """Return the report of a run, with new samples if the stored samples were drawn with another spec.generation."""
    model = stored.report.model
    if model and model.generation_hash == generation_hash(context.plan.spec):
        logger.info("run %s is finished: its report is repeated", context.run)
        return stored.report
    logger.info("run %s is finished: new samples are drawn, since spec.generation has changed", context.run)
    with _fast_import():
        from tweetmodel_trainer import model_steps
    return model_steps.sample_model(context, stored)


def _publish(context: StepContext, report: Report) -> Report:
    """Publish the model of a report on the Hub if the plan requests it."""
    if not context.plan.publish:
        return report
    from tweetmodel_trainer.publishing.publication import publish_model  # the client of the Hub is slow to import

    return publish_model(context, report)


@contextmanager
def _fast_import() -> Iterator[None]:
    """Disable garbage collection, which takes a fifth of the time of a large import."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
