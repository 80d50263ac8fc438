"""Reads the data set of another TweetModel."""

from collections.abc import Iterator

from tweetmodel_api.fields import LocalReference
from tweetmodel_api.layout import Layout
from tweetmodel_api.reasons import Reason
from tweetmodel_api.retry import retry_command
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.reader import ReadContext, SourceReader
from tweetmodel_trainer.storage import IncompleteFolder, Storage


class TweetModelReader(SourceReader[LocalReference]):
    """Reads the posts of an upstream TweetModel, with the handles of its sources until cleaning sets the handle."""

    def read(self, context: ReadContext) -> Iterator[Post]:
        """Yield the posts of the upstream data set, all marked as numbered.

        The upstream collection has removed repeated ids already, and ids of different accounts may be equal.
        """
        upstream = self.plan.upstream_datasets[self.options.name]
        try:
            context.storage.download_folder(upstream.uri, context.folder)
        except IncompleteFolder as error:
            message = (
                f"the data set of the TweetModel {self.options.name}, the source of @{self.handle}, is incomplete or "
                f"corrupt ({error}): collect it again with "
                f"`{retry_command(self.plan.namespace, self.options.name)}`."
            )
            raise Failure(Reason.SOURCE_MISSING, message) from None
        return (post._replace(is_numbered=True) for post in dataset.iter_all_posts(context.folder))

    def version(self, storage: Storage) -> str:
        """Return the digest of the upstream data set; empty if the data set has no manifest."""
        upstream = self.plan.upstream_datasets[self.options.name]
        if storage.manifest(upstream.uri) is None:
            return ""
        return upstream.digest

    @property
    def uri(self) -> str:
        """Folder of the upstream data set, or of all upstream data sets if the plan names none."""
        upstream = self.plan.upstream_datasets.get(self.options.name)
        if upstream:
            return upstream.uri
        return Layout(self.plan.spec.storage.uri, self.plan.namespace, self.options.name).datasets
