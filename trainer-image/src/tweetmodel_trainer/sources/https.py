"""Reads a file of posts from a web server."""

from collections.abc import Iterator

from tweetmodel_api.spec import HttpsPosts
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.sources.download import download_file, without_query
from tweetmodel_trainer.sources.formats import posts_file
from tweetmodel_trainer.sources.reader import ReadContext, SourceReader
from tweetmodel_trainer.storage import Storage


class HttpsReader(SourceReader[HttpsPosts]):
    """Reads a file of posts from an https address."""

    def read(self, context: ReadContext) -> Iterator[Post]:
        """Yield the selected rows of the file."""
        path = download_file(self.options.uri, context.folder, context.storage)
        return posts_file.read_selected(path, self.handle, self.options)

    def version(self, storage: Storage) -> str:
        """Return "": the servers behind an address may differ for a while, so ETags prove nothing."""
        return ""

    @property
    def uri(self) -> str:
        """Address of the file."""
        return without_query(self.options.uri)
