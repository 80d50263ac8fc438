"""Folders in storage, and manifests of complete folders."""

from posixpath import normpath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tweetmodel_api.layout import FileEntry, Layout, Manifest, checkpoint_step

LAYOUT = Layout("s3://bucket/models/", "default", "ada")
RUN = "ab" * 8


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "", ".", "a/./b", "a//b", "a\0"])
def test_a_manifest_contains_only_files_below_its_folder(path: str) -> None:
    with pytest.raises(ValidationError):
        FileEntry(path=path, size=1, sha256="0" * 64)


FILES = st.lists(
    st.builds(
        FileEntry,
        path=st.lists(st.text("ab.é ", min_size=3, max_size=9), min_size=1, max_size=3).map("/".join),
        size=st.integers(0, 2**50),
        sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    ),
    max_size=5,
)


@given(FILES, st.data())
def test_a_damaged_manifest_contains_no_file_outside_its_folder(entries: list[FileEntry], data: st.DataObject) -> None:
    manifest = Manifest.of(entries)
    body = manifest.model_dump_json(by_alias=True, indent=1).encode()
    assert Manifest.model_validate_json(body) == manifest
    at = data.draw(st.integers(0, len(body) - 1))
    for damaged in (body[:at], body[:at] + data.draw(st.binary(max_size=3)) + body[at + 1 :]):
        try:
            read = Manifest.model_validate_json(damaged)
        except ValidationError:
            continue
        assert all(normpath(f"/x/{file.path}") == f"/x/{file.path}" for file in read.files)


def test_the_digest_of_a_manifest_depends_on_paths_and_contents_only() -> None:
    one, two = (FileEntry(path=path, size=1, sha256=content * 64) for path, content in (("a", "1"), ("b", "2")))
    assert Manifest.of([one, two]).digest == Manifest.of([two, one]).digest
    moved = one.model_copy(update={"path": "c"})
    assert Manifest.of([one, two]).digest != Manifest.of([moved, two]).digest


def test_the_optimizer_step_of_a_checkpoint_is_part_of_its_folder() -> None:
    folder = LAYOUT.checkpoint(RUN, 1200, "1f2e3d4c")
    assert folder == "s3://bucket/models/default/ada/runs/abababababababab/checkpoints/00001200-1f2e3d4c"
    assert checkpoint_step(folder + "/") == 1200
    assert checkpoint_step("s3://bucket/else") is None


def test_all_folders_are_below_the_folder_of_the_tweetmodel() -> None:
    root = "s3://bucket/models/default/ada"
    assert LAYOUT.root == root
    folders = {
        LAYOUT.raw_x("Ada"): f"{root}/raw/x/ada",
        LAYOUT.fingerprint: f"{root}/fingerprint",
        LAYOUT.dataset("d" * 64): f"{root}/datasets/{'d' * 16}",
        LAYOUT.model(RUN): f"{root}/runs/{RUN}/model",
        LAYOUT.page(RUN): f"{root}/runs/{RUN}/page",
        LAYOUT.tensorboard(RUN): f"{root}/runs/{RUN}/tensorboard",
        LAYOUT.results(RUN): f"{root}/runs/{RUN}/results",
        LAYOUT.metrics(RUN): f"{root}/runs/{RUN}/metrics.jsonl",
    }
    assert list(folders) == list(folders.values())
