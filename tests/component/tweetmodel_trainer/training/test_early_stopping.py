"""Tests of early stopping."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import GPT2LMHeadModel

from small_models import TEXTS, TOKENIZER, TWELVE_BLOCKS, small_model, weights_digest
from tweetmodel_api.spec import EarlyStopping, Training
from tweetmodel_trainer.evaluation.scoring import score_texts
from tweetmodel_trainer.models import lora
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training.fine_tuning import FineTuningConfig, FineTuningResult, fine_tune

TRAINING = Training(
    global_batch_size=1, learning_rate="1e-3", checkpoint_interval_seconds=5, early_stopping=EarlyStopping(patience=1)
)


def new_model(method: str) -> GPT2LMHeadModel:
    return small_model() if method == "Full" else lora.attach(small_model(), 4)


@pytest.mark.parametrize(("method", "steps"), [("Full", range(1, 10)), ("LoRA", (4, 5, 6, 9))])
def test_a_run_keeps_its_best_weights_wherever_it_is_killed(tmp_path: Path, method: str, steps: Sequence[int]) -> None:
    """Epochs end at steps 5, 9 and 12; the held-out loss rises in the second epoch."""
    training = TRAINING.model_copy(update={"checkpoint_interval_seconds": 0})

    def run(
        name: str, publish: Callable[[int, Path], None], resume: Path | None = None
    ) -> tuple[GPT2LMHeadModel, FineTuningResult]:
        model, losses = new_model(method), {5: 3.0, 9: 3.5}
        last_step = int(resume.name) if resume else 0

        def upload_checkpoint(step: int, folder: Path) -> None:
            nonlocal last_step
            last_step = step
            publish(step, folder)

        def evaluate_loss() -> float:
            score_texts(model, TOKENIZER, TEXTS[:5])  # must not change the random states of dropout
            return losses[last_step + 1]

        config = FineTuningConfig(
            training, tmp_path / name, upload_checkpoint, Progress({}), evaluate_loss=evaluate_loss
        )
        return model, fine_tune(model, TWELVE_BLOCKS, replace(config, resume_from=resume))

    def keep(step: int, folder: Path) -> None:
        shutil.copytree(folder, tmp_path / "kept" / str(step))

    uninterrupted, result = run("uninterrupted", keep)
    assert (result.steps, result.planned_steps, result.kept_step) == (9, 12, 5)
    assert [row["step"] for row in result.log if "heldout_loss" in row] == [5, 9]
    assert sorted(int(path.name) for path in (tmp_path / "kept").iterdir()) == list(range(1, 10))
    for step in steps:
        resumed, again = run(f"resumed-{step}", lambda *_: None, tmp_path / "kept" / str(step))
        assert weights_digest(resumed) == weights_digest(uninterrupted), f"resumed at step {step}"
        assert (again.steps, again.kept_step) == (9, 5)
        assert [row["step"] for row in again.log if "heldout_loss" in row] == [5, 9]


@pytest.mark.parametrize("method", ["Full", "LoRA"])
def test_the_model_is_evaluated_in_the_precision_of_the_final_evaluation(tmp_path: Path, method: str) -> None:
    model = new_model(method)
    training = TRAINING.model_copy(update={"precision": "BFloat16", "early_stopping": EarlyStopping(patience=9)})

    def evaluate_loss() -> float:
        return score_texts(model, TOKENIZER, TEXTS[:5]).loss

    config = FineTuningConfig(training, tmp_path, lambda *_: None, Progress({}), evaluate_loss=evaluate_loss)
    result = fine_tune(model, TWELVE_BLOCKS, config)
    logged = {row["step"]: row["heldout_loss"] for row in result.log if "heldout_loss" in row}
    assert evaluate_loss() == logged[result.kept_step]
