"""The bench of a part: sizes and data of a real or dry run, and figures that are stored at once."""

import json
import os
from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import generate as sample_archive

from tweetmodel_trainer.data.clean import clean_posts
from tweetmodel_trainer.data.counts import Counts
from tweetmodel_trainer.data.dataset import split_position
from tweetmodel_trainer.data.post import Post

LEARNING_RATE = 1.372e-4
SEED = 42


@dataclass(frozen=True)
class Scale:
    """Sizes of models and data."""

    shape: Mapping[str, int] = field(default_factory=dict)
    """Changes of GPT-2's configuration."""
    vocabulary: int = 50_257
    block_size: int = 1024
    epochs: int = 4
    posts: int | None = None
    """Posts of the data set; None for all."""
    warm_up_posts: int = 60
    padded_posts: int = 300
    exact_posts: int = 900
    profiled_posts: int = 700
    first_profiled_step: int = 10
    profiled_steps: int = 5
    base_seconds: float = 60
    base_batch: int = 32
    base_characters: int = 40_000_000
    samples_per_prompt: int = 10
    max_new_tokens: int = 160
    concurrent_runs: tuple[int, ...] = (1, 2, 4)
    repetitions: tuple[str, ...] = ("cold", "warm")
    """Starts of a process, of which the first one finds cold caches."""


DRY = Scale(
    shape={"n_layer": 2, "n_embd": 48, "n_head": 2},
    vocabulary=400,
    block_size=64,
    epochs=1,
    posts=50,
    warm_up_posts=5,
    padded_posts=5,
    exact_posts=12,
    profiled_posts=20,
    first_profiled_step=2,
    profiled_steps=3,
    base_seconds=1,
    base_batch=2,
    base_characters=60_000,
    samples_per_prompt=2,
    max_new_tokens=8,
    concurrent_runs=(1, 2),
    repetitions=("cold",),
)


@dataclass(frozen=True)
class Bench:
    """The run that a part belongs to."""

    work: Path
    """Folder that all parts share."""
    dry: bool

    @property
    def scale(self) -> Scale:
        return DRY if self.dry else Scale()

    @property
    def base(self) -> Path:
        """Folder of the base model."""
        return self.work / "base"

    def posts(self) -> tuple[list[Post], list[str]]:
        """Return Ada's posts, split as in a run: posts to train on, and texts of held-out posts."""
        raw = (Post("ada", str(n), str(tweet["full_text"])) for n, tweet in enumerate(sample_archive.tweets(1)))
        kept = [*clean_posts(raw, Counts())][: self.scale.posts]
        train = [post for post in kept if split_position(post.text, SEED) >= 0.1]
        return train, [post.text for post in kept if split_position(post.text, SEED) < 0.1]


class Figures(UserDict[str, Any]):
    """Figures of a part, written to disk with every new figure: a part that is killed leaves the others."""

    def __init__(self, work: Path, part: str) -> None:
        self._file = _file(work, part)
        super().__init__()

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self.data))
        os.replace(new, self._file)


def figures_of(work: Path, part: str) -> dict[str, Any]:
    """Return the figures that a part has written."""
    file = _file(work, part)
    return json.loads(file.read_text()) if file.is_file() else {}


def _file(work: Path, part: str) -> Path:
    return work / f"{part}.json"
