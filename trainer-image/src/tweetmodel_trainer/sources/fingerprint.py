"""Notes what sources were when they were read, so that none of them is read again while all are the same.

A note counts only together with the data set that it speaks of, which is read and verified: what it saves is the
sources. A version is asked for before its source is read, so a change meanwhile is one for the next look.
"""

import logging
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError

from tweetmodel_api.fields import Identifier, Model
from tweetmodel_api.identities import collection_id
from tweetmodel_api.plan import Plan
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.registry import version
from tweetmodel_trainer.storage import IncompleteFolder, Storage

logger = logging.getLogger(__name__)

FILE = "look.json"


class Look(Model):
    """What a data set is made from and by, as far as it can be known without reading a post."""

    collection: Identifier
    """Sources and cleaning as spec and administrator say them, and the retry that was asked for."""
    software: dict[str, str]
    """What reads and cleans, with its versions."""
    sources: dict[str, str]
    """Version of each source, by its handle."""


class _Note(Model):
    """A look, and what came of it."""

    look: Look
    digest: Identifier
    held_out: int
    counts: dict[str, Counts]


def look(plan: Plan, storage: Storage) -> Look | None:
    """What the sources are now; None where one of them can't be known before it is read."""
    versions: dict[str, str] = {}
    for source in plan.spec.sources:
        try:
            versions[source.handle] = version(source, plan, storage)
        except Failure as failure:  # which is the reading's to tell
            logger.info("whether @%s has changed can't be known: %s", source.handle, failure)
            return None
        if not versions[source.handle]:
            return None
    software = {name: metadata.version(name) for name in dataset.SOFTWARE}
    spec = plan.spec.model_copy(update={"cleaning": plan.cleaning})
    return Look(collection=collection_id(spec, plan.retry), software=software, sources=versions)


def repeated(seen: Look, plan: Plan, folder: Path, storage: Storage) -> dataset.LocalDataset | None:
    """The data set of the last look, fetched anew, where that saw the same.

    Raises:
        Failure: the storage refuses or does not answer.
    """
    try:
        storage.fetch(plan.layout.fingerprint, folder / "look")
        note = _Note.model_validate_json((folder / "look" / FILE).read_bytes())
        if note.look != seen:
            return None
        storage.fetch(plan.layout.dataset(note.digest), folder / "dataset")
    except (IncompleteFolder, FileNotFoundError, ValidationError):  # there is none, or another version wrote it
        return None
    logger.info("no source has changed since the last look: its data set is repeated")
    return dataset.LocalDataset(folder / "dataset", note.digest, note.counts, note.held_out)


def keep(seen: Look, made: dataset.LocalDataset, plan: Plan, folder: Path, storage: Storage) -> None:
    """Notes what came of a look; where that fails, the next look reads."""
    folder.mkdir()
    note = _Note(look=seen, digest=made.digest, held_out=made.held_out, counts=made.counts)
    (folder / FILE).write_text(note.model_dump_json(indent=2) + "\n")
    try:
        storage.publish(folder, plan.layout.fingerprint, replace=True)
    except Failure as failure:
        logger.warning("the versions of the sources are not noted: %s", failure)
