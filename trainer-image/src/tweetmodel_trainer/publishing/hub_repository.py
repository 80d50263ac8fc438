"""Pushes a folder to a repository on the Hugging Face Hub; the environment variable HF_TOKEN contains the token.

Files that the repository already contains are not sent again, so an interrupted push is simply repeated. Other files of
the repository are deleted, since transformers might load weights of an earlier model with or instead of the new ones.
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
from tweetmodel_trainer.models.license import CARD
from tweetmodel_trainer.presentation.artifacts import PREVIEW
from tweetmodel_trainer.presentation.card import LOCAL_MODEL

MAX_NAME_LENGTH = 96
"""Maximum length of the name of a repository on the Hub."""


def repository_name(handles: Sequence[str]) -> str:
    """Return the default name of a repository, as in huggingtweets: "huggingtweets" and the sorted handles.

    A name that is too long is truncated, and a hash keeps it unique. The Hub forbids names that begin or end with a
    dash and names with two consecutive dashes.
    """
    name = "-".join(["huggingtweets", *sorted(handle.lower() for handle in handles)])
    if len(name) <= MAX_NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAX_NAME_LENGTH - 9].rstrip('-')}-{digest}"


def push(folder: Path, target: HubRepository, handles: Sequence[str], run: str) -> str:
    """Commit a folder to a repository, create the repository if necessary, and return its URL.

    The model card in the folder is changed: it gets the name of the repository and the URL of the preview image.

    Args:
        folder: files of the model, with a model card.
        target: spec.publish.huggingFace.
        handles: accounts, for the default name of the repository.
        run: run of the model, for the commit message.

    Raises:
        Failure: HubDenied or HubUnreachable.
    """
    name = target.repo or repository_name(handles)
    token = os.environ.get(PUBLISH.variable, "").strip()
    if not token:
        message = f"no token for {name} was found: add the key token to the Secret of publish.huggingFace.secretRef."
        raise Failure(Reason.HUB_DENIED, message)
    api = HfApi(token=token)
    with translate_hub_errors(partial(_failure, name)):
        repository = api.create_repo(name, private=target.private, exist_ok=True)
    preview_url = f"{repository}/resolve/main/{PREVIEW}"
    card = folder / CARD
    text = card.read_text(encoding="utf-8").replace(LOCAL_MODEL, f'model="{repository.repo_id}")')
    card.write_text(text, encoding="utf-8")
    metadata_save(card, (metadata_load(card) or {}) | {"thumbnail": preview_url})
    with translate_hub_errors(partial(_failure, name)):
        api.upload_folder(
            repo_id=repository.repo_id,
            folder_path=folder,
            commit_message=f"Run {run}",
            ignore_patterns=[MANIFEST],
            delete_patterns="*",  # all other files, except .gitattributes
        )
    return str(repository)


def _failure(name: str, kind: HubErrorKind, cause: str) -> Failure:
    """Return the failure to publish a finished model for an error of the Hub."""
    stored = "The model itself is in storage."
    if kind == "unreachable":
        message = f"{name} can't be pushed (the Hugging Face Hub does not respond: {cause}): check the network."
        return Failure(Reason.HUB_UNREACHABLE, f"{message} {stored}")
    advice = "use a token with write access to the repository, or correct publish.huggingFace.repo"
    return Failure(Reason.HUB_DENIED, f"the Hugging Face Hub refuses {name} ({cause}): {advice}. {stored}")
