"""Reads the timeline of an account from the X API, within a budget.

Prices: docs.x.com/x-api/getting-started/pricing.
"""

import logging
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from tweetmodel_api.layout import Layout
from tweetmodel_api.spec import Cleaning, XApi
from tweetmodel_trainer.data.post import Post, from_fields
from tweetmodel_trainer.sources import x_pages, x_timeline
from tweetmodel_trainer.sources.reader import ReadContext, SourceReader
from tweetmodel_trainer.sources.x_pages import Fields
from tweetmodel_trainer.storage import Storage

logger = logging.getLogger(__name__)

DOLLARS_PER_POST = Decimal("0.005")
DOLLARS_PER_USER = Decimal("0.010")


class XApiReader(SourceReader[XApi]):
    """Reads the newest posts of an account: first from stored pages, then from X as far as the budget allows."""

    def read(self, context: ReadContext) -> Iterator[Post]:
        """Buy the posts without a stored page, then return an iterator over all posts, newest first."""
        pages = x_pages.parse_pages(context.storage.names(self.uri))
        posts: list[Fields] = []
        for page in pages:
            posts += x_pages.read_page(f"{self.uri}/{page.name}", context.folder, context.storage)
        bought = sum(page.bought for page in pages)
        affordable = int(Decimal(self.options.budget_usd) / DOLLARS_PER_POST) - bought
        timeline = x_timeline.Timeline(x_timeline.connect(self.token), self.handle, affordable, context.report)
        user = timeline.user(posts)
        self._report_estimate(user["public_metrics"]["tweet_count"], len(posts), affordable, context)
        erased = self.plan.spec.cleaning.erased_posts
        for gap in x_pages.find_gaps(pages):
            max_posts = self.options.max_posts
            if gap.until is not None:  # older posts are read only up to the limit
                max_posts -= len(posts)
            for page, found in timeline.pages(user["id"], gap, max_posts):
                remaining = [post for post in found if post["id"] not in erased]
                x_pages.write_page(remaining, f"{self.uri}/{page.name}", context.storage)
                posts += remaining
                bought += page.bought
                context.report(posts=len(posts), spent_usd=float(DOLLARS_PER_POST * bought))
        context.counts.budget_spent = timeline.budget_spent
        if timeline.budget_spent:
            budget = self.options.budget_usd
            logger.warning("@%s: the budget of $%s is spent after %d posts", self.handle, budget, bought)
        return _latest_versions(posts, self.handle, self.options.max_posts)

    def version(self, storage: Storage) -> str:
        """Return "": only a request to X shows new posts, and costs money."""
        return ""

    @property
    def uri(self) -> str:
        """Folder of the stored pages."""
        return self.plan.layout.raw_x(self.handle)

    @staticmethod
    def erase(cleaning: Cleaning, layout: Layout, workdir: Path, storage: Storage) -> None:
        """Erase posts from the stored pages."""
        x_pages.erase(cleaning, layout, workdir, storage)

    def _report_estimate(self, tweet_count: int, stored: int, affordable: int, context: ReadContext) -> None:
        """Report the maximum cost of this collection. `tweet_count` includes retweets, although they cost nothing."""
        new_posts = max(0, min(tweet_count - stored, self.options.max_posts, affordable))
        estimate = DOLLARS_PER_USER + DOLLARS_PER_POST * new_posts
        logger.info("@%s: %d posts are stored; reading more costs at most $%s", self.handle, stored, estimate)
        context.report(estimated_usd=float(estimate))


def _latest_versions(posts: Sequence[Fields], handle: str, max_posts: int) -> Iterator[Post]:
    """Yield the newest posts, newest first, each in the last version and with the full text."""
    superseded = {id_ for post in posts for id_ in post.get("edit_history_tweet_ids", [])[:-1]}
    by_id = {post["id"]: post for post in posts if post["id"] not in superseded}
    for number, id_ in enumerate(sorted(by_id, key=int, reverse=True)[:max_posts]):
        post = by_id[id_]
        text = post.get("note_tweet", {}).get("text") or post["text"]
        yield from_fields(handle, text, post, number)
