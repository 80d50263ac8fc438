"""Reads a split of a data set on the Hugging Face Hub with the Hub's client and the readers of `formats`.

The Hub converts data sets to Parquet in the branch `refs/convert/parquet`, with one folder per configuration and split.
Unless the source names a revision, this branch is read, or `main` where the branch does not exist, as for many private
data sets. The library `datasets` is not used, since it runs loaders for many formats in the pod.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import RevisionNotFoundError

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubDataset
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.hub_errors import HubErrorKind, translate_hub_errors
from tweetmodel_trainer.sources.formats import posts_file

T = TypeVar("T")

CONVERTED = "refs/convert/parquet"
DEFAULT_CONFIG = "default"
"""Name of an unnamed configuration on the Hub."""
MAX_NAMED_CONFIGS = 10
"""Maximum number of configurations in a message."""

SUFFIXES = (".parquet", ".jsonl", ".csv", ".txt", ".jsonl.gz", ".csv.gz", ".txt.gz")
JSON_SUFFIXES = (".json", ".json.gz")
"""Read only if there is no other file of posts, since JSON files often describe the other files."""
METADATA_FILES = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json")
"""Files with metadata of `datasets`."""


def read(source: HubDataset, handle: str, token: str, folder: Path) -> Iterator[Post]:
    """Yield the posts of a split, file by file.

    Args:
        source: data set, revision, configuration and split.
        handle: handle of the account.
        token: token of the Hub, or "".
        folder: empty folder for the files, of which at most one exists at a time.

    Raises:
        Failure: SourceMissing, SourceDenied, SourceUnreachable, or InvalidPosts.
    """
    for number, post in enumerate(_posts(source, handle, token, folder), 1):
        yield post._replace(id=str(number)) if post.is_numbered else post  # row numbers restart with each file


def commit_of(source: HubDataset, token: str) -> str:
    """Return the current commit of the revision that `read` reads.

    Raises:
        Failure: as `read`.
    """
    commit, _ = _query_revision(source, partial(_query_commit, HfApi(token=token or False)))
    return commit


def _posts(source: HubDataset, handle: str, token: str, folder: Path) -> Iterator[Post]:
    for path in _download_files(source, token, folder):
        yield from posts_file.read(path, handle, source)
        path.unlink()


def _download_files(source: HubDataset, token: str, folder: Path) -> Iterator[Path]:
    """Download the files of the split in turn, and yield their paths."""
    api = HfApi(token=token or False)
    names, source = _query_revision(source, partial(_query_names, api))
    fetch = partial(api.hf_hub_download, repo_type="dataset", revision=_revision(source), local_dir=folder)
    with translate_hub_errors(partial(_failure, source)):
        for name in split_files(names, source):
            yield Path(fetch(source.dataset, name))


def _query_revision(source: HubDataset, query: Callable[[HubDataset], T]) -> tuple[T, HubDataset]:
    """Query the Hub about the revision to read.

    Returns:
        The result of the query, and the source with the revision: `main` if the Hub has not converted the data set.
    """
    passed_on = () if source.revision else (RevisionNotFoundError,)
    try:
        with translate_hub_errors(partial(_failure, source), passed_on):
            return query(source), source
    except RevisionNotFoundError:
        return _query_revision(source.model_copy(update={"revision": "main"}), query)


def _query_names(api: HfApi, source: HubDataset) -> list[str]:
    return api.list_repo_files(source.dataset, repo_type="dataset", revision=_revision(source))


def _query_commit(api: HfApi, source: HubDataset) -> str:
    return api.dataset_info(source.dataset, revision=_revision(source)).sha or ""


def _revision(source: HubDataset) -> str:
    return source.revision or CONVERTED


def split_files(names: Sequence[str], source: HubDataset) -> list[str]:
    """Return the files of the split in one configuration.

    Without source.config, the configuration is the only one with the split, or "default". If the data set has a single
    readable file, and its name matches no split, the file counts as every split.

    Raises:
        Failure: SourceMissing if the files of the split are ambiguous, incomplete or missing.
    """
    readable = _readable_files(names)
    pattern_of = _converted_pattern if source.revision in (None, CONVERTED) else _word_pattern
    complete = _by_config(readable, pattern_of(source.split))
    incomplete = _by_config(readable, pattern_of(f"partial-{source.split}"))
    configs = sorted({*complete, *incomplete})
    if len(readable) == 1 and not configs and source.config in (None, DEFAULT_CONFIG):
        return readable
    config = source.config or (configs[0] if len(configs) == 1 else DEFAULT_CONFIG)
    if config in complete:
        return complete[config]
    raise _no_split(source, configs, is_incomplete=config in incomplete)


def _readable_files(names: Sequence[str]) -> list[str]:
    readable = sorted(name for name in names if name.endswith(SUFFIXES))
    if readable:
        return readable
    return sorted(n for n in names if n.endswith(JSON_SUFFIXES) and n.rpartition("/")[2] not in METADATA_FILES)


def _no_split(source: HubDataset, configs: Sequence[str], is_incomplete: bool) -> Failure:
    """Return the failure for a split without files; `configs` have a split of this name."""
    split = source.split
    if is_incomplete:
        problem = f"has only the beginning of the split {split}, because the Hub converts no more of a large one"
        advice = f"name a revision, such as main, or set huggingFace.split to partial-{split}"
    elif configs:
        problem = f"has the split {split} in the configurations {', '.join(configs[:MAX_NAMED_CONFIGS])}"
        advice = "name one in huggingFace.config"
    else:
        problem = f"has no file of the split {split}"
        advice = "correct huggingFace.split, config or revision"
    return Failure(Reason.SOURCE_MISSING, f"{_name(source)} {problem}: {advice}.")


def _converted_pattern(split: str) -> re.Pattern[str]:
    """Return the pattern of the files of a split in the Hub's Parquet branch."""
    return re.compile(rf"(.*)/{re.escape(split)}/[^/]+")


def _word_pattern(split: str) -> re.Pattern[str]:
    """Return the pattern of files whose name, or the name of whose folder, contains the split as a word.

    `datasets` finds splits by the same rule.
    """
    return re.compile(rf"(?:(.*?)/)??(?:[^/]*[_.-])?(?<!partial-){re.escape(split)}(?:[_./-].*)?")


def _by_config(names: Sequence[str], pattern: re.Pattern[str]) -> dict[str, list[str]]:
    """Group the matching files by configuration, the folder before the name of the split."""
    found: dict[str, list[str]] = {}
    for name in names:
        if match := pattern.fullmatch(name):
            found.setdefault(match[1] or DEFAULT_CONFIG, []).append(name)
    return found


def _name(source: HubDataset) -> str:
    return f"the data set {source.dataset} at {_revision(source)}"


def _failure(source: HubDataset, kind: HubErrorKind, detail: str) -> Failure:
    """Return the failure for an error of the Hub."""
    name = _name(source)
    if kind == "unreachable":
        return Failure(Reason.SOURCE_UNREACHABLE, f"{name} can't be read now ({detail}): check the network.")
    if kind == "missing":
        message = f"{name} does not exist on the Hub, or is private: correct it, or name a Secret in secretRef."
        return Failure(Reason.SOURCE_MISSING, message)
    terms = "accept its terms there, and " if kind == "gated" else ""
    advice = f"{terms}name a Secret with the key token in secretRef"
    return Failure(Reason.SOURCE_DENIED, f"the Hub denies access to {name} ({detail}): {advice}.")
