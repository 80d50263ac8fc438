"""Pushes a model's folder to the Hugging Face Hub, as huggingtweets did; the token is in HF_TOKEN.

What is there already with the same content is not sent again, so a push that broke off is simply repeated. What is
there besides goes: weights of an earlier model would be loaded with, or instead of, the new ones.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from httpx2 import HTTPError  # what huggingface_hub speaks by
from huggingface_hub import HfApi, metadata_load, metadata_save
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from tweetmodel_api.layout import MANIFEST
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubRepository
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.showcase import CARD, PREVIEW

LONGEST = 96
"""Characters that the Hub allows in a repository's name."""

_BUSY = (408, 429)


def repository_name(handles: Sequence[str]) -> str:
    """The name that huggingtweets would give: its own and the sorted handles; the owner is the token's.

    What is too long is cut and told apart by a hash. Dashes and the underscores of handles stay within the Hub's
    rules: a name neither begins nor ends with a dash, and has no two in a row.
    """
    name = "-".join(["huggingtweets", *sorted(handle.lower() for handle in handles)])
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-')}-{digest}"


def push(folder: Path, target: HubRepository, handles: Sequence[str], run: str) -> str:
    """Creates the repository where it is missing and commits the folder to it; returns its address.

    The folder's card is given the address of its preview, which is known only now.

    Raises:
        Failure: HubDenied or HubUnreachable.
    """
    name = target.repo or repository_name(handles)
    token = os.environ.get("HF_TOKEN")
    if not token:
        sentence = f"no token for {name} was found: put one into the key token of publish.huggingFace.secretRef."
        raise Failure(Reason.HUB_DENIED, sentence)
    api = HfApi(token=token)
    with _refusals(name):
        repository = api.create_repo(name, private=target.private, exist_ok=True)
    preview = {"thumbnail": f"{repository}/resolve/main/{PREVIEW}"}
    metadata_save(folder / CARD, (metadata_load(folder / CARD) or {}) | preview)
    with _refusals(name):
        api.upload_folder(
            repo_id=repository.repo_id,
            folder_path=folder,
            commit_message=f"Run {run}",
            ignore_patterns=[MANIFEST],
            delete_patterns="*",  # but what is in the folder, and .gitattributes
        )
    return str(repository)


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """What the Hub and the way to it answer, as Failures."""
    try:
        yield
    except HFValidationError as error:
        raise _denied(name, str(error)) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status >= 500 or status in _BUSY:
            raise _unreachable(name, f"HTTP {status}") from None
        raise _denied(name, f"HTTP {status}: {error.server_message or 'no reason given'}") from None
    except (HTTPError, OSError, RuntimeError) as error:  # the last is what its transfer library raises of the network
        raise _unreachable(name, type(error).__name__) from None


def _denied(name: str, why: str) -> Failure:
    return Failure(
        Reason.HUB_DENIED,
        f"the Hugging Face Hub refuses {name} ({' '.join(why.split())[:200]}): give the token the right to write "
        "there, or correct publish.huggingFace.repo. The model itself is in storage.",
    )


def _unreachable(name: str, why: str) -> Failure:
    return Failure(
        Reason.HUB_UNREACHABLE,
        f"{name} can't be pushed, because the Hugging Face Hub does not answer ({why}): check the network. "
        "The model itself is in storage.",
    )
