"""Writes what people open of a finished run: card and preview beside the weights, and the page with its preview."""

from pathlib import Path

from tweetmodel_trainer.presentation.card import card
from tweetmodel_trainer.presentation.page import page
from tweetmodel_trainer.presentation.preview_image import picture
from tweetmodel_trainer.presentation.run_summary import About

CARD, PREVIEW, PAGE = "README.md", "predictions.png", "index.html"


def write(about: About, model: Path, page_folder: Path) -> None:
    """Adds card and preview to the model's folder, and fills the page's, which is made."""
    page_folder.mkdir()
    preview = picture(about)
    for folder in (model, page_folder):
        (folder / PREVIEW).write_bytes(preview)
    (model / CARD).write_text(card(about), encoding="utf-8")
    (page_folder / PAGE).write_text(page(about), encoding="utf-8")
