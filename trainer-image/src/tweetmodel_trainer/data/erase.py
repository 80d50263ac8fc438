"""Erases posts from the data sets in storage.

A data set with an erased post is deleted as a whole, since a remainder would not match the digest. A tombstone stays in
the folder. Every later collection reports the tombstones, so the operator marks the runs of deleted data sets even if a
report was lost. Erasure precedes the reading of sources, and does not depend on the sources.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tweetmodel_api.layout import MANIFEST, TOMBSTONE, Layout
from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.clean import is_erased
from tweetmodel_trainer.storage import IncompleteFolder, Storage

logger = logging.getLogger(__name__)

TOMBSTONE_TEXT = b"This data set was deleted: it contained a post that must be erased, or was incomplete.\n"


def erase_datasets(cleaning: Cleaning, layout: Layout, workdir: Path, storage: Storage) -> None:
    """Delete the data sets with an erased post, and leave a tombstone in the folder of each.

    Args:
        cleaning: names the posts and accounts to erase.
        layout: folders of the TweetModel.
        workdir: folder for temporary files.
        storage: storage of the TweetModel.

    Raises:
        Failure: the storage fails.
    """
    for name, files in _files_by_dataset(layout, storage).items():
        uri = f"{layout.datasets}/{name}"
        if files != {TOMBSTONE} and _may_contain_erased_post(uri, cleaning, workdir, storage):
            storage.write_object(f"{uri}/{TOMBSTONE}", TOMBSTONE_TEXT)
            storage.delete(uri, keep=TOMBSTONE)
            logger.info("deleted %s: it contained a post that must be erased, or was incomplete", uri)


def find_erased_datasets(digests: Iterable[str], layout: Layout, storage: Storage) -> tuple[str, ...]:
    """Return the folder names of erased data sets, out of the data sets with these digests."""
    files_by_dataset = _files_by_dataset(layout, storage)
    erased = {name for name, files in files_by_dataset.items() if TOMBSTONE in files and MANIFEST not in files}
    return tuple(sorted(erased & {layout.dataset(digest).rpartition("/")[2] for digest in digests}))


def _files_by_dataset(layout: Layout, storage: Storage) -> dict[str, set[str]]:
    """Return the file names of each data set, by the name of the folder."""
    files: dict[str, set[str]] = {}
    for path in storage.names(layout.datasets):
        name, _, file = path.partition("/")
        files.setdefault(name, set()).add(file)
    return files


def _may_contain_erased_post(uri: str, cleaning: Cleaning, workdir: Path, storage: Storage) -> bool:
    """Return whether a data set contains an erased post, or is incomplete and can't be checked."""
    ids, accounts = cleaning.erased_posts, cleaning.erased_accounts
    with TemporaryDirectory(dir=workdir) as folder:
        try:
            storage.download_folder(uri, Path(folder))
        except IncompleteFolder:
            return True
        return any(is_erased(post, ids, accounts) for post in dataset.iter_all_posts(Path(folder)))
