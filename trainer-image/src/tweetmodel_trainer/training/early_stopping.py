"""Early stopping: evaluates the model after each epoch, and keeps the weights with the lowest held-out loss.

Weights and losses are part of every checkpoint, so a resumed run stops at the same step with the same weights as an
uninterrupted run.
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

WEIGHTS_FILE, STATE_FILE = "weights.safetensors", "state.json"


@dataclass
class EarlyStopping:
    """The best weights of a training so far."""

    model: PreTrainedModel
    evaluate_loss: Callable[[], float]
    """Returns the loss of the model on held-out posts."""
    patience: int
    """Number of consecutive evaluations without improvement after which training stops."""
    evaluation_steps: frozenset[int]
    """Optimizer steps after which the model is evaluated."""
    folder: Path
    """Folder of the best weights."""
    best_step: int = 0
    """Optimizer step of the best weights."""
    best_loss: float = math.inf
    """Held-out loss of the best weights; infinite before the first improvement."""
    bad_epochs: int = 0
    """Number of consecutive evaluations without improvement."""

    @property
    def should_stop(self) -> bool:
        """True if the patience is exhausted."""
        return self.bad_epochs >= self.patience

    def evaluate(self, step: int) -> float | None:
        """Evaluate the model if this is an evaluation step, and return its held-out loss; None at other steps."""
        if step not in self.evaluation_steps:
            return None
        loss = self.evaluate_loss()
        if loss < self.best_loss:
            self.best_step, self.best_loss, self.bad_epochs = step, loss, 0
            shutil.rmtree(self.folder, ignore_errors=True)  # a checkpoint may contain hard links to its files
            self.folder.mkdir(parents=True)
            weights = {name: weight.contiguous() for name, weight in self._trainable_weights()}
            save_file(weights, self.folder / WEIGHTS_FILE)
        else:
            self.bad_epochs += 1
        return loss

    def save(self, checkpoint: Path) -> None:
        """Add the best weights and their loss to a checkpoint."""
        if self.best_loss == math.inf:
            return
        target = checkpoint / self.folder.name
        shutil.copytree(self.folder, target, copy_function=os.link)
        state = {"best_step": self.best_step, "best_loss": self.best_loss, "bad_epochs": self.bad_epochs}
        (target / STATE_FILE).write_text(json.dumps(state))

    def load(self, checkpoint: Path) -> None:
        """Restore the state in a checkpoint, if the checkpoint has one."""
        source = checkpoint / self.folder.name
        if not source.exists():
            return
        shutil.copytree(source, self.folder, ignore=shutil.ignore_patterns(STATE_FILE))
        state = json.loads((source / STATE_FILE).read_text())
        self.best_step, self.best_loss = state["best_step"], state["best_loss"]
        self.bad_epochs = state["bad_epochs"]

    def restore_best(self) -> None:
        """Copy the best weights into the model."""
        if self.best_loss == math.inf:
            return
        best = load_file(self.folder / WEIGHTS_FILE)
        with torch.no_grad():
            for name, weight in self._trainable_weights():
                weight.copy_(best[name])

    def _trainable_weights(self) -> list[tuple[str, torch.nn.Parameter]]:
        return [(name, weight) for name, weight in self.model.named_parameters() if weight.requires_grad]
