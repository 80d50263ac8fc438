import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.sources.x_pages import erase, read_page, write_page
from tweetmodel_trainer.storage import Storage
from x_server import XServer


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """A finalizer would fail deep in the recursion of a parser."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("damage", [b'{"id": "5"}\n', b"null\n", b'{"id": "5", "te', b"\xff", b"[" * 100_000])
def test_damaged_page_is_reported(x: XServer, read: Any, storage: Storage, damage: bytes) -> None:
    x.write(1)
    read()
    [name] = storage.names(read.folder)
    storage.write_object(f"{read.folder}/{name}", damage)
    with pytest.raises(Failure, match=rf"raw/x/ada/{name} is damaged: delete the object") as failure:
        read()
    assert failure.value.reason is Reason.INVALID_POSTS


POSTS = [{"id": "17", "text": "a"}, {"id": "18", "text": "b"}]


def test_erased_posts_are_removed_from_all_pages(storage: Storage, make_plan: Any, tmp_path: Path) -> None:
    layout = make_plan().layout
    folders = {handle: layout.raw_x(handle) for handle in ("ada", "bob", "eve")}
    for folder in folders.values():
        write_page(POSTS, f"{folder}/500-0-2.jsonl", storage)
    storage.write_object(f"{folders['ada']}/900-500-1.jsonl", b"damaged")
    with pytest.raises(Failure, match=r"900-500-1\.jsonl is damaged"):
        erase(Cleaning(erase=("17", "@Eve")), layout, tmp_path, storage)
    assert storage.names(folders["eve"]) == []
    for handle in ("ada", "bob"):
        assert read_page(f"{folders[handle]}/500-0-2.jsonl", tmp_path, storage) == POSTS[1:]
