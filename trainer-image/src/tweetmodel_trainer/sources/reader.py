"""The interface of source readers.

A new kind of source is a field of `tweetmodel_api.spec.Source`, a module with a subclass of `SourceReader`, and a line
in `registry.READERS`. Kinds with a token are listed in `tweetmodel_api.credentials.source_credentials` too.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tweetmodel_api.credentials import source_credentials
from tweetmodel_api.layout import Layout
from tweetmodel_api.plan import Plan
from tweetmodel_api.spec import Cleaning, Source
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.storage import Storage

Options = TypeVar("Options")
"""Type of the options of a kind of source."""


@dataclass(frozen=True)
class ReadContext:
    """The environment of `SourceReader.read`."""

    folder: Path
    """Empty folder for temporary files."""
    storage: Storage
    """Storage of s3:// URIs."""
    counts: Counts
    """Counts of the source; a reader may set `budget_spent`."""
    report: Callable[..., None]
    """Reports metrics (numbers by name) as progress of the step."""


@dataclass(frozen=True)
class SourceReader(ABC, Generic[Options]):
    """Reads the posts of a source."""

    options: Options
    """Options of the kind of source, such as `source.s3`."""
    source: Source
    plan: Plan

    @property
    def handle(self) -> str:
        """Handle of the account."""
        return self.source.handle

    @property
    def token(self) -> str:
        """Token of the source; empty if the source names no Secret."""
        for credential, _ in source_credentials(self.source):
            return os.environ.get(credential.variable, "").strip()
        return ""

    @abstractmethod
    def read(self, context: ReadContext) -> Iterator[Post]:
        """Yield the posts of the source, uncleaned.

        Raises:
            Failure: the source is missing, denied, unreachable or invalid.
        """

    @abstractmethod
    def version(self, storage: Storage) -> str:
        """Return the version of the source; a change of the posts changes the version.

        Returns:
            An ETag, a commit or a digest; empty if only reading the source can show a change.

        Raises:
            Failure: the source is missing, denied or unreachable.
        """

    @property
    @abstractmethod
    def uri(self) -> str:
        """Address of the posts, without credentials."""

    @staticmethod
    def erase(cleaning: Cleaning, layout: Layout, workdir: Path, storage: Storage) -> None:
        """Erase posts from the raw posts that this kind keeps in storage; most kinds keep none.

        Args:
            cleaning: names the posts and accounts to erase.
            layout: folders of the TweetModel.
            workdir: folder for temporary files.
            storage: storage of the TweetModel.

        Raises:
            Failure: the storage fails, or raw posts are damaged.
        """
