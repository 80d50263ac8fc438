"""Takes what cleaning.forget names out of what is kept: pages of the X API, and data sets of earlier times.

The data set just made never has it. An older one that does is deleted whole: a part of it would be no data set. What
was trained on it can't forget, so its name is reported and the status marks those runs as stale.
"""

import json
import logging
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

from tweetmodel_api.layout import Layout
from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer import dataset
from tweetmodel_trainer.clean import is_forgotten
from tweetmodel_trainer.storage import Storage, Torn

logger = logging.getLogger(__name__)


def forget(how: Cleaning, layout: Layout, present: str, workdir: Path, storage: Storage) -> list[str]:
    """Removes the posts wherever they are kept.

    Args:
        how: names posts and accounts.
        layout: of the TweetModel.
        present: URI of the data set just made.
        workdir: for files on the way.
        storage: where everything lies.

    Returns:
        Names of the data sets that held one and are deleted now.

    Raises:
        Failure: the storage refuses or does not answer.
    """
    pages = storage.names(layout.raw)
    folders = {layout.raw_x(account) for account in how.forgotten_accounts}
    for folder in folders & {f"{layout.raw}/{page.rpartition('/')[0]}" for page in pages}:
        storage.delete(folder)
        logger.info("%s is deleted", folder)
    for uri in (f"{layout.raw}/{page}" for page in pages) if how.forgotten_posts else ():
        if uri.rpartition("/")[0] not in folders:
            with TemporaryDirectory(dir=workdir) as folder:
                _thin(uri, how.forgotten_posts, Path(folder) / "page", storage)
    deleted: list[str] = []
    for name in sorted({path.partition("/")[0] for path in storage.names(layout.datasets)}):
        uri = f"{layout.datasets}/{name}"
        if uri != present and _holds(uri, how, workdir, storage):
            storage.delete(uri)
            deleted.append(name)
            logger.info("%s held forgotten posts and is deleted", uri)
    return deleted


def _thin(uri: str, ids: Collection[str], path: Path, storage: Storage) -> None:
    """Writes a page of posts without some of them; what it covers stays covered, so nobody asks X for them again."""
    storage.download(uri, path)
    with path.open(encoding="utf-8") as lines:
        rows = list(lines)
    kept = [row for row in rows if json.loads(row)["id"] not in ids]
    if len(kept) < len(rows):
        storage.write(uri, "".join(kept).encode())


def _holds(uri: str, how: Cleaning, workdir: Path, storage: Storage) -> bool:
    ids, accounts = how.forgotten_posts, how.forgotten_accounts
    with TemporaryDirectory(dir=workdir) as folder:
        try:
            storage.fetch(uri, Path(folder))
        except Torn:  # half written or half deleted: nobody reads it, and nobody needs it
            return True
        posts = (post for name in (dataset.TRAIN, dataset.EVAL) for post in dataset.lines(Path(folder) / name))
        return any(is_forgotten(post, ids, accounts) for post in posts)
