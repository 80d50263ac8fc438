"""Reading, cleaning and splitting: posts per second on one core, and the memory for millions of posts.

The posts repeat the sample archive with a number in each text. Every measurement runs in its own process, so that
its peak memory is its own. `collect.py 10_000_000` measures with ten million posts.
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

import generate as sample_archive
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
DEFAULT_POSTS = 1_000_000
CLEANED_POSTS = 200_000
"""Posts in memory for the measurement of cleaning alone."""
ALL_RULES = Cleaning.model_validate({"drop": ["Retweets", "Replies", "Short", "Duplicates", "NearDuplicates"]})

Figures = dict[str, float]


def texts(count: int) -> Iterator[str]:
    """Yield different texts."""
    sample = [str(tweet["full_text"]) for tweet in sample_archive.tweets(1)]
    for number in range(count):
        yield f"{sample[number % len(sample)]} {number}"


def write_source(path: Path, count: int) -> None:
    """Write a compressed file of JSON Lines."""
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
        for number, text in enumerate(texts(count)):
            file.write(json.dumps({"id": str(number), "text": text, "created_at": "2020-05-01T12:00:00Z"}) + "\n")


def cleaning(_: Path, count: int) -> Figures:
    """Clean posts in memory by the default rules."""
    posts = [Post("ada", str(number), text) for number, text in enumerate(texts(count))]
    started = time.process_time()
    kept = sum(1 for _ in clean_posts(posts, Counts()))
    return {"clean_posts_per_second": round(count / (time.process_time() - started)), "kept": kept}


def whole_archive(folder: Path, _: int) -> Figures:
    """Make a data set of the sample archive."""
    path = folder / "archive.zip"
    path.write_bytes(sample_archive.archive(1))
    started = time.perf_counter()
    counts = {"ada": Counts()}
    written = dataset.write(clean_posts(x_archive.read(path, "ada"), counts["ada"]), counts, 42, folder / "small")
    return {"archive_seconds": round(time.perf_counter() - started, 3), "archive_posts": written.total.downloaded}


def collecting(folder: Path, count: int, rules: Cleaning = DEFAULT) -> Figures:
    """Make a data set of the compressed file."""
    counts = {"ada": Counts()}
    started = time.process_time()
    source = posts_file.read(folder / "posts.jsonl.gz", "ada", Rows())
    written = dataset.write(clean_posts(source, counts["ada"], rules), counts, 42, folder / "large", rules)
    seconds = time.process_time() - started
    return {"collect_posts_per_second": round(count / seconds), "collect_kept": written.total.kept}


def collecting_without_duplicates(folder: Path, count: int) -> Figures:
    """Make a data set of the compressed file by all cleaning rules."""
    return {f"{name}_all_rules": value for name, value in collecting(folder, count, ALL_RULES).items()}


def with_peak_memory(measure: Callable[[Path, int], Figures], folder: Path, count: int) -> Figures:
    """Return the figures of a measurement and the peak memory of this process, which Linux counts in KiB."""
    figures = measure(folder, count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return figures | {f"{measure.__name__}_peak_mib": round(peak / 1024)}


def main(count: int) -> None:
    """Measure, print a table and write the figures as JSON."""
    figures: Figures = {"posts": count}
    measurements = {
        cleaning: CLEANED_POSTS,
        whole_archive: 0,
        collecting: count,
        collecting_without_duplicates: count,
    }
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        write_source(Path(folder) / "posts.jsonl.gz", count)
        for measure, size in measurements.items():
            with context.Pool(1) as pool:
                figures |= pool.apply(with_peak_memory, (measure, Path(folder), size))
    table = Table("", "")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_POSTS)
