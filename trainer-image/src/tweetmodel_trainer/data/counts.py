"""Counts of an account's posts: downloaded, dropped by each rule, and kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tweetmodel_trainer.data.post import to_utc_time


@dataclass
class Counts:
    """Counts of the posts of an account; a dropped post counts for the first matching rule."""

    downloaded: int = 0
    retweets: int = 0
    short: int = 0
    kept: int = 0
    characters: int = 0
    """Characters of the kept posts."""
    replies: int = 0
    other_language: int = 0
    duplicates: int = 0
    near_duplicates: int = 0
    erased: int = 0
    excluded: int = 0
    """Posts by or about excluded accounts."""
    unlabeled: int = 0
    """Kept posts without a language, if cleaning.languages is set."""
    budget_spent: bool = False
    """True if the budget of the X API ended the collection."""
    first: str = ""
    """Time of the first kept post; empty if no post has a time."""
    last: str = ""
    """Time of the last kept post; empty if no post has a time."""

    @property
    def other_dropped(self) -> int:
        """Posts dropped by rules beyond those of huggingtweets."""
        by_content = self.replies + self.other_language + self.duplicates + self.near_duplicates
        return by_content + self.excluded + self.erased

    def add_kept(self, text: str, created: str) -> None:
        """Count a kept post."""
        self.kept += 1
        self.characters += len(text)
        if created and (time := to_utc_time(created)):
            self.first = min(self.first or time, time)
            self.last = max(self.last, time)


def sum_counts(counts: Mapping[str, Counts]) -> Counts:
    """Return the sum over all accounts, with the first and the last time."""
    rows = list(counts.values())
    numbers = [name for name, value in asdict(Counts()).items() if type(value) is int]
    sums = {name: sum(getattr(row, name) for row in rows) for name in numbers}
    times = [time for row in rows for time in (row.first, row.last) if time]
    return Counts(
        **sums,
        budget_spent=any(row.budget_spent for row in rows),
        first=min(times, default=""),
        last=max(times, default=""),
    )
