"""Tests of the files that are published."""

from pathlib import Path

from tweetmodel_trainer.publishing.publication import assemble_repository


def test_a_repository_contains_the_model_and_its_artifacts_except_the_page(tmp_path: Path) -> None:
    model, page = tmp_path / "model", tmp_path / "page"
    for folder, files in (
        (model, {"config.json": "{}", "generation_config.json": "defaults"}),
        (page, {"README.md": "card", "generation_config.json": "settings", "index.html": "page"}),
    ):
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
    repository = assemble_repository(model, page, tmp_path / "hub")
    assert {path.name: path.read_text() for path in repository.iterdir()} == {
        "config.json": "{}",
        "generation_config.json": "settings",
        "README.md": "card",
    }
    (repository / "README.md").write_text("changed")
    assert (page / "README.md").read_text() == "card"
    assert (model / "generation_config.json").read_text() == "defaults"
