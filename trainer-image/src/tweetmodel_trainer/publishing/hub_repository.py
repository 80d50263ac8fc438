"""Pushes a model's folder to the Hugging Face Hub, as huggingtweets did; the token is in HF_TOKEN.

What is there already with the same content is not sent again, so a push that broke off is simply repeated. What is
there besides goes: weights of an earlier model would be loaded with, or instead of, the new ones.
"""

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi, metadata_load, metadata_save

from tweetmodel_api.credentials import PUBLISH
from tweetmodel_api.layout import MANIFEST
from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import HubRepository
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.hub_errors import HubErrorKind, translate_hub_errors
from tweetmodel_trainer.presentation.artifacts import CARD, PREVIEW
from tweetmodel_trainer.presentation.card import HERE

LONGEST = 96
"""Characters that the Hub allows in a repository's name."""


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

    The folder's card is given the repository's name and the address of its preview, which are known only now.

    Raises:
        Failure: HubDenied or HubUnreachable.
    """
    name = target.repo or repository_name(handles)
    token = os.environ.get(PUBLISH.variable, "").strip()
    if not token:
        sentence = f"no token for {name} was found: put one into the key token of publish.huggingFace.secretRef."
        raise Failure(Reason.HUB_DENIED, sentence)
    api = HfApi(token=token)
    with translate_hub_errors(partial(_failure, name)):
        repository = api.create_repo(name, private=target.private, exist_ok=True)
    preview = {"thumbnail": f"{repository}/resolve/main/{PREVIEW}"}
    card = folder / CARD
    loaded_by_name = card.read_text(encoding="utf-8").replace(HERE, f'model="{repository.repo_id}")')
    card.write_text(loaded_by_name, encoding="utf-8")
    metadata_save(card, (metadata_load(card) or {}) | preview)
    with translate_hub_errors(partial(_failure, name)):
        api.upload_folder(
            repo_id=repository.repo_id,
            folder_path=folder,
            commit_message=f"Run {run}",
            ignore_patterns=[MANIFEST],
            delete_patterns="*",  # but what is in the folder, and .gitattributes
        )
    return str(repository)


def _failure(name: str, kind: HubErrorKind, words: str) -> Failure:
    """What the Hub's answer is to a model that is done."""
    if kind == "unreachable":
        reason, what = Reason.HUB_UNREACHABLE, f"{name} can't be pushed, because the Hugging Face Hub does not answer"
        advice = "check the network"
    else:
        reason, what = Reason.HUB_DENIED, f"the Hugging Face Hub refuses {name}"
        advice = "give the token the right to write there, or correct publish.huggingFace.repo"
    return Failure(reason, f"{what} ({words}): {advice}. The model itself is in storage.")
