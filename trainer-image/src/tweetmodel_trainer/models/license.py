"""Reads the license of a base model from its model card."""

import re
from pathlib import Path

from huggingface_hub import ModelCard

CARD = "README.md"
"""Name of the model card in the folder of a model."""


def read_license(folder: Path) -> str | None:
    """Return the license in the model card of a folder; None without a card or without a plausible license."""
    card = folder / CARD
    try:
        license_ = ModelCard.load(card, ignore_metadata_errors=True).data.license if card.is_file() else None
    except Exception:  # the card of a third party may contain anything and must not prevent training
        return None
    return license_ if isinstance(license_, str) and re.fullmatch(r"[A-Za-z0-9.-]{1,50}", license_) else None
