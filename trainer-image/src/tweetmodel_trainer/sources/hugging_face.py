"""Reads a data set on the Hugging Face Hub."""

from collections.abc import Iterator

from tweetmodel_api.spec import HubDataset
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.sources.formats import posts_file
from tweetmodel_trainer.sources.reader import ReadContext, SourceReader
from tweetmodel_trainer.storage import Storage


class HuggingFaceReader(SourceReader[HubDataset]):
    """Reads a split of a data set. `hub_dataset` is imported late: the Hub's client takes 0.4 s to import."""

    def read(self, context: ReadContext) -> Iterator[Post]:
        """Yield the selected rows of the split."""
        from tweetmodel_trainer.sources import hub_dataset

        posts = hub_dataset.read(self.options, self.handle, self.token, context.folder)
        return posts_file.require_match(posts, self.handle, self.options)

    def version(self, storage: Storage) -> str:
        """Return the commit of the revision."""
        from tweetmodel_trainer.sources import hub_dataset

        return hub_dataset.commit_of(self.options, self.token)

    @property
    def uri(self) -> str:
        """Name and revision of the data set, in the notation of the Hub's file system."""
        revision = f"@{self.options.revision}" if self.options.revision else ""
        return f"hf://datasets/{self.options.dataset}{revision}"
