"""What became of posts, account by account."""

from dataclasses import asdict, dataclass

from tweetmodel_trainer.data.post import to_utc_time


@dataclass
class Counts:
    """What became of an account's posts: each is counted by the first rule that drops it."""

    downloaded: int = 0
    retweets: int = 0
    short: int = 0
    kept: int = 0
    characters: int = 0
    replies: int = 0
    other_language: int = 0
    duplicates: int = 0
    near_duplicates: int = 0
    erased: int = 0
    excluded: int = 0
    """Posts of an account that is barred, or that mention one."""
    unlabeled: int = 0
    """Kept posts that tell no language, where cleaning.languages asks for one."""
    budget_spent: bool = False
    """Whether the budget of the X API ended the reading."""
    first: str = ""
    """When the first and the last of the kept posts were written; empty where no source says it."""
    last: str = ""

    @property
    def other_dropped(self) -> int:
        """Posts dropped by rules that huggingtweets has not."""
        return self.replies + self.other_language + self.duplicates + self.near_duplicates + self.excluded + self.erased

    def keep(self, text: str, created: str) -> None:
        """Counts a post that stays."""
        self.kept += 1
        self.characters += len(text)
        if created and (time := to_utc_time(created)):
            self.first = min(self.first or time, time)
            self.last = max(self.last, time)


def sum_counts(counts: dict[str, Counts]) -> Counts:
    """The sum over all accounts, and the first and last time of them."""
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
