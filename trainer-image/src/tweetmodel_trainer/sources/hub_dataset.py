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
    for path in _files(source, token, folder):
        yield from posts.read(path, handle, source.text_field)
        path.unlink()


def _files(source: HubDataset, token: str, folder: Path) -> Iterator[Path]:
    """Copies of the split's files, one after the other."""
    revision = source.revision or CONVERTED
    named = f"the data set {source.dataset} at {revision}"
    api = HfApi(token=token or False)
    try:
        names = files_of(api.list_repo_files(source.dataset, repo_type="dataset", revision=revision), source.split)
        if not names:
            sentence = f"{named} has no file of the split {source.split}: correct huggingFace.split or revision."
            raise Failure(Reason.SOURCE_MISSING, sentence)
        for name in names:
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


def files_of(names: Sequence[str], split: str) -> list[str]:
    """The files of a split: those with its name as a word in their path, or the only file that can be read.

    Of several configurations the one named default counts, else the first.
    """
    readable = sorted(name for name in names if name.endswith(SUFFIXES))
    word = re.compile(rf"(?:^|[/_.-]){re.escape(split)}(?:[/_.-]|$)")
    found = [name for name in readable if word.search(name)] or (readable if len(readable) == 1 else [])
    folders = {name.partition("/")[0] for name in found if name.count("/") > 1}
    chosen = "default" if "default" in folders else min(folders, default="")
    return [name for name in found if not chosen or name.startswith(f"{chosen}/")]


def _denied(named: str) -> Failure:
    sentence = f"the Hub refuses {named}: accept its terms there, and name a Secret with the key token in secretRef."
    return Failure(Reason.SOURCE_DENIED, sentence)


def _unreachable(named: str, why: str) -> Failure:
    return Failure(Reason.SOURCE_UNREACHABLE, f"{named} can't be read now ({why}): check the network.")
