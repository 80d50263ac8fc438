"""Skips the reading of sources that have not changed since the last collection.

A fingerprint contains the version of each source, and is stored together with the digest of the resulting data set. The
data set is verified before reuse. Versions are requested before the sources are read, so the next fingerprint shows a
change during the reading.
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
from tweetmodel_trainer.sources.registry import reader_of
from tweetmodel_trainer.storage import IncompleteFolder, Storage

logger = logging.getLogger(__name__)

FILE = "fingerprint.json"


class SourceFingerprint(Model):
    """All inputs of a data set except the posts."""

    collection: Identifier
    """Hash of sources and cleaning, with the administrator's excluded accounts and the requested retry."""
    software: dict[str, str]
    """Versions of the packages in `dataset.SOFTWARE`."""
    sources: dict[str, str]
    """Version of each source, by handle."""


class _Record(Model):
    """A fingerprint and the resulting data set."""

    fingerprint: SourceFingerprint
    digest: Identifier
    held_out: int
    counts: dict[str, Counts]


def take_fingerprint(plan: Plan, storage: Storage) -> SourceFingerprint | None:
    """Return the fingerprint of the sources now, or None if a source has no version."""
    versions: dict[str, str] = {}
    for source in plan.spec.sources:
        try:
            version = reader_of(source, plan).version(storage)
        except Failure as failure:  # reading the source reports the failure
            logger.info("the version of @%s is unknown: %s", source.handle, failure)
            return None
        if not version:
            return None
        versions[source.handle] = version
    software = {name: metadata.version(name) for name in dataset.SOFTWARE}
    spec = plan.spec.model_copy(update={"cleaning": plan.cleaning})
    return SourceFingerprint(collection=collection_id(spec, plan.retry), software=software, sources=versions)


def reuse_if_unchanged(
    fingerprint: SourceFingerprint, plan: Plan, folder: Path, storage: Storage
) -> dataset.LocalDataset | None:
    """Return the data set of the last collection if the fingerprint is the same, else None.

    Args:
        fingerprint: fingerprint of the sources now.
        plan: plan of the step.
        folder: folder to download the data set to.
        storage: storage of the TweetModel.

    Raises:
        Failure: the storage fails.
    """
    try:
        storage.download_folder(plan.layout.fingerprint, folder / "fingerprint")
        record = _Record.model_validate_json((folder / "fingerprint" / FILE).read_bytes())
        if record.fingerprint != fingerprint:
            return None
        storage.download_folder(plan.layout.dataset(record.digest), folder / "dataset")
    except (IncompleteFolder, FileNotFoundError, ValidationError):  # no record, or a record of another version
        return None
    logger.info("reusing the last data set: no source has changed")
    return dataset.LocalDataset(folder / "dataset", record.digest, record.counts, record.held_out)


def store_fingerprint(
    fingerprint: SourceFingerprint, made: dataset.LocalDataset, plan: Plan, folder: Path, storage: Storage
) -> None:
    """Store a fingerprint with the data set. After a failure the next collection reads all sources again."""
    folder.mkdir()
    record = _Record(fingerprint=fingerprint, digest=made.digest, held_out=made.held_out, counts=made.counts)
    (folder / FILE).write_text(record.model_dump_json(indent=2) + "\n")
    try:
        storage.upload_folder(folder, plan.layout.fingerprint, replace=True)
    except Failure as failure:
        logger.warning("the source fingerprint was not stored (%s): the next collection reads all sources", failure)
