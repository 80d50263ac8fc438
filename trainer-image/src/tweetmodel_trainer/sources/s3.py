"""Reads a file of posts from S3."""

from collections.abc import Iterator

from tweetmodel_api.spec import S3Posts
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.sources.download import download_file
from tweetmodel_trainer.sources.formats import posts_file
from tweetmodel_trainer.sources.reader import ReadContext, SourceReader
from tweetmodel_trainer.storage import Storage


class S3Reader(SourceReader[S3Posts]):
    """Reads a file of posts from the bucket service of spec.storage."""

    def read(self, context: ReadContext) -> Iterator[Post]:
        """Yield the selected rows of the file."""
        path = download_file(self.options.uri, context.folder, context.storage)
        return posts_file.read_selected(path, self.handle, self.options)

    def version(self, storage: Storage) -> str:
        """Return the ETag of the object."""
        return storage.etag(self.options.uri)

    @property
    def uri(self) -> str:
        """URI of the object."""
        return self.options.uri
