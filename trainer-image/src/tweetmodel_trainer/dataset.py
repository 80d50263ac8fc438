"""Makes a data set of cleaned posts: splits them, writes them, and gives them a digest.

A post is held out when the hash of (seed, text) says so. So no text is in both parts, the order of the sources
does not matter to the split, and a post once held out stays so when the account writes more. Where chance would
leave a part empty, as it can with a few dozen posts, the post that is nearest to it goes there.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tweetmodel_api.reasons import Reason
from tweetmodel_trainer.clean import Counts
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.post import Post

HELD_OUT_SHARE = 0.1
FEWEST_CHARACTERS = 6_000
"""Less than this of an account teaches no voice (huggingtweets' limit, per account)."""
FEW_CHARACTERS = 40_000
"""Less than this is enough but not good (huggingtweets' warning, per account)."""

TRAIN, EVAL, INFO = "train.jsonl", "eval.jsonl", "dataset.json"


@dataclass(frozen=True)
class Written:
    """A data set on disk."""

    folder: Path
    digest: str
    """SHA-256 over the two files of posts."""
    total: Counts
    held_out: int


def place(text: str, seed: int) -> float:
    """Where a text falls in [0, 1), evenly spread: its hash as a fraction."""
    digest = hashlib.sha256(f"{seed}\n{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def is_held_out(text: str, seed: int) -> bool:
    """Whether a text is set apart to test the model, where enough others are not."""
    return place(text, seed) < HELD_OUT_SHARE


def held_out_texts(texts: Iterable[str], seed: int) -> set[str]:
    """The texts that are set apart to test the model: never all of them, and never none of two or more."""
    in_order = sorted(set(texts), key=lambda text: place(text, seed))
    count = sum(is_held_out(text, seed) for text in in_order)
    return set(in_order[: min(max(count, 1), len(in_order) - 1)]) if in_order else set()


def check(counts: dict[str, Counts]) -> None:
    """Refuses an account that has too little text.

    Raises:
        Failure: NotEnoughTweets, with the numbers.
    """
    for handle, count in counts.items():
        if count.characters < FEWEST_CHARACTERS:
            raise Failure(
                Reason.NOT_ENOUGH_TWEETS,
                f"@{handle} has {count.characters:,} characters in {count.kept:,} kept posts (of {count.downloaded:,}: "
                f"{count.retweets:,} retweets and {count.short:,} short ones left out), and at least "
                f"{FEWEST_CHARACTERS:,} are needed: add more posts, or choose an account that has written more.",
            )


def sentence(counts: dict[str, Counts]) -> str:
    """What a person should know of the data set, with a warning where it is small."""
    sum_ = total(counts)
    told = (
        f"{sum_.kept:,} of {sum_.downloaded:,} posts kept ({sum_.retweets:,} retweets and {sum_.short:,} short ones "
        f"left out), {sum_.characters:,} characters."
    )
    small = [f"@{handle}" for handle, count in counts.items() if count.characters < FEW_CHARACTERS]
    if small:
        told += f" {', '.join(small)} has fewer than {FEW_CHARACTERS:,}: more posts would make a better model."
    return told


def total(counts: dict[str, Counts]) -> Counts:
    """The sum over all accounts."""
    rows = [asdict(count) for count in counts.values()]
    return Counts(**{name: sum(row[name] for row in rows) for name in asdict(Counts())})


def write(posts: Iterable[Post], counts: dict[str, Counts], seed: int, folder: Path) -> Written:
    """Writes train.jsonl, eval.jsonl and dataset.json.

    Args:
        posts: cleaned posts; reading them fills `counts`. They are held in memory, a few hundred bytes each.
        counts: by handle.
        seed: of the split.
        folder: made if it is missing.

    Raises:
        Failure: NotEnoughTweets.
    """
    kept = list(posts)
    check(counts)
    apart = held_out_texts((post.text for post in kept), seed)
    train, held_out = ([p for p in kept if (p.text in apart) is wanted] for wanted in (False, True))
    if not held_out:
        raise Failure(
            Reason.NOT_ENOUGH_TWEETS,
            f"all {len(kept):,} posts say the same, so none can be set apart for testing: add more posts.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_write_lines(folder / TRAIN, train), _write_lines(folder / EVAL, held_out)]
    digest = hashlib.sha256("".join(parts).encode()).hexdigest()
    info = {
        "digest": digest,
        "seed": seed,
        "heldOutShare": HELD_OUT_SHARE,
        "posts": {"train": len(train), "heldOut": len(held_out)},
        "total": asdict(total(counts)),
        "sources": {handle: asdict(count) for handle, count in counts.items()},
    }
    (folder / INFO).write_text(json.dumps(info, indent=2) + "\n")
    return Written(folder, digest, total(counts), len(held_out))


def _write_lines(path: Path, posts: Iterable[Post]) -> str:
    """Writes one JSON object a line; returns the file's SHA-256."""
    content = "".join(
        json.dumps({"handle": post.handle, "id": post.id, "text": post.text}, ensure_ascii=False) + "\n"
        for post in posts
    ).encode()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> list[Post]:
    """The posts of train.jsonl or eval.jsonl, in their order."""
    with path.open(encoding="utf-8") as lines:
        return [Post(**json.loads(line)) for line in lines]
