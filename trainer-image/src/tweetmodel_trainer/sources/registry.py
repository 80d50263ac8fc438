"""Fetches what a source names and hands it to the reader of its kind."""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from tweetmodel_api.credentials import SOURCE_PREFIX
from tweetmodel_api.plan import DatasetReference, Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Source
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources import download as web
from tweetmodel_trainer.sources import x_api
from tweetmodel_trainer.sources.formats import posts_file as posts
from tweetmodel_trainer.sources.formats import x_archive as archive
from tweetmodel_trainer.storage import IncompleteFolder, Storage

logger = logging.getLogger(__name__)


def gather(
    source: Source, plan: Plan, folder: Path, storage: Storage, tell: Callable[..., None], counts: Counts
) -> Iterator[Post]:
    """The posts of one source, as they were written; at least one, where its spec says which rows are read.

    Args:
        source: what to read.
        plan: whose source it is.
        folder: an empty folder, for files on the way.
        storage: where s3:// URIs lie.
        tell: told numbers by name on the way, for the progress.
        counts: of the source, for what only its reader knows.

    Raises:
        Failure: the source is missing, refused, unreachable or not what it should be.
    """
    rows = source.s3 or source.https or source.hugging_face
    found = _read(source, plan, folder, storage, tell, counts)
    return _chosen(found, source.handle, rows.where) if rows and rows.where else found


def _chosen(found: Iterator[Post], handle: str, where: Mapping[str, str]) -> Iterator[Post]:
    first = next(found, None)
    if first is None:
        said = " and ".join(f"{field!r} = {words!r}" for field, words in where.items())
        raise Failure(Reason.INVALID_POSTS, f"no row of the source @{handle} has {said}: correct its where.")
    yield first
    yield from found


def _read(
    source: Source, plan: Plan, folder: Path, storage: Storage, tell: Callable[..., None], counts: Counts
) -> Iterator[Post]:
    if source.archive:
        return archive.read(_fetch_archive(source.archive.uri, folder, storage), source.handle)
    if source.hugging_face:
        from tweetmodel_trainer.sources import hub_dataset  # here, since the Hub's client takes a while to import

        return hub_dataset.read(source.hugging_face, source.handle, _token_of(source), folder)
    if source.x_api:
        raw = plan.layout.raw_x(source.handle)
        forgotten = plan.spec.cleaning.erased_posts
        return x_api.read(source.x_api, source.handle, _token_of(source), raw, folder, storage, tell, counts, forgotten)
    if source.tweet_model:
        return _lent(plan.upstream_datasets[source.tweet_model.name], source, folder, storage)
    file = source.s3 or source.https
    if file is None:
        raise Failure(Reason.INVALID_SPEC, f"the source @{source.handle} names no place to read from: add one.")
    path = _fetch(file.uri, folder, storage)
    return posts.read(path, source.handle, file.text_field, file.format, file.where or {})


def version(source: Source, plan: Plan, storage: Storage) -> str:
    """What a source is now: another text where it gives other posts; empty where only reading it tells.

    So it is with X, and with an https address, behind which machines may be that differ for a while.

    Raises:
        Failure: the source is missing, refused or unreachable.
    """
    if source.hugging_face:
        from tweetmodel_trainer.sources import hub_dataset  # here, since the Hub's client takes a while to import

        return hub_dataset.version(source.hugging_face, _token_of(source))
    if source.tweet_model:
        lent = plan.upstream_datasets[source.tweet_model.name]
        return lent.digest if storage.manifest(lent.uri) else ""
    if source.archive and _is_folder(source.archive.uri):
        tags = _tags(source.archive.uri, storage)
        return hashlib.sha256(repr(tags).encode()).hexdigest() if tags and all(tags.values()) else ""
    file = source.archive or source.s3
    return storage.etag(file.uri) if file and file.uri.startswith("s3://") else ""


def _token_of(source: Source) -> str:
    """The token that its Secret holds for a source; empty where it names none."""
    return os.environ.get(SOURCE_PREFIX + source.handle, "").strip()


def _lent(lent: DatasetReference, source: Source, folder: Path, storage: Storage) -> Iterator[Post]:
    """The posts of another TweetModel's data set, by the handles that it has them under.

    Whether a post is there twice was asked when it was collected. Here ids may meet that are of different accounts.
    """
    try:
        storage.fetch(lent.uri, folder)
    except IncompleteFolder as error:
        sentence = f"the data set of the TweetModel behind @{source.handle} is not whole ({error}): make it anew."
        raise Failure(Reason.SOURCE_MISSING, sentence) from None
    lent_posts = chain.from_iterable(dataset.iter_posts(folder / name) for name in (dataset.TRAIN, dataset.EVAL))
    return (post._replace(is_numbered=True) for post in lent_posts)


def _fetch_archive(uri: str, folder: Path, storage: Storage) -> Path:
    if not _is_folder(uri):
        return _fetch(uri, folder, storage)
    names = _tags(uri, storage)
    if not names:
        raise Failure(
            Reason.SOURCE_MISSING, f"{uri} holds no tweets.js: upload the unpacked archive, or correct the URI."
        )
    for name in names:
        storage.download(uri + name, folder / name)
    return folder


def _tags(uri: str, storage: Storage) -> dict[str, str]:
    """ETags of the files of an unpacked archive that are read, by their names, in order."""
    return {name: tag for name, tag in sorted(storage.etags(uri).items()) if archive.is_wanted(name)}


def _is_folder(uri: str) -> bool:
    return uri.startswith("s3://") and uri.endswith("/")


def _fetch(uri: str, folder: Path, storage: Storage) -> Path:
    path = folder / file_name(uri)
    logger.info("reading %s", web.without_query(uri))
    if uri.startswith("s3://"):
        storage.download(uri, path)
    else:
        web.download(uri, path)
    return path


def file_name(uri: str) -> str:
    """A name for the copy of what a URI names: its last part, of harmless characters."""
    last = uri if uri.startswith("s3://") else web.without_query(uri)
    return re.sub(r"[^\w.-]+", "-", unquote(last.rstrip("/").rsplit("/", 1)[-1])).lstrip(".-")[-100:] or "posts"
