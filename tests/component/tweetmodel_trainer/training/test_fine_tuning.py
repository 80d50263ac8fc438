"""Tests of the training loop on a model that trains within a second."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from transformers import GPT2LMHeadModel, TrainerCallback, TrainingArguments

from small_models import POSTS, TEXTS, TOKENIZER, TWELVE_BLOCKS, small_model, weights_digest
from tweetmodel_api.spec import Training
from tweetmodel_trainer.evaluation.scoring import score_texts
from tweetmodel_trainer.models import lora
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training import fine_tuning
from tweetmodel_trainer.training.fine_tuning import FineTuningConfig, fine_tune

TRAINING = Training(global_batch_size=1, learning_rate="1e-3")
EACH_STEP = TRAINING.model_copy(update={"checkpoint_interval_seconds": 0})


def config(workdir: Path, training: Training = TRAINING, **changes: Any) -> FineTuningConfig:
    return replace(FineTuningConfig(training, workdir, lambda *_: None, Progress({})), **changes)


class Killed(Exception):
    """Stands for the end of the pod."""


def run(
    workdir: Path, publish: Callable[[int, Path], None], resume: Path | None = None, method: str = "Full"
) -> GPT2LMHeadModel:
    model = small_model() if method == "Full" else lora.attach(small_model(), 4)
    fine_tune(model, TWELVE_BLOCKS, config(workdir, EACH_STEP, upload_checkpoint=publish, resume_from=resume))
    return model if method == "Full" else lora.merge(model)


@pytest.mark.parametrize(("method", "steps"), [("Full", range(1, 13)), ("LoRA", (4, 5, 6, 12))])
def test_a_run_killed_after_any_checkpoint_ends_with_the_same_weights(
    tmp_path: Path, method: str, steps: Sequence[int]
) -> None:
    """With dropout: weights, optimizer, schedule, random states and position in the data must be restored."""

    def keep(step: int, folder: Path) -> None:
        shutil.copytree(folder, tmp_path / "kept" / str(step))

    uninterrupted = weights_digest(run(tmp_path / "uninterrupted", keep, method=method))
    for step in steps:
        resumed = run(tmp_path / f"resumed-{step}", lambda *_: None, tmp_path / "kept" / str(step), method)
        assert weights_digest(resumed) == uninterrupted, f"resumed at step {step}"


def test_a_killed_run_resumes_from_its_last_checkpoint(tmp_path: Path) -> None:
    def kill(step: int, folder: Path) -> None:
        if step == 6:
            folder.rename(tmp_path / "kept")
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "killed", kill)
    resumed = run(tmp_path / "resumed", lambda *_: None, tmp_path / "kept")
    assert weights_digest(resumed) == weights_digest(run(tmp_path / "uninterrupted", lambda *_: None))


@pytest.mark.parametrize("change", [{"gradient_accumulation_steps": 4}, {"gradient_checkpointing": True}])
def test_settings_that_save_memory_do_not_change_the_result(tmp_path: Path, change: dict[str, Any]) -> None:
    def loss(**changes: Any) -> float:
        model = small_model(dropout=0.0)
        training = TRAINING.model_copy(update={"global_batch_size": 4, "precision": "Float32", **changes})
        fine_tune(model, TWELVE_BLOCKS, config(tmp_path, training))
        return score_texts(model, TOKENIZER, TEXTS).loss

    expected = loss()
    assert loss(**change) == pytest.approx(expected, rel=1e-5)
    assert expected < score_texts(small_model(), TOKENIZER, TEXTS).loss


class Recorder(TrainerCallback):
    """Records the arguments of the callbacks at the last step."""

    def on_step_end(self, arguments: TrainingArguments, *_: Any, **named: Any) -> None:
        self.arguments, self.named = arguments, named


def test_the_loop_uses_fast_kernels(tmp_path: Path) -> None:
    recorder, model = Recorder(), small_model()
    fine_tune(model, TWELVE_BLOCKS, config(tmp_path, callbacks=[recorder]))
    optimizer = recorder.named["optimizer"].optimizer
    assert isinstance(optimizer, torch.optim.AdamW)
    assert all(group["fused"] for group in optimizer.param_groups)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("precision", "supported", "bfloat16"),
    [("Auto", True, True), ("Auto", False, False), ("BFloat16", False, True), ("Float32", True, False)],
)
def test_the_precision_follows_the_spec_or_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, supported: bool, bfloat16: bool
) -> None:
    monkeypatch.setattr(fine_tuning, "supports_bfloat16", lambda: supported)
    recorder, types = Recorder(), set()
    model, training = small_model(), TRAINING.model_copy(update={"precision": precision})
    model.transformer.h[0].mlp.c_fc.register_forward_hook(lambda *call: types.add(call[-1].dtype))
    fine_tune(model, TWELVE_BLOCKS, config(tmp_path, training, callbacks=[recorder]))
    assert recorder.arguments.bf16 is bfloat16
    assert types == {torch.bfloat16 if bfloat16 else torch.float32}
    assert model.dtype == torch.float32


@pytest.mark.parametrize("method", ["Full", "LoRA"])
@pytest.mark.parametrize("enabled", [False, True])
def test_gradient_checkpointing_computes_each_layer_twice(tmp_path: Path, method: str, enabled: bool) -> None:
    model, calls = small_model(), Mock(return_value=None)
    model.transformer.h[0].mlp.register_forward_pre_hook(calls)
    model = model if method == "Full" else lora.attach(model, 4)
    fine_tune(model, TWELVE_BLOCKS, config(tmp_path, TRAINING.model_copy(update={"gradient_checkpointing": enabled})))
    assert calls.call_count == len(TWELVE_BLOCKS) * (2 if enabled else 1)


def test_a_model_trained_in_mixed_precision_is_scored_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = fine_tuning._arguments

    def mixed_precision(task: fine_tuning.LoopConfig) -> TrainingArguments:
        arguments = original(task)
        arguments.bf16 = True
        return arguments

    monkeypatch.setattr(fine_tuning, "_arguments", mixed_precision)
    model = run(tmp_path, lambda *_: None)
    clean = small_model()
    clean.load_state_dict(model.state_dict())
    texts = [post.text for post in POSTS[:5]]
    assert score_texts(model, TOKENIZER, texts) == score_texts(clean, TOKENIZER, texts)


def test_the_log_of_a_resumed_run_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tuning, "LOG_ROWS", 12)

    def keep_the_fifth(step: int, folder: Path) -> None:
        if step == 5:
            shutil.copytree(folder, tmp_path / "fifth")

    fine_tune(small_model(), TWELVE_BLOCKS, config(tmp_path / "first", EACH_STEP, upload_checkpoint=keep_the_fifth))
    fifth = tmp_path / "fifth"
    result = fine_tune(small_model(), TWELVE_BLOCKS, config(tmp_path / "second", resume_from=fifth))
    assert [row["step"] for row in result.log] == list(range(1, 13))
    assert all(row["time"] > 1.7e9 for row in result.log)
    stored = json.loads((fifth / "trainer_state.json").read_text())["log_history"]
    assert stored[:5] == result.log[:5], "the checkpoint contains the log so far"
    assert result.steps == 12


def test_transformers_does_not_report_progress_to_kubeflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback of transformers reports 100 % when the loop ends, even if the loop was stopped."""
    (tmp_path / "token").write_text("token")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_TOKEN", str(tmp_path / "token"))
    requests: list[object] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *call, **_: requests.append(call))
    run(tmp_path, lambda *_: None)
    assert requests == []
