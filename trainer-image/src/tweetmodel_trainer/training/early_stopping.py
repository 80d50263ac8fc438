"""Early stopping: scores the model after each epoch and keeps the weights that scored best.

They lie in a folder that goes into every checkpoint with the scores so far, so a resumed run stops where the
interrupted one would have stopped, with the same weights.
"""

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

WEIGHTS, SCORE = "weights.safetensors", "score.json"


@dataclass
class Best:
    """The best weights of a training so far."""

    model: PreTrainedModel
    score: Callable[[], float]
    """The model's loss on held-out posts."""
    patience: int
    """Scores in a row that may be no better."""
    steps: frozenset[int]
    """After which to score."""
    folder: Path
    step: int = 0
    """Of the best weights."""
    loss: float = math.inf
    worse: int = 0
    """Scores in a row that were no better."""

    @property
    def over(self) -> bool:
        """Whether patience is at its end."""
        return self.worse >= self.patience

    def look(self, step: int) -> float | None:
        """Scores the model where this step is one to do so after; its loss."""
        if step not in self.steps:
            return None
        loss = self.score()
        if loss < self.loss:
            self.step, self.loss, self.worse = step, loss, 0
            shutil.rmtree(self.folder, ignore_errors=True)  # its files may be linked from a checkpoint
            self.folder.mkdir(parents=True)
            save_file({name: weight.contiguous() for name, weight in self._weights()}, self.folder / WEIGHTS)
        else:
            self.worse += 1
        return loss

    def save(self, checkpoint: Path) -> None:
        """Puts weights and scores into a checkpoint."""
        if self.loss < math.inf:
            shutil.copytree(self.folder, checkpoint / self.folder.name, copy_function=os.link)
            score = {"step": self.step, "loss": self.loss, "worse": self.worse}
            (checkpoint / self.folder.name / SCORE).write_text(json.dumps(score))

    def restore(self, checkpoint: Path) -> None:
        """Takes up what a checkpoint holds."""
        saved = checkpoint / self.folder.name
        if saved.exists():
            shutil.copytree(saved, self.folder, ignore=shutil.ignore_patterns(SCORE))
            score = json.loads((saved / SCORE).read_text())
            self.step, self.loss, self.worse = score["step"], score["loss"], score["worse"]

    def take(self) -> None:
        """Gives the model its best weights."""
        if self.loss < math.inf:
            best = load_file(self.folder / WEIGHTS)
            with torch.no_grad():
                for name, weight in self._weights():
                    weight.copy_(best[name])

    def _weights(self) -> list[tuple[str, torch.nn.Parameter]]:
        return [(name, weight) for name, weight in self.model.named_parameters() if weight.requires_grad]
