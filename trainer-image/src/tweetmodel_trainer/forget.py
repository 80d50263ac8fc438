"""Takes posts that cleaning.forget names out of what is kept: pages of the X API, and data sets of earlier times.

The data set just made never has them. An older one that does is deleted whole: a part of it would be no data set. What
was trained on it can't forget, so its name is reported and the status marks those runs as stale.
"""

import json
import logging
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

from tweetmodel_api.layout import Layout
from tweetmodel_trainer import dataset
from tweetmodel_trainer.storage import Storage, Torn

logger = logging.getLogger(__name__)


def forget(ids: Collection[str], layout: Layout, present: str, workdir: Path, storage: Storage) -> list[str]:
    """Removes the posts wherever they are kept.

    Args:
        ids: of the posts.
        layout: of the TweetModel.
        present: URI of the data set just made.
        workdir: for files on the way.
        storage: where everything lies.

    Returns:
        Names of the data sets that held one and are deleted now.

    Raises:
        Failure: the storage refuses or does not answer.
    """
    for name in storage.names(layout.raw):
        with TemporaryDirectory(dir=workdir) as folder:
            _thin(f"{layout.raw}/{name}", ids, Path(folder) / "page", storage)
    deleted: list[str] = []
    for name in sorted({path.partition("/")[0] for path in storage.names(layout.datasets)}):
        uri = f"{layout.datasets}/{name}"
        if uri != present and _holds(uri, ids, workdir, storage):
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


def _holds(uri: str, ids: Collection[str], workdir: Path, storage: Storage) -> bool:
    with TemporaryDirectory(dir=workdir) as folder:
        try:
            storage.fetch(uri, Path(folder))
        except Torn:  # half written or half deleted: nobody reads it, and nobody needs it
            return True
        posts = (post for name in (dataset.TRAIN, dataset.EVAL) for post in dataset.lines(Path(folder) / name))
        return any(post.id in ids for post in posts)
