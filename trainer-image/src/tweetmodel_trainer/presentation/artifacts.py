"""Writes the artifacts of a finished run: web page, model card and preview image."""

from pathlib import Path

from tweetmodel_trainer.models.license import CARD
from tweetmodel_trainer.presentation.card import render_card
from tweetmodel_trainer.presentation.page import render_page
from tweetmodel_trainer.presentation.preview_image import render_preview
from tweetmodel_trainer.presentation.run_summary import RunSummary

PREVIEW, PAGE_FILE = "predictions.png", "index.html"


def write_artifacts(summary: RunSummary, folder: Path) -> None:
    """Create a folder with page, model card and preview image."""
    folder.mkdir(parents=True)
    (folder / PREVIEW).write_bytes(render_preview(summary))
    (folder / CARD).write_text(render_card(summary), encoding="utf-8")
    (folder / PAGE_FILE).write_text(render_page(summary), encoding="utf-8")
