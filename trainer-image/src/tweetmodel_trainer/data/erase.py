"""Takes what cleaning.erase names out of what is kept: pages of the X API, and data sets of earlier times.

It comes before the sources are read, since it is owed whatever becomes of them. A data set that holds such a post is
deleted whole: a part of it would be no data set. What was trained on it can't forget. So a mark stays in its place, by
which every later collection tells which data sets are gone, and the status marks the runs that learnt from them as
stale, also where a report was lost.
"""

import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tweetmodel_api.layout import MANIFEST, TOMBSTONE, Layout
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.clean import is_erased
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources import x_api
from tweetmodel_trainer.storage import IncompleteFolder, Storage

logger = logging.getLogger(__name__)

MARK = (
    b"This data set held a post that is to be forgotten, or was not whole so that nobody could say, and is deleted.\n"
)
"""In the place of a data set."""


def forget(how: Cleaning, layout: Layout, workdir: Path, storage: Storage) -> None:
    """Removes the posts wherever they are kept, and leaves a mark where a data set held one.

    Args:
        how: names posts and accounts.
        layout: of the TweetModel.
        workdir: for files on the way.
        storage: where everything lies.

    Raises:
        Failure: the storage refuses or does not answer, or a page is damaged.
    """
    for name, files in _datasets(layout, storage).items():
        uri = f"{layout.datasets}/{name}"
        if files != {TOMBSTONE} and _holds(uri, how, workdir, storage):
            storage.write(f"{uri}/{TOMBSTONE}", MARK)
            storage.delete(uri, keep=TOMBSTONE)
            logger.info("%s is deleted: it held a post that is to be forgotten, or was not whole", uri)
    pages = storage.names(layout.raw)
    folders = {layout.raw_x(account) for account in how.erased_accounts}
    for folder in folders & {f"{layout.raw}/{page.rpartition('/')[0]}" for page in pages}:
        storage.delete(folder)
        logger.info("%s is deleted", folder)
    damaged: list[Failure] = []
    for uri in (f"{layout.raw}/{page}" for page in pages) if how.erased_posts else ():
        if uri.rpartition("/")[0] not in folders:
            with TemporaryDirectory(dir=workdir) as folder:
                try:
                    _thin(uri, how.erased_posts, Path(folder), storage)
                except Failure as failure:
                    if failure.reason is not Reason.INVALID_POSTS:
                        raise
                    damaged.append(failure)  # which is no reason for others to keep the post
    if damaged:
        raise damaged[0]


def forgotten(digests: Iterable[str], layout: Layout, storage: Storage) -> tuple[str, ...]:
    """Names of those of these data sets that are gone, because they held a post that is to be forgotten."""
    there = _datasets(layout, storage)
    gone = {name for name, files in there.items() if TOMBSTONE in files and MANIFEST not in files}
    return tuple(sorted(gone & {layout.dataset(digest).rpartition("/")[2] for digest in digests}))


def _datasets(layout: Layout, storage: Storage) -> dict[str, set[str]]:
    """What lies in the folder of each data set, by the folder's name."""
    found: dict[str, set[str]] = {}
    for path in storage.names(layout.datasets):
        name, _, file = path.partition("/")
        found.setdefault(name, set()).add(file)
    return found


def _thin(uri: str, ids: Collection[str], folder: Path, storage: Storage) -> None:
    """Writes a page of posts without some of them; what it covers stays covered, so nobody asks X for them again."""
    posts = x_api.kept(uri, folder, storage)
    left = [post for post in posts if post["id"] not in ids]
    if len(left) < len(posts):
        x_api.keep(left, uri, storage)


def _holds(uri: str, how: Cleaning, workdir: Path, storage: Storage) -> bool:
    ids, accounts = how.erased_posts, how.erased_accounts
    with TemporaryDirectory(dir=workdir) as folder:
        try:
            storage.fetch(uri, Path(folder))
        except IncompleteFolder:  # half written or half deleted: nobody reads it, and nobody can say what was in it
            return True
        posts = (post for name in (dataset.TRAIN, dataset.EVAL) for post in dataset.iter_posts(Path(folder) / name))
        return any(is_erased(post, ids, accounts) for post in posts)
