from collections.abc import Callable
from pathlib import Path

from tweetmodel_api.plan import Plan
from tweetmodel_api.spec import Cleaning
from tweetmodel_trainer.sources.registry import erase_raw_posts
from tweetmodel_trainer.storage import Storage


def test_raw_posts_of_all_kinds_are_erased(make_plan: Callable[..., Plan], storage: Storage, tmp_path: Path) -> None:
    layout = make_plan().layout
    storage.write_object(f"{layout.raw_x('eve')}/500-0-2.jsonl", b"")
    erase_raw_posts(Cleaning(erase=("@eve",)), layout, tmp_path, storage)
    assert storage.names(layout.raw) == []
