"""Gathering, cleaning and splitting: posts a second on one core, and the memory that millions of posts take.

The posts are those of the sample archive, over and over with a number of their own; each part runs in a process
of its own, so that its peak of memory is its own too. `collect.py 10_000_000` measures with that many posts.
"""

import gzip
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import generate as archive_of
from rich.console import Console
from rich.table import Table

from tweetmodel_api.spec import Cleaning, Rows
from tweetmodel_trainer.data import dataset
from tweetmodel_trainer.data.clean import clean_posts
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.normalize import DEFAULT
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.sources.formats import posts_file, x_archive

RESULTS = Path(__file__).parent / "results" / "collect.json"
ALL = Cleaning.model_validate({"drop": ["Retweets", "Replies", "Short", "Duplicates", "NearDuplicates"]})

Figures = dict[str, float]


def texts(count: int) -> Iterator[str]:
    """That many different texts."""
    sample = [str(tweet["full_text"]) for tweet in archive_of.tweets(1)]
    for number in range(count):
        yield f"{sample[number % len(sample)]} {number}"


def write_source(path: Path, count: int) -> None:
    """Writes a gzipped file of JSON Lines."""
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
        for number, text in enumerate(texts(count)):
            file.write(json.dumps({"id": str(number), "text": text, "created_at": "2020-05-01T12:00:00Z"}) + "\n")


def cleaning(_: Path, count: int) -> Figures:
    """Cleaning alone, by the default rules, of posts in memory."""
    many = [Post("ada", str(number), text) for number, text in enumerate(texts(count))]
    started = time.process_time()
    kept = sum(1 for _ in clean_posts(many, Counts()))
    return {"clean_posts_per_second": round(count / (time.process_time() - started)), "kept": kept}


def whole_archive(folder: Path, _: int) -> Figures:
    """The sample archive from its zip to its data set."""
    path = folder / "archive.zip"
    path.write_bytes(archive_of.archive(1))
    started = time.perf_counter()
    counts = {"ada": Counts()}
    made = dataset.write(clean_posts(x_archive.read(path, "ada"), counts["ada"]), counts, 42, folder / "small")
    return {"archive_seconds": round(time.perf_counter() - started, 3), "archive_posts": made.total.downloaded}


def collecting(folder: Path, count: int, how: Cleaning = DEFAULT) -> Figures:
    """From a gzipped file to a data set."""
    counts = {"ada": Counts()}
    started = time.process_time()
    source = posts_file.read(folder / "posts.jsonl.gz", "ada", Rows())
    made = dataset.write(clean_posts(source, counts["ada"], how), counts, 42, folder / "large", how)
    seconds = time.process_time() - started
    return {"collect_posts_per_second": round(count / seconds), "collect_kept": made.total.kept}


def collecting_without_duplicates(folder: Path, count: int) -> Figures:
    """The same with every rule there is."""
    return {f"{name}_all_rules": value for name, value in collecting(folder, count, ALL).items()}


def measured(part: Callable[[Path, int], Figures], folder: Path, count: int) -> Figures:
    """A part's figures with its peak of memory, which Linux counts in KiB."""
    figures = part(folder, count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return figures | {f"{part.__name__}_peak_mib": round(peak / 1024)}


def main(count: int) -> None:
    """Measures, prints a table and writes it as JSON."""
    figures: Figures = {"posts": count}
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_source(folder / "posts.jsonl.gz", count)
        for part, size in (
            (cleaning, 200_000),
            (whole_archive, 0),
            (collecting, count),
            (collecting_without_duplicates, count),
        ):
            with context.Pool(1) as pool:
                figures |= pool.apply(measured, (part, folder, size))
    table = Table("", "")
    for key, value in figures.items():
        table.add_row(key, f"{value:,}")
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
