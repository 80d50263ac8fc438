"""The reader of each kind of source."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tweetmodel_api.layout import Layout
from tweetmodel_api.plan import Plan
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Cleaning, Source
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.archive import ArchiveReader
from tweetmodel_trainer.sources.https import HttpsReader
from tweetmodel_trainer.sources.hugging_face import HuggingFaceReader
from tweetmodel_trainer.sources.reader import SourceReader
from tweetmodel_trainer.sources.s3 import S3Reader
from tweetmodel_trainer.sources.tweet_model import TweetModelReader
from tweetmodel_trainer.sources.x_api import XApiReader
from tweetmodel_trainer.storage import Storage

READERS: Mapping[str, type[SourceReader[Any]]] = {
    "archive": ArchiveReader,
    "s3": S3Reader,
    "https": HttpsReader,
    "hugging_face": HuggingFaceReader,
    "tweet_model": TweetModelReader,
    "x_api": XApiReader,
}
"""Readers by the field of `Source` with their options."""


def reader_of(source: Source, plan: Plan) -> SourceReader[Any]:
    """Return the reader of a source.

    Raises:
        Failure: InvalidSpec if the source sets no field of `READERS`.
    """
    for kind, reader in READERS.items():
        options = getattr(source, kind)
        if options is not None:
            return reader(options, source, plan)
    kinds = ", ".join(Source.model_fields[kind].alias or kind for kind in READERS)
    message = f"the source @{source.handle} has no location of its posts: set one of {kinds}."
    raise Failure(Reason.INVALID_SPEC, message)


def erase_raw_posts(cleaning: Cleaning, layout: Layout, workdir: Path, storage: Storage) -> None:
    """Erase posts from all raw posts in storage, including raw posts of sources that were removed from the spec.

    Args:
        cleaning: names the posts and accounts to erase.
        layout: folders of the TweetModel.
        workdir: folder for temporary files.
        storage: storage of the TweetModel.

    Raises:
        Failure: the storage fails, or raw posts are damaged.
    """
    for reader in READERS.values():
        reader.erase(cleaning, layout, workdir, storage)
