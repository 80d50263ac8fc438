"""The trainer from end to end: stages are functions from files to files, and here they meet S3 and the report.

    collect:  gather → clean → split                         → data set
    train:    base model → tokens → fine-tune → evaluate → generate → model, results

Results are looked for before they are made: a stage that is run again repeats its report and nothing else.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_api.report import Report, encode
from tweetmodel_api.status import Dataset, TrainedModel
from tweetmodel_trainer import dataset
from tweetmodel_trainer.checkpoints import Checkpoints
from tweetmodel_trainer.clean import Counts, cleaned
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.gather import gather
from tweetmodel_trainer.post import Post
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.storage import Storage, Torn

logger = logging.getLogger(__name__)

REPORT, SAMPLES, METRICS = "report.json", "samples.jsonl", "metrics.jsonl"


def collect(plan: Plan, workdir: Path, storage: Storage, progress: Progress) -> Report:
    """Gathers, cleans and splits the posts of all sources, and publishes the data set.

    Raises:
        Failure: a source, the storage or the amount of text is not what it should be.
    """
    storage.check_bucket(plan.layout.root)
    counts: dict[str, Counts] = {}
    posts = _gather(plan, workdir, storage, progress, counts)
    written = dataset.write(posts, counts, plan.spec.training.seed, workdir / "dataset", plan.spec.cleaning)
    uri = plan.layout.dataset(written.digest)
    storage.publish(written.folder, uri)
    total = written.total
    made = Dataset(
        digest=written.digest,
        uri=uri,
        downloaded=total.downloaded,
        retweets=total.retweets,
        short=total.short,
        other=total.other,
        kept=total.kept,
        characters=total.characters,
        held_out=written.held_out,
    )
    return Report(outcome="Succeeded", reason=Reason.SUCCEEDED, message=dataset.sentence(counts), dataset=made)


def _gather(
    plan: Plan, workdir: Path, storage: Storage, progress: Progress, counts: dict[str, Counts]
) -> Iterator[Post]:
    """The cleaned posts of all sources, one source after the other."""
    for number, source in enumerate(plan.spec.sources):
        progress.say(90 * number / len(plan.spec.sources))
        logger.info("gathering @%s", source.handle)
        counts[source.handle] = Counts()
        with TemporaryDirectory(dir=workdir) as folder:
            yield from cleaned(gather(source, Path(folder), storage), counts[source.handle], plan.spec.cleaning)


def train(plan: Plan, workdir: Path, storage: Storage, progress: Progress, attempt: str) -> Report:
    """Fine-tunes, evaluates and samples the model of a run, and publishes it; or repeats the report of a done one.

    Args:
        plan: with run and data set.
        workdir: an empty folder for files on the way.
        storage: where everything comes from and goes to.
        progress: told on the way.
        attempt: unique to this pod.

    Raises:
        Failure: something is not what it should be.
        Interrupted: a stop was asked for; the latest checkpoint is published.
    """
    if plan.run is None or plan.dataset is None:
        raise Failure(Reason.INTERNAL_ERROR, "the plan names no run and no data set, which training needs.")
    done = _done(plan.layout.results(plan.run), workdir / "done", storage)
    if done:
        logger.info("run %s is done already: its report is repeated", plan.run)
        return done
    try:
        storage.fetch(plan.dataset.uri, workdir / "dataset")
    except Torn as error:
        sentence = f"the data set is not whole ({error}): delete its folder and make the TweetModel anew."
        raise Failure(Reason.SOURCE_MISSING, sentence) from None
    return _train(plan, plan.run, workdir, storage, progress, attempt)


def _done(uri: str, folder: Path, storage: Storage) -> Report | None:
    try:
        storage.fetch(uri, folder)
    except Torn:
        return None
    return Report.model_validate_json((folder / REPORT).read_text())


def _train(plan: Plan, run: str, workdir: Path, storage: Storage, progress: Progress, attempt: str) -> Report:
    # Imported here: torch takes seconds, and neither collecting nor repeating a report needs it.
    from tweetmodel_trainer.learn import learn

    checkpoints = Checkpoints(storage, plan.layout, run, attempt)
    posts, held_out = (dataset.read(workdir / "dataset" / name) for name in (dataset.TRAIN, dataset.EVAL))
    learnt = learn(plan.spec, posts, held_out, storage, checkpoints, workdir, progress)
    uri = plan.layout.model(run)
    manifest = storage.publish(workdir / "model", uri)
    report = Report(
        outcome="Succeeded",
        reason=Reason.SUCCEEDED,
        message=learnt.sentence,
        model=TrainedModel(
            uri=uri,
            digest=manifest.digest,
            evaluation=learnt.evaluation,
            steps=learnt.steps,
            resumed_from_step=learnt.resumed_from_step,
        ),
        samples=tuple(sample.text for sample in learnt.samples),
    )
    results = workdir / "results"
    results.mkdir()
    _write_lines(results / SAMPLES, [asdict(sample) for sample in learnt.samples])
    _write_lines(results / METRICS, learnt.log)
    text = encode(report)
    (results / REPORT).write_text(text)
    storage.publish(results, plan.layout.results(run))
    return Report.model_validate_json(text)


def _write_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
