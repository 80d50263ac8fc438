"""Repeats what was collected last where no source has changed since, so that none of them is read again.

A source's version is what its keeper says of it without handing it out: the ETag of a file, the commit of a data set on
the Hub, the digest of another TweetModel's. It is asked for before the source is read, so a change meanwhile is one for
the next look. Where one source has no version (nobody knows what is new at X before it is read), all are read.
"""

import json
import logging
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError

from tweetmodel_api.fields import Identifier, Model
from tweetmodel_api.plan import Plan, collection_id
from tweetmodel_api.report import Report
from tweetmodel_api.spec import Source
from tweetmodel_trainer import web
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.gather import token_of
from tweetmodel_trainer.storage import Storage, Torn

logger = logging.getLogger(__name__)

FILE = "look.json"


class Look(Model):
    """A look at the sources: what a data set comes from, without a post of it."""

    collection: Identifier
    """Sources and cleaning as the spec says them."""
    software: str
    """Version of the trainer, which cleans."""
    versions: dict[str, str]
    """Of each source, by its handle."""
    known: Identifier | None = None
    """The data set that new posts were counted against."""


class _Kept(Model):
    look: Look
    report: Report


def look(plan: Plan, storage: Storage) -> Look | None:
    """What the sources are now; None where one can't say."""
    versions = {}
    for source in plan.spec.sources:
        with suppress(Failure):  # which is told when it is read
            versions[source.handle] = _version(source, plan, storage)
        if not versions.get(source.handle):
            return None
    software = metadata.version("tweetmodel-trainer")
    return Look(collection=collection_id(plan.spec), software=software, versions=versions, known=plan.known)


def _version(source: Source, plan: Plan, storage: Storage) -> str:
    """A source's version; empty where it has none.

    Raises:
        Failure: nobody says.
    """
    if source.x_api:
        return ""
    if source.tweet_model:
        lent = plan.borrowed[source.tweet_model.name]
        return lent.digest if storage.manifest(lent.uri) else ""
    if source.hugging_face:
        from tweetmodel_trainer.sources import hub_dataset  # here, since the Hub's client takes a while to import

        return hub_dataset.version(source.hugging_face, token_of(source))
    file = source.archive or source.s3 or source.https
    assert file is not None
    return storage.version(file.uri) if file.uri.startswith("s3://") else web.version(file.uri)


def repeated(now: Look, plan: Plan, workdir: Path, storage: Storage) -> Report | None:
    """The report of the last look, where it saw the same and its data set is still there."""
    folder = workdir / "look"
    try:
        storage.fetch(plan.layout.look, folder)
        kept = _Kept.model_validate_json((folder / FILE).read_text())
    except (Torn, OSError, ValidationError):  # there was none, or another version wrote it
        return None
    made = kept.report.dataset
    if made is None or kept.look.model_copy(update={"known": now.known}) != now:
        return None
    manifest = storage.manifest(made.uri)
    if manifest is None or not storage.is_whole(made.uri, manifest):
        return None
    if now.known == made.digest:
        made = made.model_copy(update={"new": 0})
    elif now.known != kept.look.known:
        return None
    logger.info("no source has changed since the last look: %s is repeated", made.uri)
    return kept.report.model_copy(update={"dataset": made})


def keep(seen: Look, report: Report, plan: Plan, workdir: Path, storage: Storage) -> None:
    """Remembers what came of a look.

    Raises:
        Failure: the storage refuses or does not answer.
    """
    folder = workdir / "looked"
    folder.mkdir()
    (folder / FILE).write_text(json.dumps(_Kept(look=seen, report=report).wire(), indent=2) + "\n")
    storage.publish(folder, plan.layout.look, replace=True)
