"""Tests of low-rank adaptation."""

from pathlib import Path

import torch

from small_models import TEXTS, TOKENIZER, TWELVE_BLOCKS, small_model
from tweetmodel_api.spec import Training
from tweetmodel_trainer.evaluation.scoring import score_texts
from tweetmodel_trainer.models import lora
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training.fine_tuning import FineTuningConfig, fine_tune


def test_lora_trains_few_weights_and_merges_them_into_the_model(tmp_path: Path) -> None:
    model = small_model()
    before, frozen = score_texts(model, TOKENIZER, TEXTS).loss, model.lm_head.weight.clone()
    names = set(model.state_dict())
    adapted = lora.attach(model, 4)
    assert sum(p.numel() for p in adapted.parameters() if p.requires_grad) < model.num_parameters() / 4
    training = Training(global_batch_size=1, learning_rate="5e-2")
    fine_tune(adapted, TWELVE_BLOCKS, FineTuningConfig(training, tmp_path, lambda *_: None, Progress({})))
    merged = lora.merge(adapted)
    assert merged is model
    assert set(merged.state_dict()) == names
    assert torch.equal(merged.lm_head.weight, frozen)
    assert score_texts(merged, TOKENIZER, TEXTS).loss < before
