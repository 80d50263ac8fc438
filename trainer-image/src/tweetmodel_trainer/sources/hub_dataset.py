"""Reads a split of a data set on the Hugging Face Hub, by the Hub's client and this package's own readers.

The Hub keeps every data set that it can read as Parquet too, in the branch `refs/convert/parquet`, one folder a
configuration and split; that is what is read unless a revision is named. So the library `datasets`, which would run
whatever formats it knows in this pod, is not needed.
"""

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from httpx2 import HTTPError  # what huggingface_hub speaks by
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubDataset
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.post import Post
from tweetmodel_trainer.sources import posts

CONVERTED = "refs/convert/parquet"
DEFAULT = "default"
"""The configuration that the Hub gives a data set that names none."""
MOST_NAMED = 10
"""Configurations in a sentence."""
_NETWORK = (HTTPError, OSError, RuntimeError)
"""The last is what its transfer library raises of the network."""
_NO_ANSWER = (ValueError, TypeError, LookupError, AttributeError)
"""What the Hub's client, which trusts the Hub, stumbles over in an answer that is none."""

SUFFIXES = (".parquet", ".jsonl", ".csv", ".txt", ".jsonl.gz", ".csv.gz", ".txt.gz")


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
        yield post._replace(id=str(number)) if post.numbered else post  # each file numbers its own


def _posts(source: HubDataset, handle: str, token: str, folder: Path) -> Iterator[Post]:
    for path in _files(source, token, folder):
        yield from posts.read(path, handle, source.text_field, where=source.where or {})
        path.unlink()


def _files(source: HubDataset, token: str, folder: Path) -> Iterator[Path]:
    """Copies of the split's files, one after the other."""
    revision, named = source.revision or CONVERTED, _named(source)
    api = HfApi(token=token or False)
    try:
        for name in files_of(api.list_repo_files(source.dataset, repo_type="dataset", revision=revision), source):
            yield Path(
                api.hf_hub_download(source.dataset, name, repo_type="dataset", revision=revision, local_dir=folder)
            )
    except GatedRepoError:
        raise _denied(named) from None
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
        sentence = f"{named} does not exist on the Hub, or is private: correct it, or name a Secret in secretRef."
        raise Failure(Reason.SOURCE_MISSING, sentence) from None
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise _denied(named) from None
        raise _unreachable(named, f"HTTP {error.response.status_code}") from None
    except _NETWORK as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise _unreachable(named, type(error).__name__) from None
    except _NO_ANSWER:
        sentence = f"{named} can't be read now (what the Hub answers is no list of files): it is tried again."
        raise Failure(Reason.SOURCE_UNREACHABLE, sentence) from None


def files_of(names: Sequence[str], source: HubDataset) -> list[str]:
    """The files of the split in one configuration: the one that is asked for, else the only one, else the default.

    A data set's only file that can be read is all its splits.

    Raises:
        Failure: SourceMissing, where nobody can say which files are meant.
    """
    named, split = _named(source), source.split
    readable = sorted(name for name in names if name.endswith(SUFFIXES))
    of_split = _converted if source.revision in (None, CONVERTED) else _as_word
    whole, partial = (_by_configuration(readable, of_split(name)) for name in (split, f"partial-{split}"))
    configs = sorted({*whole, *partial})
    if len(readable) == 1 and not configs and source.config in (None, DEFAULT):
        return readable
    wanted = source.config or (configs[0] if len(configs) == 1 else DEFAULT)
    if wanted in whole:
        return whole[wanted]
    if wanted in partial:
        why = f"has only the beginning of the split {split}, as the Hub converts no more of a large one"
        advice = f"name a revision, such as main, or partial-{split} as huggingFace.split"
    elif configs:
        why = f"has the split {split} in the configurations {', '.join(configs[:MOST_NAMED])}"
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
    return f"the data set {source.dataset} at {source.revision or CONVERTED}"


def _denied(named: str) -> Failure:
    sentence = f"the Hub refuses {named}: accept its terms there, and name a Secret with the key token in secretRef."
    return Failure(Reason.SOURCE_DENIED, sentence)


def _unreachable(named: str, why: str) -> Failure:
    return Failure(Reason.SOURCE_UNREACHABLE, f"{named} can't be read now ({why}): check the network.")
