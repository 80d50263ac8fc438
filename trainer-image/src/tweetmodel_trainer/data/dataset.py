"""Splits cleaned posts, writes the data set, and computes the digest, in a single pass with constant memory.

The hash of (seed, text) decides whether a post is held out. So no text is in both parts, the order of the sources does
not affect the split, and a held-out post stays held out when the account writes more. If a part would be empty, as may
happen with a few dozen posts, the post with the nearest hash moves to the part.
"""

import hashlib
import json
import math
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib import metadata
from json.encoder import encode_basestring as quoted
from pathlib import Path
from types import TracebackType

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.data.counts import Counts, sum_counts
from tweetmodel_trainer.data.duplicates import SeenTexts
from tweetmodel_trainer.data.normalize import DEFAULT
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure

HELD_OUT_FRACTION = 0.1
MIN_CHARACTERS = 6_000
"""Minimum text per account (the limit of huggingtweets)."""
RECOMMENDED_CHARACTERS = 40_000
"""Recommended text per account; less causes a warning (the limit of huggingtweets)."""

SOFTWARE = ("tweetmodel-trainer", "tweetmodel-api", "tweepy", "pyarrow", "huggingface-hub")
"""Packages for reading, cleaning and writing posts."""

TRAIN, HELD_OUT, INFO = "train.jsonl", "eval.jsonl", "dataset.json"


@dataclass(frozen=True)
class LocalDataset:
    """A data set on disk."""

    folder: Path
    digest: str
    """SHA-256 over the two files of posts."""
    counts: Mapping[str, Counts]
    """Counts by handle."""
    held_out: int
    """Number of held-out posts."""

    @property
    def total(self) -> Counts:
        """Sum of the counts."""
        return sum_counts(self.counts)


def split_position(text: str, seed: int) -> float:
    """Return the hash of a text as a fraction in [0, 1), uniformly distributed."""
    digest = hashlib.sha256(f"{seed}\n{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_threshold(lowest: float, highest: float) -> float:
    """Return the upper limit of held-out positions: `HELD_OUT_FRACTION`, moved just enough to leave no part empty.

    Args:
        lowest: lowest position of all texts.
        highest: highest position of all texts.
    """
    return min(max(HELD_OUT_FRACTION, math.nextafter(lowest, 1)), highest)


def require_enough_text(counts: Mapping[str, Counts]) -> None:
    """Check for at least `MIN_CHARACTERS` of each account.

    Raises:
        Failure: NotEnoughTweets, with the counts of the account.
    """
    for handle, count in counts.items():
        if count.characters < MIN_CHARACTERS:
            message = (
                f"@{handle} has {count.characters:,} characters in {count.kept:,} kept posts (of {count.downloaded:,}: "
                f"{_dropped(count)}), and at least {MIN_CHARACTERS:,} characters are needed: add more posts, or choose "
                f"an account that has written more.{_budget_note({handle: count})}"
            )
            raise Failure(Reason.NOT_ENOUGH_TWEETS, message)


def summary(counts: Mapping[str, Counts]) -> str:
    """Return the message about a finished data set, with a warning about accounts with little text."""
    total = sum_counts(counts)
    kept = f"kept, {total.unlabeled:,} of unknown language" if total.unlabeled else "kept"
    text = f"{total.kept:,} of {total.downloaded:,} posts {kept} ({_dropped(total)}), {total.characters:,} characters."
    small = [f"@{handle}" for handle, count in counts.items() if count.characters < RECOMMENDED_CHARACTERS]
    if small:
        names = ", ".join(small)
        text += f" {names} has fewer than {RECOMMENDED_CHARACTERS:,} characters: more posts would improve the model."
    return text + _budget_note(counts)


def _budget_note(counts: Mapping[str, Counts]) -> str:
    spent = [f"@{handle}" for handle, count in counts.items() if count.budget_spent]
    if not spent:
        return ""
    return f" The budget of {', '.join(spent)} is spent: raise budgetUSD to read more posts."


def _dropped(count: Counts) -> str:
    """Return the numbers of dropped posts in words, without zeros except for retweets and short posts."""
    others = {
        "replies": count.replies,
        "in other languages": count.other_language,
        "duplicates": count.duplicates,
        "near duplicates": count.near_duplicates,
        "erased": count.erased,
        "by or about excluded accounts": count.excluded,
    }
    parts = [f"{count.retweets:,} retweets", *(f"{number:,} {name}" for name, number in others.items() if number)]
    return f"{', '.join(parts)} and {count.short:,} short posts dropped"


def write(
    posts: Iterable[Post], counts: Mapping[str, Counts], seed: int, folder: Path, cleaning: Cleaning = DEFAULT
) -> LocalDataset:
    """Write train.jsonl, eval.jsonl and dataset.json.

    Args:
        posts: cleaned posts; iterating over them fills `counts`.
        counts: counts by handle.
        seed: seed of the split.
        folder: created if missing.
        cleaning: cleaning of the posts, for dataset.json.

    Raises:
        Failure: NotEnoughTweets if an account has too little text, or all texts are equal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    train, held_out, threshold = _split(posts, seed, HELD_OUT_FRACTION, folder)
    require_enough_text(counts)
    if not (train.posts and held_out.posts):
        full_part = TRAIN if train.posts else HELD_OUT
        all_posts = (folder / full_part).rename(folder / "all.jsonl")
        train, held_out, _ = _split(iter_posts(all_posts), seed, threshold, folder)
        all_posts.unlink()
    if not held_out.posts:
        message = (
            f"all {train.posts:,} posts have the same text, so none can be held out for evaluation: add more posts."
        )
        raise Failure(Reason.NOT_ENOUGH_TWEETS, message)
    digest = hashlib.sha256("".join((train.sha256, held_out.sha256)).encode()).hexdigest()
    info = {
        "digest": digest,
        "seed": seed,
        "heldOutFraction": HELD_OUT_FRACTION,
        "posts": {"train": train.posts, "heldOut": held_out.posts},
        "files": {TRAIN: train.to_json(), HELD_OUT: held_out.to_json()},
        "total": asdict(sum_counts(counts)),
        "sources": {handle: asdict(count) for handle, count in counts.items()},
        "cleaning": cleaning.to_json_object(),
        "software": {"python": platform.python_version()} | {name: metadata.version(name) for name in SOFTWARE},
    }
    (folder / INFO).write_text(json.dumps(info, indent=2) + "\n")
    return LocalDataset(folder, digest, counts, held_out.posts)


class _Part(AbstractContextManager["_Part"]):
    """A file of posts in JSON Lines, with hash and counts."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self.posts = 0
        self.characters = 0

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()

    def write(self, post: Post) -> None:
        author = f', "author": {quoted(post.author)}' if post.author else ""
        post_id, text = quoted(post.id), quoted(post.text)
        line = f'{{"handle": {quoted(post.handle)}, "id": {post_id}, "text": {text}{author}}}\n'.encode()
        self._file.write(line)
        self._digest.update(line)
        self.posts += 1
        self.characters += len(post.text)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def to_json(self) -> dict[str, int | str]:
        return {"posts": self.posts, "characters": self.characters, "sha256": self.sha256}


def _split(posts: Iterable[Post], seed: int, threshold: float, folder: Path) -> tuple[_Part, _Part, float]:
    """Write both files; posts with a position below `threshold` are held out.

    Returns:
        The training part, the held-out part, and a threshold that leaves neither empty.
    """
    lowest, highest = 1.0, 0.0
    with _Part(folder / TRAIN) as train, _Part(folder / HELD_OUT) as held_out:
        for post in posts:
            position = split_position(post.text, seed)
            lowest, highest = min(lowest, position), max(highest, position)
            part = held_out if position < threshold else train
            part.write(post)
    return train, held_out, split_threshold(lowest, highest)


def iter_posts(path: Path) -> Iterator[Post]:
    """Yield the posts of train.jsonl or eval.jsonl in order."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield Post(**json.loads(line))


def iter_all_posts(folder: Path) -> Iterator[Post]:
    """Yield the posts of a data set: the training posts, then the held-out posts."""
    for name in (TRAIN, HELD_OUT):
        yield from iter_posts(folder / name)


def read_posts(path: Path) -> list[Post]:
    """Return the posts of train.jsonl or eval.jsonl in order."""
    return list(iter_posts(path))


def count_new_posts(folder: Path, baseline: Path) -> int:
    """Return the number of distinct texts of a data set without those of the baseline data set.

    Args:
        folder: the data set.
        baseline: the baseline data set; each text needs sixteen bytes of memory.
    """
    seen = SeenTexts()
    for post in iter_all_posts(baseline):
        seen.check_and_add(post.text)
    return sum(not seen.check_and_add(post.text) for post in iter_all_posts(folder))
