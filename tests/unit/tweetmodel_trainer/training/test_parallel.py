"""Training in several processes: here on the CPU, which differs from GPUs by the kind of device alone."""

import operator
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed
from transformers import GPT2Config, GPT2LMHeadModel, set_seed

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import EarlyStopping, Training
from tweetmodel_trainer.data.post import Post
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.models import lora
from tweetmodel_trainer.models.tokens import train_tokenizer
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.training.blocks import Blocks
from tweetmodel_trainer.training.finetune import Trained, finetune
from tweetmodel_trainer.training.parallel import agree, processes

TEXTS = [f"gull number {n} has taken sandwich {n * 7 % 40}" for n in range(33)]
TOKENIZER = train_tokenizer(TEXTS, 320)
TWELVE = Blocks([Post("ada", str(n), text) for n, text in enumerate(TEXTS)], TOKENIZER, 3, 64, 1)
TRAINING = Training(learning_rate="1e-2", precision="Float32")


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def small_model(dropout: float) -> GPT2LMHeadModel:
    set_seed(7)
    shape = {"vocab_size": len(TOKENIZER), "n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 64}
    drop = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
    return GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0, **shape, **drop))


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """Eight blocks a step of twelve: in the last step each process has a part that is full and one that is empty."""
    one, two, new = (small_model(dropout=0.0) for _ in range(3))
    training = TRAINING.model_copy(update={"global_batch_size": 8})
    logs = [
        finetune(model, TWELVE, training, tmp_path, None, lambda *_: None, Progress({}), (0, 100), gpus).log
        for gpus, model in enumerate((one, two), 1)
    ]
    for row, same in zip(*logs, strict=True):
        assert same["loss"] == pytest.approx(row["loss"], rel=1e-5)
    learnt = False
    for (name, weight), same, before in zip(one.named_parameters(), two.parameters(), new.parameters(), strict=True):
        torch.testing.assert_close(same, weight, rtol=1e-3, atol=1e-5, msg=name)
        learnt = learnt or not torch.allclose(weight, before, rtol=1e-3, atol=1e-3)
    assert learnt


def test_two_processes_learn_by_lora_what_one_does_and_stop_as_early(tmp_path: Path) -> None:
    """Epochs end at steps 3, 5 and 6; the second one is said to be no better, so its weights are not kept."""
    changes = {"method": "LoRA", "lora_rank": 4, "global_batch_size": 2, "early_stopping": EarlyStopping(patience=1)}
    training = TRAINING.model_copy(update=changes)

    def learnt(gpus: int) -> tuple[Trained, dict[str, torch.Tensor]]:
        losses = iter((3.0, 3.5))
        model = lora.attach(small_model(dropout=0.0), 4)
        how = {"gpus": gpus, "score": lambda: next(losses)}
        where = tmp_path / str(gpus)
        trained = finetune(model, TWELVE, training, where, None, lambda *_: None, Progress({}), (0, 100), **how)
        return trained, {name: weight.clone() for name, weight in model.named_parameters() if weight.requires_grad}

    (one, weights), (two, same) = learnt(1), learnt(2)
    assert (one.steps, one.kept) == (two.steps, two.kept) == (5, 3)
    assert any(weight.abs().max() > 1e-3 for name, weight in weights.items() if "lora_B" in name)
    for name, weight in weights.items():
        torch.testing.assert_close(same[name], weight, rtol=1e-3, atol=1e-5, msg=name)


def test_a_stop_ends_all_processes_at_a_checkpoint_and_they_resume_exactly(tmp_path: Path) -> None:
    """One run goes through, the other takes up its second checkpoint and is stopped at the fourth."""
    training = TRAINING.model_copy(update={"global_batch_size": 2, "checkpoint_interval_seconds": 0})

    class StopAtThree(Progress):
        def report(self, percentage: float, remaining: float | None = None, **metrics: float) -> None:
            if percentage == 50:
                os.kill(os.getpid(), signal.SIGTERM)

    def run(name: str, progress: Progress, resume: Path | None = None) -> None:
        def keep(step: int, folder: Path) -> None:
            shutil.copytree(folder, tmp_path / name / "kept" / str(step))

        finetune(small_model(dropout=0.1), TWELVE, training, tmp_path / name, resume, keep, progress, (0, 100), gpus=2)

    run("calm", Progress({}))
    with pytest.raises(Interrupted):
        run("stopped", StopAtThree({}), tmp_path / "calm" / "kept" / "2")
    calm, stopped = (tmp_path / name / "kept" for name in ("calm", "stopped"))
    assert sorted(path.name for path in stopped.iterdir()) == ["3"], "the signal came before the checkpoint was written"
    for file in ("model.safetensors", "optimizer.pt", "rng_state_0.pth", "rng_state_1.pth"):
        assert (stopped / "3" / file).read_bytes() == (calm / "3" / file).read_bytes(), file


def test_a_process_that_fails_ends_the_others_with_a_sentence() -> None:
    with pytest.raises(Failure, match="GPU 1 ended before the others") as failure, processes(2, operator.truediv, 0):
        agree(True)
    assert failure.value.reason is Reason.INTERNAL_ERROR


def test_one_process_agrees_with_itself() -> None:
    with processes(1, operator.truediv, 0):
        assert agree(True, False) == [True, False]
