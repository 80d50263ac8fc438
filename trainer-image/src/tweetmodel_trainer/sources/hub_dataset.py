"""Reads a split of a data set on the Hugging Face Hub, by the Hub's client and this package's own readers.

The Hub keeps every data set that it can read as Parquet too, in the branch `refs/convert/parquet`, one folder a
configuration and split; that is what is read unless a revision is named. Of a private one it often does not: there the
files of `main` are read. So the library `datasets`, which would run whatever formats it knows in this pod, is not
needed.
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
from tweetmodel_trainer.sources.formats import posts_file as posts

T = TypeVar("T")

CONVERTED = "refs/convert/parquet"
DEFAULT = "default"
"""The configuration that the Hub gives a data set that names none."""
MAX_NAMED_CONFIGS = 10
"""Configurations in a sentence."""

SUFFIXES = (".parquet", ".jsonl", ".csv", ".txt", ".jsonl.gz", ".csv.gz", ".txt.gz")
JSON = (".json", ".json.gz")
"""Posts too, where there is nothing else: beside posts they describe them."""
DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json")
"""What `datasets` writes beside what it alone reads."""


def read(source: HubDataset, handle: str, token: str, folder: Path) -> Iterator[Post]:
    """The posts of a split, file by file.

    Args:
        source: which data set.
        handle: the account's.
        token: of the Hub; empty: none.
        folder: an empty folder, for one file at a time.

    Raises:
        Failure: SourceMissing, SourceDenied, SourceUnreachable, or InvalidPosts.
    """
    for number, post in enumerate(_posts(source, handle, token, folder), 1):
        yield post._replace(id=str(number)) if post.is_numbered else post  # each file numbers its own


def version(source: HubDataset, token: str) -> str:
    """The commit that would be read now.

    Raises:
        Failure: as `read`.
    """
    commit, _ = _of_revision(source, partial(_commit, HfApi(token=token or False)))
    return commit


def _posts(source: HubDataset, handle: str, token: str, folder: Path) -> Iterator[Post]:
    for path in _files(source, token, folder):
        yield from posts.read(path, handle, source.text_field, where=source.where or {})
        path.unlink()


def _files(source: HubDataset, token: str, folder: Path) -> Iterator[Path]:
    """Copies of the split's files, one after the other."""
    api = HfApi(token=token or False)
    names, source = _of_revision(source, partial(_listed, api))
    fetch = partial(api.hf_hub_download, repo_type="dataset", revision=_revision(source), local_dir=folder)
    with translate_hub_errors(partial(_failure, source)):
        for name in files_of(names, source):
            yield Path(fetch(source.dataset, name))


def _of_revision(source: HubDataset, asked: Callable[[HubDataset], T]) -> tuple[T, HubDataset]:
    """What the Hub answers about the revision that is read, and the source with that: the Parquet or, without, main."""
    try:
        with translate_hub_errors(partial(_failure, source), but=() if source.revision else (RevisionNotFoundError,)):
            return asked(source), source
    except RevisionNotFoundError:  # the Hub has not made Parquet of every data set
        return _of_revision(source.model_copy(update={"revision": "main"}), asked)


def _listed(api: HfApi, source: HubDataset) -> list[str]:
    return api.list_repo_files(source.dataset, repo_type="dataset", revision=_revision(source))


def _commit(api: HfApi, source: HubDataset) -> str:
    return api.dataset_info(source.dataset, revision=_revision(source)).sha or ""


def _revision(source: HubDataset) -> str:
    return source.revision or CONVERTED


def files_of(names: Sequence[str], source: HubDataset) -> list[str]:
    """The files of the split in one configuration: the one that is asked for, else the only one, else the default.

    A data set's only file that can be read is all its splits.

    Raises:
        Failure: SourceMissing, where nobody can say which files are meant.
    """
    named, split = _named(source), source.split
    readable = sorted(name for name in names if name.endswith(SUFFIXES)) or sorted(
        name for name in names if name.endswith(JSON) and name.split("/")[-1] not in DESCRIPTIONS
    )
    of_split = _converted if source.revision in (None, CONVERTED) else _as_word
    whole, begun = (_by_configuration(readable, of_split(name)) for name in (split, f"partial-{split}"))
    configs = sorted({*whole, *begun})
    if len(readable) == 1 and not configs and source.config in (None, DEFAULT):
        return readable
    wanted = source.config or (configs[0] if len(configs) == 1 else DEFAULT)
    if wanted in whole:
        return whole[wanted]
    if wanted in begun:
        why = f"has only the beginning of the split {split}, as the Hub converts no more of a large one"
        advice = f"name a revision, such as main, or partial-{split} as huggingFace.split"
    elif configs:
        why = f"has the split {split} in the configurations {', '.join(configs[:MAX_NAMED_CONFIGS])}"
        advice = "name one in huggingFace.config"
    else:
        why, advice = f"has no file of the split {split}", "correct huggingFace.split, config or revision"
    raise Failure(Reason.SOURCE_MISSING, f"{named} {why}: {advice}.")


def _converted(split: str) -> re.Pattern[str]:
    """Files of the split where the Hub has laid them out."""
    return re.compile(rf"(.*)/{re.escape(split)}/[^/]+")


def _as_word(split: str) -> re.Pattern[str]:
    """Files with the split's name as a word in their own, or in that of a folder around them, as `datasets` reads."""
    return re.compile(rf"(?:(.*?)/)??(?:[^/]*[_.-])?(?<!partial-){re.escape(split)}(?:[_./-].*)?")


def _by_configuration(names: Sequence[str], of_split: re.Pattern[str]) -> dict[str, list[str]]:
    """The split's files, by the folders before the name that tells it."""
    found: dict[str, list[str]] = {}
    for name in names:
        if match := of_split.fullmatch(name):
            found.setdefault(match[1] or DEFAULT, []).append(name)
    return found


def _named(source: HubDataset) -> str:
    return f"the data set {source.dataset} at {_revision(source)}"


def _failure(source: HubDataset, kind: HubErrorKind, words: str) -> Failure:
    """What the Hub's answer is to a data set."""
    named = _named(source)
    if kind == "unreachable":
        return Failure(Reason.SOURCE_UNREACHABLE, f"{named} can't be read now ({words}): check the network.")
    if kind == "missing":
        sentence = f"{named} does not exist on the Hub, or is private: correct it, or name a Secret in secretRef."
        return Failure(Reason.SOURCE_MISSING, sentence)
    terms = "accept its terms there, and " if kind == "gated" else ""
    advice = f"{terms}name a Secret with the key token in secretRef"
    return Failure(Reason.SOURCE_DENIED, f"the Hub refuses {named} ({words}): {advice}.")
