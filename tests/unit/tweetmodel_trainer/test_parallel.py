"""Training in several processes: here on the CPU, which differs from GPUs by the kind of device alone."""

import operator
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed
from transformers import GPT2Config, GPT2LMHeadModel, set_seed

from tweetmodel_api.reasons import Reason
from tweetmodel_api.spec import Training
from tweetmodel_trainer.blocks import Blocks
from tweetmodel_trainer.failure import Failure
from tweetmodel_trainer.finetune import Trained, finetune
from tweetmodel_trainer.interrupt import Interrupted
from tweetmodel_trainer.parallel import agree, processes
from tweetmodel_trainer.post import Post
from tweetmodel_trainer.progress import Progress
from tweetmodel_trainer.tokens import train_tokenizer

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


def trained(
    model: GPT2LMHeadModel,
    folder: Path,
    gpus: int,
    batch_size: int,
    publish: Callable[[int, Path], None] = lambda *_: None,
    resume: Path | None = None,
) -> Trained:
    training = TRAINING.model_copy(update={"batch_size": batch_size, "checkpoint_seconds": 9999})
    return finetune(model, TWELVE, training, folder, resume, publish, Progress({}), (0, 100), gpus)


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """Eight blocks a step of twelve: in the last step each process has a part that is full and one that is empty."""
    one, two, new = (small_model(dropout=0.0) for _ in range(3))
    logs = [trained(one, tmp_path, 1, 8).log, trained(two, tmp_path, 2, 8).log]
    for row, same in zip(*logs, strict=True):
        assert same["loss"] == pytest.approx(row["loss"], rel=1e-5)
    learnt = False
    for (name, weight), same, before in zip(one.named_parameters(), two.parameters(), new.parameters(), strict=True):
        torch.testing.assert_close(same, weight, rtol=1e-3, atol=1e-5, msg=name)
        learnt = learnt or not torch.allclose(weight, before, rtol=1e-3, atol=1e-3)
    assert learnt


def test_a_stop_ends_all_processes_at_a_checkpoint_from_which_they_go_on_exactly(tmp_path: Path) -> None:
    calm, stopped, resumed = (small_model(dropout=0.1) for _ in range(3))
    trained(calm, tmp_path / "calm", 2, 2)
    kept: list[int] = []

    def keep(step: int, folder: Path) -> None:
        kept.append(step)
        shutil.copytree(folder, tmp_path / "kept")

    class StopAtThree(Progress):
        def say(self, percentage: float, remaining: float | None = None, **metrics: float) -> None:
            if percentage == 50:
                os.kill(os.getpid(), signal.SIGTERM)

    training = TRAINING.model_copy(update={"batch_size": 2})
    with pytest.raises(Interrupted):
        finetune(stopped, TWELVE, training, tmp_path / "stopped", None, keep, StopAtThree({}), (0, 100), gpus=2)
    assert kept == [4], "asked for during step 3, saved at the end of the next"
    assert trained(resumed, tmp_path / "resumed", 2, 2, resume=tmp_path / "kept").steps == 6
    for weight, same in zip(calm.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(weight, same)


def test_a_process_that_fails_ends_the_others_with_a_sentence() -> None:
    with pytest.raises(Failure, match="GPU 1 ended before the others") as failure, processes(2, operator.truediv, 0):
        agree(True)
    assert failure.value.reason is Reason.INTERNAL_ERROR


def test_one_process_agrees_with_itself() -> None:
    with processes(1, operator.truediv, 0):
        assert agree(True, False) == [True, False]
