"""Makes a data set of cleaned posts: splits them, writes them, and gives them a digest, in one pass without memory.

A post is held out when the hash of (seed, text) says so. So no text is in both parts, the order of the sources
does not matter to the split, and a post once held out stays so when the account writes more. Where chance would
leave a part empty, as it can with a few dozen posts, the post that is nearest to it goes there.
"""

import hashlib
import json
import math
import platform
from collections.abc import Iterable, Iterator
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
"""Less than this of an account teaches no voice (huggingtweets' limit, per account)."""
RECOMMENDED_CHARACTERS = 40_000
"""Less than this is enough but not good (huggingtweets' warning, per account)."""

SOFTWARE = ("tweetmodel-trainer", "tweetmodel-api", "tweepy", "pyarrow", "huggingface-hub")
"""What reads and writes the posts."""

TRAIN, EVAL, INFO = "train.jsonl", "eval.jsonl", "dataset.json"


@dataclass(frozen=True)
class LocalDataset:
    """A data set on disk."""

    folder: Path
    digest: str
    """SHA-256 over the two files of posts."""
    counts: dict[str, Counts]
    """What became of each account's posts, by handle."""
    held_out: int

    @property
    def total(self) -> Counts:
        """What became of all posts."""
        return sum_counts(self.counts)


def split_position(text: str, seed: int) -> float:
    """Where a text falls in [0, 1), evenly spread: its hash as a fraction."""
    digest = hashlib.sha256(f"{seed}\n{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_threshold(lowest: float, highest: float) -> float:
    """Texts whose place is below it are held out: the share, moved as little as leaves no part empty.

    Args:
        lowest: place of the text that is nearest to being held out.
        highest: place of the one that is furthest from it.
    """
    return min(max(HELD_OUT_FRACTION, math.nextafter(lowest, 1)), highest)


def require_enough_text(counts: dict[str, Counts]) -> None:
    """Refuses an account that has too little text.

    Raises:
        Failure: NotEnoughTweets, with the numbers.
    """
    for handle, count in counts.items():
        if count.characters < MIN_CHARACTERS:
            raise Failure(
                Reason.NOT_ENOUGH_TWEETS,
                f"@{handle} has {count.characters:,} characters in {count.kept:,} kept posts (of {count.downloaded:,}: "
                f"{_left_out(count)}), and at least "
                f"{MIN_CHARACTERS:,} are needed: add more posts, or choose an account that has written more."
                f"{_cut_short({handle: count})}",
            )


def summary(counts: dict[str, Counts]) -> str:
    """What a person should know of the data set, with a warning where it is small."""
    sum_ = sum_counts(counts)
    kept = f"kept, {sum_.unlabeled:,} of no known language" if sum_.unlabeled else "kept"
    told = f"{sum_.kept:,} of {sum_.downloaded:,} posts {kept} ({_left_out(sum_)}), {sum_.characters:,} characters."
    small = [f"@{handle}" for handle, count in counts.items() if count.characters < RECOMMENDED_CHARACTERS]
    if small:
        told += f" {', '.join(small)} has fewer than {RECOMMENDED_CHARACTERS:,}: more posts would make a better model."
    return told + _cut_short(counts)


def _cut_short(counts: dict[str, Counts]) -> str:
    spent = [f"@{handle}" for handle, count in counts.items() if count.budget_spent]
    return f" The budget of {', '.join(spent)} is spent: raise budgetUSD to read posts beyond it." if spent else ""


def _left_out(count: Counts) -> str:
    others = {
        "replies": count.replies,
        "in other languages": count.other_language,
        "duplicates": count.duplicates,
        "near duplicates": count.near_duplicates,
        "forgotten": count.erased,
        "of or with barred accounts": count.excluded,
    }
    told = [f"{count.retweets:,} retweets", *(f"{number:,} {name}" for name, number in others.items() if number)]
    return f"{', '.join(told)} and {count.short:,} short ones left out"


def write(
    posts: Iterable[Post], counts: dict[str, Counts], seed: int, folder: Path, how: Cleaning = DEFAULT
) -> LocalDataset:
    """Writes train.jsonl, eval.jsonl and dataset.json.

    Args:
        posts: cleaned posts; reading them fills `counts`.
        counts: by handle.
        seed: of the split.
        folder: made if it is missing.
        how: how the posts were cleaned, for the record.

    Raises:
        Failure: NotEnoughTweets.
    """
    folder.mkdir(parents=True, exist_ok=True)
    train, held_out, where = _split(posts, seed, HELD_OUT_FRACTION, folder)
    require_enough_text(counts)
    if not (train.posts and held_out.posts):
        whole = (folder / (TRAIN if train.posts else EVAL)).rename(folder / "whole.jsonl")
        train, held_out, _ = _split(iter_posts(whole), seed, where, folder)
        whole.unlink()
    if not held_out.posts:
        raise Failure(
            Reason.NOT_ENOUGH_TWEETS,
            f"all {train.posts:,} posts say the same, so none can be set apart for testing: add more posts.",
        )
    digest = hashlib.sha256("".join((train.sha256, held_out.sha256)).encode()).hexdigest()
    info = {
        "digest": digest,
        "seed": seed,
        "heldOutFraction": HELD_OUT_FRACTION,
        "posts": {"train": train.posts, "heldOut": held_out.posts},
        "files": {
            name: {"posts": part.posts, "characters": part.characters, "sha256": part.sha256}
            for name, part in ((TRAIN, train), (EVAL, held_out))
        },
        "total": asdict(sum_counts(counts)),
        "sources": {handle: asdict(count) for handle, count in counts.items()},
        "cleaning": how.to_json_object(),
        "software": {"python": platform.python_version()} | {name: metadata.version(name) for name in SOFTWARE},
    }
    (folder / INFO).write_text(json.dumps(info, indent=2) + "\n")
    return LocalDataset(folder, digest, counts, held_out.posts)


class _Part(AbstractContextManager["_Part"]):
    """A file of posts as it is written: one JSON object a line, hashed and counted on the way."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self.posts = 0
        self.characters = 0

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()

    def write(self, post: Post) -> None:
        line = f'{{"handle": {quoted(post.handle)}, "id": {quoted(post.id)}, "text": {quoted(post.text)}}}\n'.encode()
        self._file.write(line)
        self._digest.update(line)
        self.posts += 1
        self.characters += len(post.text)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _split(posts: Iterable[Post], seed: int, below: float, folder: Path) -> tuple[_Part, _Part, float]:
    """Writes both files; the posts whose place is below `below` are held out.

    Returns:
        The file to train on, the file to test with, and the `below` that leaves neither empty.
    """
    lowest, highest = 1.0, 0.0
    with _Part(folder / TRAIN) as train, _Part(folder / EVAL) as held_out:
        for post in posts:
            where = split_position(post.text, seed)
            lowest, highest = min(lowest, where), max(highest, where)
            (held_out if where < below else train).write(post)
    return train, held_out, split_threshold(lowest, highest)


def iter_posts(path: Path) -> Iterator[Post]:
    """The posts of train.jsonl or eval.jsonl, in their order, one at a time."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield Post(**json.loads(line))


def count_new_posts(folder: Path, known: Path) -> int:
    """Texts of a data set that an earlier one does not have, at sixteen bytes of memory each."""
    seen = SeenTexts()
    for name in (TRAIN, EVAL):
        for post in iter_posts(known / name):
            seen.check_and_add(post.text)
    return sum(not seen.check_and_add(post.text) for name in (TRAIN, EVAL) for post in iter_posts(folder / name))


def read_posts(path: Path) -> list[Post]:
    """The posts of train.jsonl or eval.jsonl, in their order."""
    return list(iter_posts(path))
