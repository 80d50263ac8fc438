from pathlib import Path
from typing import Any

import pytest

from tweetmodel_api.layout import TOMBSTONE, Layout
from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.data.dataset import HELD_OUT, TRAIN
from tweetmodel_trainer.data.erase import erase_datasets, find_erased_datasets
from tweetmodel_trainer.storage import Storage

ADA, BOB, HALF = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def layout(make_plan: Any, storage: Storage, tmp_path: Path) -> Layout:
    """Data sets of @ada and @bob, and one without a manifest."""
    layout: Layout = make_plan().layout
    for handle, digest in (("ada", ADA), ("Bob", BOB)):
        folder = tmp_path / handle
        folder.mkdir()
        (folder / TRAIN).write_text(f'{{"handle": "{handle}", "id": "{handle}-1", "text": "one"}}\n')
        (folder / HELD_OUT).write_text(
            f'{{"handle": "{handle}", "id": "17", "text": "two"}}\n' if handle == "ada" else ""
        )
        storage.upload_folder(folder, layout.dataset(digest))
    storage.write_object(f"{layout.dataset(HALF)}/{TRAIN}", b"")
    return layout


@pytest.mark.parametrize(("erase", "erased"), [("17", ADA), ("@BOB", BOB)])
def test_data_set_with_an_erased_post_is_deleted(
    layout: Layout, storage: Storage, tmp_path: Path, erase: str, erased: str
) -> None:
    erase_datasets(Cleaning(erase=(erase,)), layout, tmp_path, storage)
    [kept] = {ADA, BOB} - {erased}
    assert storage.names(layout.dataset(erased)) == [TOMBSTONE]
    assert storage.manifest(layout.dataset(kept))
    assert find_erased_datasets([ADA, BOB, "f" * 64], layout, storage) == (erased[:16],)


def test_data_set_with_upstream_posts_of_an_erased_account_is_deleted(
    layout: Layout, storage: Storage, tmp_path: Path
) -> None:
    folder = tmp_path / "friends"
    folder.mkdir()
    (folder / TRAIN).write_text('{"handle": "friends", "id": "1", "text": "one", "author": "Bob"}\n')
    (folder / HELD_OUT).write_text("")
    storage.upload_folder(folder, layout.dataset("d" * 64))
    erase_datasets(Cleaning(erase=("@bob",)), layout, tmp_path, storage)
    assert storage.names(layout.dataset("d" * 64)) == [TOMBSTONE]


def test_incomplete_data_set_is_deleted(layout: Layout, storage: Storage, tmp_path: Path) -> None:
    erase_datasets(Cleaning(erase=("18",)), layout, tmp_path, storage)
    assert find_erased_datasets([ADA, BOB, HALF], layout, storage) == (HALF[:16],)


def test_tombstone_beside_a_manifest_is_not_erased(layout: Layout, storage: Storage) -> None:
    storage.write_object(f"{layout.dataset(ADA)}/{TOMBSTONE}", b"")
    assert find_erased_datasets([ADA], layout, storage) == ()
