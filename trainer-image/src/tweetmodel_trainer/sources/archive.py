"""Reads an X archive: a zip, an unpacked folder in S3, or a single tweets.js."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Archive
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.download import download_file, without_query
from tweetmodel_trainer.sources.formats import x_archive
from tweetmodel_trainer.sources.reader import ReadContext, SourceReader
from tweetmodel_trainer.storage import Storage


class ArchiveReader(SourceReader[Archive]):
    """Reads an X archive from S3 or from an https address."""

    def read(self, context: ReadContext) -> Iterator[Post]:
        """Yield the posts of the archive."""
        return x_archive.read(self._download(context), self.handle)

    def version(self, storage: Storage) -> str:
        """Return the ETag of the object, or a hash of the ETags of an unpacked folder; empty for an https address."""
        if not self._is_in_s3:
            return ""
        if not self._is_folder:
            return storage.etag(self.options.uri)
        etags = self._etags(storage)
        if not etags or "" in etags.values():
            return ""
        return hashlib.sha256(repr(etags).encode()).hexdigest()

    @property
    def uri(self) -> str:
        """URI of the archive."""
        return self.options.uri if self._is_in_s3 else without_query(self.options.uri)

    @property
    def _is_in_s3(self) -> bool:
        return self.options.uri.startswith("s3://")

    @property
    def _is_folder(self) -> bool:
        return self._is_in_s3 and self.options.uri.endswith("/")

    def _download(self, context: ReadContext) -> Path:
        if not self._is_folder:
            return download_file(self.options.uri, context.folder, context.storage)
        names = self._etags(context.storage)
        if not names:
            message = f"{self.uri} contains no tweets.js: upload the unpacked archive, or correct the URI."
            raise Failure(Reason.SOURCE_MISSING, message)
        for name in names:
            context.storage.download_object(self.uri + name, context.folder / name)
        return context.folder

    def _etags(self, storage: Storage) -> dict[str, str]:
        """Return the ETags of the files with posts in an unpacked archive, sorted by name."""
        etags = storage.etags(self.options.uri)
        return {name: etags[name] for name in sorted(etags) if x_archive.contains_posts(name)}
