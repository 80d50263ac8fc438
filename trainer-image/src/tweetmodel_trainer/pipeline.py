"""The trainer from end to end: stages are functions from files to files, and here they meet S3 and the report.

    collect:  erase → fingerprint → read → clean → split     → data set
    train:    base model → tokens → fine-tune → evaluate → generate → model, page, results → Hub

A run that is done is not trained again: its report is repeated. Collecting again is cheap, and the same posts are
the same data set, so there the folder that is complete already stays.
"""

import gc
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory

from tweetmodel_api.identities import publish_hash
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report, decode, encode
from tweetmodel_api.spec import BaseModelSource, S3Model, TweetModelSpec
from tweetmodel_api.status import MAX_SAMPLES, Dataset, ModelReference, Publication, TrainedModel
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.clean import clean_posts
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.erase import erase_datasets, find_erased_datasets
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.evaluation.memorization import ranked
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.models.cache import NO_CACHE, Cache
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.sources import fingerprint as fingerprints
from tweetmodel_trainer.sources.reader import ReadContext
from tweetmodel_trainer.sources.registry import erase_raw_posts, reader_of
from tweetmodel_trainer.storage import IncompleteFolder, Storage
from tweetmodel_trainer.training.checkpoints import Checkpoints

logger = logging.getLogger(__name__)

OF_STORAGE = (Reason.STORAGE_UNREACHABLE, Reason.ACCESS_DENIED, Reason.BUCKET_MISSING)

REPORT, SAMPLES, METRICS, EVALUATION = "report.json", "samples.jsonl", "metrics.jsonl", "evaluation.json"


def collect(plan: Plan, workdir: Path, storage: Storage, progress: Progress) -> Report:
    """Gathers, cleans and splits the posts of all sources, and publishes the data set.

    Raises:
        Failure: a source, the storage or the amount of text is not what it should be.
    """
    storage.check_bucket(plan.layout.root)
    if plan.spec.cleaning.erase:
        erase_datasets(plan.spec.cleaning, plan.layout, workdir, storage)
        erase_raw_posts(plan.spec.cleaning, plan.layout, workdir, storage)
    fingerprint = fingerprints.take_fingerprint(plan, storage)
    written = fingerprints.reuse_if_unchanged(fingerprint, plan, workdir / "last", storage) if fingerprint else None
    if written is None:
        written = _write(plan, workdir, storage, progress)
        storage.publish(written.folder, plan.layout.dataset(written.digest))
        if fingerprint:
            fingerprints.store_fingerprint(fingerprint, written, plan, workdir / "fingerprint", storage)
    total = written.total
    made = Dataset(
        digest=written.digest,
        uri=plan.layout.dataset(written.digest),
        downloaded=total.downloaded,
        retweets_dropped=total.retweets,
        short_dropped=total.short,
        other_dropped=total.other_dropped,
        kept=total.kept,
        characters=total.characters,
        held_out=written.held_out,
        erased_from=find_erased_datasets(plan.trained_datasets, plan.layout, storage) if plan.trained_datasets else (),
        new_posts=_new(written.folder, plan.layout.dataset(plan.baseline_dataset), workdir, storage)
        if plan.baseline_dataset
        else None,
    )
    return Report(outcome="Succeeded", reason=Reason.SUCCEEDED, message=dataset.summary(written.counts), dataset=made)


def _write(plan: Plan, workdir: Path, storage: Storage, progress: Progress) -> dataset.LocalDataset:
    """Makes the data set from the sources."""
    counts: dict[str, Counts] = {}
    posts = _gather(plan, workdir, storage, progress, counts)
    return dataset.write(posts, counts, plan.spec.training.seed, workdir / "dataset", plan.cleaning)


def _new(folder: Path, known: str, workdir: Path, storage: Storage) -> int | None:
    """Posts of a data set that an earlier one does not have; None where that one is gone."""
    try:
        storage.fetch(known, workdir / "known")
    except IncompleteFolder as error:
        logger.warning("nobody can say which posts are new (%s): all count", error)
        return None
    return dataset.count_new_posts(folder, workdir / "known")


def _gather(
    plan: Plan, workdir: Path, storage: Storage, progress: Progress, counts: dict[str, Counts]
) -> Iterator[Post]:
    """The cleaned posts of all sources, one source after the other."""
    for number, source in enumerate(sorted(plan.spec.sources, key=attrgetter("handle"))):
        report = partial(progress.report, 90 * number / len(plan.spec.sources))
        report()
        logger.info("collecting @%s", source.handle)
        counts[source.handle] = Counts()
        with TemporaryDirectory(dir=workdir) as folder:
            context = ReadContext(Path(folder), storage, counts[source.handle], report)
            posts = reader_of(source, plan).read(context)
            yield from clean_posts(posts, counts[source.handle], plan.cleaning, source.handle)


def train(
    plan: Plan, workdir: Path, storage: Storage, progress: Progress, attempt: str, cache: Cache = NO_CACHE
) -> Report:
    """Fine-tunes, evaluates and samples the model of a run, and publishes it; of a done one it repeats the report.

    Args:
        plan: with run and data set.
        workdir: an empty folder for files on the way.
        storage: where everything comes from and goes to.
        progress: told on the way.
        attempt: unique to this pod.
        cache: base models that were fetched before.

    Raises:
        Failure: something is not what it should be.
        Interrupted: a stop was asked for; the latest checkpoint is published.
    """
    if plan.run is None or (plan.dataset is None and not plan.report_only):
        raise Failure(Reason.INTERNAL_ERROR, "the plan names no run and no data set, which training needs.")
    report = _done(plan, plan.run, workdir / "done", storage)
    if plan.report_only and not report:
        raise Failure(
            Reason.RUN_MISSING, f"run {plan.run} is not in storage any more: pin another one, or none, or retry."
        )
    if not report:
        assert plan.dataset is not None
        _fetch("data set", plan.dataset.uri, workdir / "dataset", storage)
        report = _train(plan, plan.run, workdir, storage, progress, attempt, cache)
    return _publish(plan, report, workdir / "model", storage, progress)


def _fetch(what: str, uri: str, folder: Path, storage: Storage) -> None:
    try:
        storage.fetch(uri, folder)
    except IncompleteFolder as error:
        advice = "delete its folder, and annotate the TweetModel with tweetmodel.dev/retry"
        sentence = f"the {what} is not whole ({error}): {advice}."
        raise Failure(Reason.SOURCE_MISSING, sentence) from None


def _done(plan: Plan, run: str, folder: Path, storage: Storage) -> Report | None:
    """The report of a run whose results and model are there, by whichever pod; None where one is missing."""
    try:
        storage.fetch(plan.layout.results(run), folder)
    except IncompleteFolder:
        return None
    report = decode((folder / REPORT).read_text())
    uri = plan.layout.model(run)
    model = storage.manifest(uri)
    fits = report and report.model and model and model.digest == report.model.digest
    if not (report and model and fits and storage.sizes_match(uri, model)):
        logger.warning("the results of run %s do not fit its model, so it counts as not done", run)
        return None
    logger.info("run %s is done already: its report is repeated", run)
    return report


def _train(
    plan: Plan, run: str, workdir: Path, storage: Storage, progress: Progress, attempt: str, cache: Cache
) -> Report:
    # Imported here: torch takes seconds, and neither collecting nor repeating a report needs it.
    gc.disable()  # imports leave next to no garbage, and looking for it takes a fifth of their time
    from tweetmodel_trainer.presentation import artifacts as showcase
    from tweetmodel_trainer.presentation.run_summary import about
    from tweetmodel_trainer.trackers.events import Results
    from tweetmodel_trainer.trackers.lineage import model_of, run_of
    from tweetmodel_trainer.trackers.tracking import Tracking
    from tweetmodel_trainer.training.learn import learn
    from tweetmodel_trainer.training.metrics import Metrics, plain

    gc.enable()

    checkpoints, metrics = Checkpoints(storage, plan.layout, run, attempt), Metrics()
    spec = _from_start(plan.initial_model, plan.spec, storage) if plan.initial_model else plan.spec
    event_files = partial(storage.publish, uri=plan.layout.tensorboard(run), replace=True)
    with Tracking(spec.report_to, run_of(plan), workdir / "trackers", event_files) as tracking:
        posts, held_out = (dataset.read_posts(workdir / "dataset" / name) for name in (dataset.TRAIN, dataset.EVAL))
        callbacks = [*tracking.callbacks, metrics]
        try:
            learnt = learn(spec, posts, held_out, storage, checkpoints, workdir, progress, cache, callbacks)
        except Exception as error:
            if not (isinstance(error, Failure) and error.reason in OF_STORAGE):  # it would only take longer
                _keep(metrics.so_far, plan.layout.metrics(run), storage)
            raise
        showcase.write(about(plan, workdir / "dataset", learnt), workdir / "model", workdir / "page")
        done = _done(plan, run, workdir / "done-meanwhile", storage)  # by a pod that was thought dead
        if done:
            return done
        assessment, uri, page = learnt.assessment, plan.layout.model(run), plan.layout.page(run)
        manifest = storage.publish(workdir / "model", uri, replace=True)
        storage.publish(workdir / "page", page, replace=True)
        report = Report(
            outcome="Succeeded",
            reason=Reason.SUCCEEDED,
            message=assessment.sentence + learnt.remark,
            model=TrainedModel(
                uri=uri,
                digest=manifest.digest,
                evaluation=assessment.evaluation,
                optimizer_steps=learnt.steps,
                resumed_from_step=learnt.resumed_from_step,
                page=f"{page}/{showcase.PAGE}",
            ),
            samples=tuple(sample.text for sample in ranked(assessment.samples, MAX_SAMPLES)),
        )
        results, samples = workdir / "results", [asdict(sample) for sample in assessment.samples]
        results.mkdir()
        (results / SAMPLES).write_text(_lines(samples))
        (results / METRICS).write_text(_lines(map(plain, learnt.log)))
        (results / EVALUATION).write_text(json.dumps(assessment.to_json(), indent=2) + "\n")
        text = encode(report)
        (results / REPORT).write_text(text)
        storage.publish(results, plan.layout.results(run), replace=True)
        told = Results(model=model_of(plan, uri, manifest.digest), samples=samples)
        missed = tracking.finish(learnt.steps, assessment.figures, told)  # last: a tracker may take a minute to give up
    stored = Report.model_validate_json(text)
    return stored.model_copy(update={"message": stored.message + missed})


def _keep(metrics: Sequence[Mapping[str, float | None]], uri: str, storage: Storage) -> None:
    """Leaves the metrics of a run that failed beside its checkpoints: its results must not look as if it were done."""
    if metrics:
        with suppress(Failure):  # which may be what the run failed by
            storage.write(uri, _lines(metrics).encode())


def _from_start(start: ModelReference, spec: TweetModelSpec, storage: Storage) -> TweetModelSpec:
    """The spec with the model of an earlier run as its base."""
    found = storage.manifest(start.uri)
    if not found or found.digest != start.digest:
        sentence = f"{start.uri}, which it starts from, is gone or changed: the next run goes on without it."
        raise Failure(Reason.RUN_MISSING, sentence)
    return spec.model_copy(update={"base_model": BaseModelSource(s3=S3Model(uri=start.uri))})


def _publish(plan: Plan, report: Report, folder: Path, storage: Storage, progress: Progress) -> Report:
    """Pushes a finished model to the Hub where the spec asks for it and the numbers allow it; tells so in the report.

    It comes after the results: a Hub that refuses or is away costs no training, and the next attempt only pushes.

    Raises:
        Failure: the Hub did not take the model, which the failure tells of.
    """
    publish, asked, model = plan.spec.publish, publish_hash(plan.spec), report.model
    if not (publish and asked and model and plan.run):
        return report
    from tweetmodel_trainer.publishing import criteria as gate  # the Hub's client takes a while to import
    from tweetmodel_trainer.publishing import hub_repository as hub

    beat = model.evaluation.loss_before if plan.baseline_loss and plan.initial_model else plan.baseline_loss
    why_not, url = gate.rejection(publish.criteria, model.evaluation, beat), None
    if not why_not:
        progress.report(98)
        if not folder.exists():
            _fetch("model", model.uri, folder, storage)
        try:
            url = hub.push(folder, publish.hugging_face, [source.handle for source in plan.spec.sources], plan.run)
        except Failure as failure:
            raise Failure(failure.reason, str(failure), model) from None
    told = f"It was not published: {why_not}." if why_not else f"It is published at {url}."
    published = model.model_copy(update={"publication": Publication(spec_hash=asked, url=url)})
    return report.model_copy(update={"message": f"{report.message} {told}", "model": published})


def purge(plan: Plan, storage: Storage) -> Report:
    """Deletes everything that the TweetModel has in its bucket; what is gone already is as good.

    Raises:
        Failure: the storage refuses or does not answer.
    """
    try:
        storage.delete(plan.layout.root)
    except Failure as failure:
        if failure.reason is not Reason.BUCKET_MISSING:
            raise
    return Report(outcome="Succeeded", reason=Reason.SUCCEEDED, message=f"{plan.layout.root} is deleted.")


def _lines(rows: Iterable[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
